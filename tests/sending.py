"""What tests of messages need: a clock, a delivery, and real servers that take them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from quanmin.trust import Guard
from quanmin.workflow.notices import Delivery, NoticeSettings, open_ports

ZONE = ZoneInfo("Asia/Shanghai")
SITES = {"zh": "青县平台", "en": "Qing County Platform"}


class Hands:
    """A clock that is set by hand."""

    def __init__(self, hour: int = 12, minute: int = 0) -> None:
        self.moment = 0
        self.set(hour, minute)

    def set(self, hour: int, minute: int, day: int = 1) -> None:
        """A time of a day in March 2030, later than whatever tests write."""
        self.moment = round(datetime(2030, 3, day, hour, minute, tzinfo=ZONE).timestamp() * 1e6)

    def __call__(self) -> int:
        return self.moment


def delivery(
    pool: asyncpg.Pool[asyncpg.Record],
    guard: Guard,
    folder: Path,
    now: Any,
    ports: Any = None,
    **settings: Any,
) -> Delivery:
    """What a process of the node sends with; files in the folder unless other ports are given."""
    given = NoticeSettings(**settings)
    return Delivery(
        pool,
        guard,
        ports or open_ports(given, folder),
        given,
        sites=SITES,
        origin="https://health.test",
        now=now,
    )


@asynccontextmanager
async def mail_server(answers: list[str], taken: list[str]) -> AsyncIterator[int]:
    """A server of mail on a port of its own (RFC 5321, as much as is needed). It says one of the
    `answers` to each recipient, 250 when there are no more, and keeps what it has taken.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        while line := (await reader.readline()).decode().strip():
            command = line[:4].upper()
            if command == "RCPT":
                writer.write((answers.pop(0) if answers else "250 ok").encode() + b"\r\n")
            elif command == "DATA":
                writer.write(b"354 go on\r\n")
                taken.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                writer.write(b"250 taken\r\n")
            elif command == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
        writer.close()

    async with _serving(talk) as port:
        yield port


@asynccontextmanager
async def web_server(
    statuses: list[int], taken: list[tuple[dict[str, str], bytes]]
) -> AsyncIterator[str]:
    """A web server on a port of its own; it answers with the statuses in turn, 200 after them."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        taken.append((headers, body))
        status = statuses.pop(0) if statuses else 200
        writer.write(f"HTTP/1.1 {status} said\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async with _serving(answer) as port:
        yield f"http://127.0.0.1:{port}/messages"


@asynccontextmanager
async def _serving(answer: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
