"""Another issuer beside a node: a second node, served over HTTP with its pages and its door."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import uvicorn
from clients import now
from clinic import Browser, Clinic
from starlette.applications import Starlette

from quanmin.api import DoorLimits
from quanmin.api import build as build_door
from quanmin.base.epoch import Epoch
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.external_settings import ExternalSettings
from quanmin.trust.sign_in.id_tokens import replace_key
from quanmin.trust.sign_in.oauth_limits import OAuthLimits
from quanmin.trust.sign_in.secrets import digest_of
from quanmin.trust.sign_in.server import AuthorizationServer, Issuer
from quanmin.web import KitSettings
from quanmin.web import build as build_pages

ORIGIN = "https://node.test"
SECRET = "the secret of the node at the issuer"
_SEALING = b"s" * 32
LIMITS = DoorLimits(stranger_burst_requests=1e6, client_burst_requests=1e6)


class OtherNode:
    """A node that lets the people of a second one in."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], folder: Path) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.clinic = Clinic(pool, folder, self.address)
        self.calls: list[str] = []
        self.revoked = Epoch()
        clinic = self.clinic
        self.server = AuthorizationServer(
            clinic.pool,
            clinic.actors,
            OAuthLimits(),
            Issuer(self.address, f"{self.address}/fhir"),
            id_token_key=_SEALING,
            revoked=self.revoked,
            now=now,
        )
        zone = ZoneInfo("Asia/Shanghai")
        kit = KitSettings(secret=b"o" * 32, zone=zone)
        routes = build_pages(
            clinic.guard, clinic.sign_in, kit, installed=(), authorization=self.server
        )
        self.pages = Starlette(routes=routes)
        self.front = build_door(
            clinic.guard,
            clinic.actors,
            LIMITS,
            link_key=b"k" * 32,
            zone=zone,
            authorization=self.server,
            beyond=self.pages,
        )

    async def change_key(self) -> None:
        """From now on its tokens are signed by another key, and the old one is gone."""
        async with self.clinic.pool.acquire() as connection:
            await replace_key(connection, _SEALING, now())
        self.revoked.advance()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(scope.get("path", ""))
        await self.front(scope, receive, send)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Until the end it answers at its address."""
        config = uvicorn.Config(self, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([self.listening]))
        while not server.started:  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.005)
        try:
            yield
        finally:
            server.should_exit = True
            await running

    async def knows(self, code: str = "node") -> None:
        """The other node is a client of this one."""
        await self.server.clients.add(
            Client(
                code=code,
                name="The other node",
                grants=frozenset({"authorization_code"}),
                scopes="openid",
                redirects=(f"{ORIGIN}/sign-in/external/back",),
                secret=digest_of(SECRET),
            )
        )

    async def approve(self, person: str, location: str, *, ago: int = 0) -> str:
        """What the browser of who signed in here (`ago` microseconds before) brings back to the
        other node.
        """
        browser = Browser(self.pages, self.address)
        cookie = await self.clinic.session(person)
        await self.clinic.pool.execute(
            "update trust.session set authenticated_at = authenticated_at - $1", ago
        )
        browser.client.cookies.set("quanmin_session", cookie, domain="127.0.0.1")
        parts = urlsplit(location)
        page = await browser.get(f"{parts.path}?{parts.query}")
        if page.status_code == 303:  # asked to sign in anew: nothing to bring back
            return "/sign-in/external/back?error=login_required"
        found = re.search(r'name="state" value="([^"]+)"', page.text)
        assert found, page.text
        answer = await browser.send(
            "/oauth/authorize", **{"state": found[1], "say": "approve", "keep-0": "1"}
        )
        assert answer.status_code == 303, answer.text
        await browser.client.aclose()
        back = urlsplit(answer.headers["location"])
        return f"{back.path}?{back.query}"

    def settings(self, folder: Path, **more: Any) -> ExternalSettings:
        """What a node is set to that lets people in by this one."""
        secret = folder / "secret"
        secret.write_text(SECRET + "\n", encoding="utf-8")
        usual: dict[str, Any] = {
            "issuer": self.address,
            "client_id": "node",
            "client_secret_file": secret,
            "title_en": "City health",
            "account_claim": "sub",
        }
        return ExternalSettings(**(usual | more))


def browser_of(clinic: Clinic) -> Browser:
    """A browser without a session at the node that lets people in by another."""
    return Browser(clinic.pages(is_fictional=False), ORIGIN)


def location_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])
