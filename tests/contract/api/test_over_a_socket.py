"""The door behind a real HTTP server: endless bodies, clients that leave, addresses of bytes."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from stores import bundle, observation, patient, post

from quanmin.api import DoorLimits

from .conftest import House

MEBIBYTE = 1 << 20


@asynccontextmanager
async def serving(house: House, limits: DoorLimits | None = None) -> AsyncIterator[int]:
    """A server on a port of its own in front of the house's door; gives the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        house.door(limits), http="httptools", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listening]))
    while not server.started:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.005)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await running


class Wire:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def status(self) -> int:
        line = await asyncio.wait_for(self.reader.readline(), 30)
        return int(line.split()[1])

    async def close(self) -> None:
        self.writer.transport.abort()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield wire
    finally:
        await wire.close()


def head(house: House, method: str, path: str, *headers: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {house.tokens['center']}",
        "Content-Type: application/fhir+json",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def memory_bytes() -> int:
    """What this process holds now, the server in it."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("way", ["length", "chunked"])
async def test_a_body_of_a_hundred_megabytes_is_refused_in_bounded_memory(
    house: House, way: str
) -> None:
    is_chunked = way == "chunked"
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {100 * MEBIBYTE}"
    async with serving(house) as port, connected(port) as wire:
        await wire.send(head(house, "POST", "/fhir/Observation", length))
        before, block, peak = memory_bytes(), b" " * MEBIBYTE, 0
        for _ in range(100):
            await wire.send(b"%x\r\n%s\r\n" % (MEBIBYTE, block) if is_chunked else block)
            peak = max(peak, memory_bytes())
        if is_chunked:
            await wire.send(b"0\r\n\r\n")
        assert await wire.status() == 413
        assert peak - before < 48 * MEBIBYTE


async def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(house: House) -> None:
    async with serving(house) as port:
        async with connected(port) as wire:
            await wire.send(head(house, "POST", "/fhir/Observation", "Content-Length: 1000") + b"{")
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200
    assert await count(house, "Observation") == 0


async def test_a_transaction_whose_client_leaves_is_whole_or_not_at_all(house: House) -> None:
    entries = [post(patient(), "urn:uuid:5c2f0f6e-58a7-4a59-8f2a-1f0f7f7d3a10")]
    entries += [post(observation("urn:uuid:5c2f0f6e-58a7-4a59-8f2a-1f0f7f7d3a10"))] * 50
    body = bundle("transaction", *entries)
    async with serving(house) as port:
        for delay in (0.0, 0.002, 0.01, 0.03, 0.1):
            async with connected(port) as wire:
                await wire.send(head(house, "POST", "/fhir", f"Content-Length: {len(body)}") + body)
                await asyncio.sleep(delay)
        async with connected(port) as wire:
            await wire.send(head(house, "POST", "/fhir", f"Content-Length: {len(body)}") + body)
            assert await wire.status() == 200
    patients = await count(house, "Patient")
    assert patients > 0
    assert await count(house, "Observation") == 50 * patients


async def count(house: House, type_: str) -> int:
    found = await house.client().get(f"/{type_}?_summary=count")
    total: int = found.json()["total"]
    return total


async def test_a_body_that_does_not_arrive_is_given_up(house: House) -> None:
    limits = DoorLimits(body_seconds_max=0.1)
    async with serving(house, limits) as port, connected(port) as wire:
        await wire.send(head(house, "POST", "/fhir/Observation", "Content-Length: 1000") + b"{")
        assert await wire.status() == 503


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/fhir/Patient?name=%FF%FE", 400),
        (b"/fhir/Patient?name=%00", 400),
        (b"/fhir/Patient/%E6%AC%A7", 400),
        (b"/fhir/../fhir/Patient/1", 404),
        (b"/fhir//Patient//1", 400),
        (b"/fhir/Patient?_id=" + b"x" * 17_000, 413),
    ],
)
async def test_addresses_of_bytes_are_answered(house: House, path: bytes, status: int) -> None:
    async with serving(house) as port, connected(port) as wire:
        await wire.send(head(house, "GET", path.decode("latin-1")))
        assert await wire.status() == status


async def test_a_question_too_long_for_a_link_goes_on_by_a_short_one(house: House) -> None:
    form: dict[str, Any] = {"Content-Type": "application/x-www-form-urlencoded"}
    async with serving(house) as port:
        client = house.client(base_url=f"http://127.0.0.1:{port}/fhir")
        for _ in range(2):
            await client.post("/Observation", content=observation())
        digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(600)]
        groups = [",".join(digests[n : n + 30]) for n in range(0, 600, 30)]
        body = "&".join(["_count=1", *(f"code:not={group}" for group in groups)])
        found = await client.post("/Observation/_search", content=body, headers=form)
        assert found.status_code == 200, found.text
        following = {link["relation"]: link["url"] for link in found.json()["link"]}["next"]
        assert len(following) < 1000
        assert len((await client.get(following)).json()["entry"]) == 1
