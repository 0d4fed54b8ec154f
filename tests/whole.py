"""The whole of a node in this process: door, pages, authorization server, imports and exports, over
a clinic; asked as browsers, programs and strangers ask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import import_process
from clients import ADDRESS, bearing, now, open_server
from clinic import Browser, Clinic
from starlette.applications import Starlette

from quanmin.api import DoorLimits, build, open_pace
from quanmin.api.export import Exports
from quanmin.trust import Actor
from quanmin.trust.imports import ImportLimits
from quanmin.trust.scopes import parse_scopes
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.secrets import new_family
from quanmin.trust.sign_in.tokens import Grant
from quanmin.web import KitSettings
from quanmin.web import build as build_pages

ZONE = ZoneInfo("Asia/Shanghai")
LIMITS = DoorLimits(stranger_burst_requests=1e6, client_burst_requests=1e6)
# Programs of the two hospitals, beside the people who sign in.
PROGRAMS = (
    Actor("program-a", "institution", "Program of A", "hospital-a"),
    Actor("program-b", "institution", "Program of B", "hospital-b"),
    Actor("loading", "operator", "Loading", "centre"),
)
APP = Client(
    code="app",
    name="Growth chart",
    grants=frozenset({"authorization_code", "refresh_token"}),
    scopes="openid offline_access launch/patient patient/*.rs user/*.cruds",
    redirects=("https://app.example/back",),
)


class Whole:
    """One node's answers at all of its addresses."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], folder: Path) -> None:
        self.clinic = Clinic(pool, folder)
        self.folder = folder
        self.server = open_server(pool, self.clinic.actors, clock=now)
        self.tokens: dict[str, str] = {}

    async def fill(self) -> None:
        await self.clinic.fill()
        for actor in PROGRAMS:
            self.tokens[actor.code] = await self.clinic.actors.enrol(actor)
        await self.server.clients.add(APP)

    async def app_token(self, code: str, scopes: str = "user/*.cruds") -> str:
        """A token by which the application asks for an actor."""
        grant = Grant(client=APP.code, actor=code, scopes=parse_scopes(scopes), family=new_family())
        async with self.clinic.pool.acquire() as connection:
            return (await self.server.tokens.give(connection, grant)).access

    def front(self, limits: DoorLimits = LIMITS, *, header: str = "", **more: Any) -> Any:
        """All addresses of the node, as an ASGI application of its own."""
        clinic, pace = self.clinic, open_pace(limits)
        kit = KitSettings(secret=b"p" * 32, zone=ZONE, address_header=header)
        pages = build_pages(clinic.guard, clinic.sign_in, kit, authorization=self.server, pace=pace)
        return build(
            clinic.guard,
            clinic.actors,
            limits,
            link_key=b"k" * 32,
            zone=ZONE,
            pace=pace,
            address_header=header,
            authorization=self.server,
            beyond=Starlette(routes=pages),
            arrivals=import_process.open_arrivals(self.folder, ImportLimits()),
            exports=Exports(folder=self.folder / "exports"),
            **more,
        )

    def asking(self, code: str | None = None, front: Any = None, **headers: str) -> Any:
        """A program with the token of an actor, or a stranger."""
        mine = bearing(self.tokens[code]) if code else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(front or self.front(), raise_app_exceptions=False),
            base_url=ADDRESS,
            headers={"Content-Type": "application/fhir+json", **mine, **headers},
            timeout=60,
        )

    async def entered(self, code: str, front: Any = None) -> Browser:
        """A browser in which this account has signed in."""
        return await self.clinic.enter(code, front or self.front())
