"""A door in front of a real store, asked over HTTP inside this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest
from stores import open_context, open_guard

from quanmin.api import DoorLimits, build
from quanmin.terminology import Terms
from quanmin.trust import Actor, Actors

from .hall import Hall

LINK_KEY = b"k" * 32
ACTORS = (
    Actor("center", "operator", "County centre", "center"),
    Actor("hospital-a", "institution", "Hospital A", "hospital-a"),
    Actor("hospital-b", "institution", "Hospital B", "hospital-b"),
)
OpenDoor = Callable[..., Awaitable[Any]]


class House:
    """Everything behind one door, and a client for each actor."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], folder: Path) -> None:
        self.pool = pool
        self.guard = open_guard(pool, open_context(folder, terms=Terms))
        self.actors = Actors(pool)
        self.tokens: dict[str, str] = {}
        self._clients: list[httpx.AsyncClient] = []

    async def enrol(self) -> None:
        for actor in ACTORS:
            self.tokens[actor.code] = await self.actors.enrol(actor)

    def door(self, limits: DoorLimits | None = None, **more: Any) -> Any:
        """A door of its own in front of the same records."""
        zone = ZoneInfo("Asia/Shanghai")
        return build(self.guard, self.actors, limits, link_key=LINK_KEY, zone=zone, **more)

    def client(
        self,
        code: str | None = "center",
        limits: DoorLimits | None = None,
        *,
        base_url: str = "",
        **more: Any,
    ) -> httpx.AsyncClient:
        """A client with the token of an actor (None: with none) of a door of its own, or of the
        server at `base_url`.
        """
        headers = {"Content-Type": "application/fhir+json"}
        if code is not None:
            headers["Authorization"] = f"Bearer {self.tokens[code]}"
        transport = None if base_url else httpx.ASGITransport(self.door(limits, **more))
        client = httpx.AsyncClient(
            transport=transport,
            base_url=base_url or "http://node.test/fhir",
            headers=headers,
            timeout=30,
        )
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture
async def house(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> AsyncIterator[House]:
    opened = House(pool, tmp_path)
    await opened.enrol()
    yield opened
    await opened.close()


@pytest.fixture
async def client(house: House) -> httpx.AsyncClient:
    """A client of the county's centre, which sees everything."""
    return house.client()


@pytest.fixture
def hall(house: House, tmp_path: Path) -> Hall:
    return Hall(house, tmp_path)
