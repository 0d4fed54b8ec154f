"""The load generator: plain HTTP/1.1 over raw sockets, in a process of its own.

Thirty microseconds a request, so that on a small machine the node is measured and not the
generator; its own processor time is reported with every result.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import BinaryIO

import msgspec
import uvloop

HOST = "127.0.0.1"
_LENGTH = b"\r\ncontent-length: "


class Plan(msgspec.Struct, frozen=True):
    """What to send: each request once in turn, or again and again for so many seconds."""

    port: int
    requests: tuple[bytes, ...]
    connections: int
    seconds: float | None = None


class Report(msgspec.Struct, frozen=True):
    """What came of it. Latencies in milliseconds, in the order of the answers."""

    elapsed_seconds: float
    latencies: tuple[float, ...]
    statuses: dict[int, int]
    generator_seconds: float
    sample: bytes

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.elapsed_seconds

    def require(self, status: int) -> None:
        """Nothing but this status: a benchmark of refusals would be a fast one."""
        if set(self.statuses) != {status}:
            raise SystemExit(f"expected {status} only, got {self.statuses}: {self.sample[:600]!r}")


def get(port: int, path: str, token: str) -> bytes:
    """A GET of the door, ready to send."""
    return (
        f"GET {path} HTTP/1.1\r\nhost: {HOST}:{port}\r\nauthorization: Bearer {token}\r\n"
        "accept: application/fhir+json\r\n\r\n"
    ).encode()


def post(port: int, path: str, headers: str, kind: str, body: bytes) -> bytes:
    """A POST, ready to send; `headers` are whole lines."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}:{port}\r\n{headers}content-type: {kind}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def fire(plan: Plan) -> Report:
    """Carry out a plan in another process and wait for its report.

    The process knows this module only: to import a node's program takes it longer than to ask.
    """
    done = subprocess.run(  # noqa: S603 - this module itself
        [sys.executable, __file__],
        input=msgspec.msgpack.encode(plan),
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.msgpack.decode(done.stdout, type=Report)


def in_turn(*sides: tuple[int, Sequence[bytes]]) -> None:
    """Send the first request to each port, then the second, and so on; 200 is the only answer.

    The order of the ports changes every time. Here and not in a process of its own: nobody asks how
    long it takes.
    """
    with contextlib.ExitStack() as opened:
        asking = []
        for port, requests in sides:
            connection = opened.enter_context(socket.create_connection((HOST, port)))
            asking.append((connection, opened.enter_context(connection.makefile("rb")), requests))
        for number in range(len(sides[0][1])):
            for connection, answers, requests in asking[:: -1 if number % 2 else 1]:
                connection.sendall(requests[number])
                _answered(answers)


def _answered(answers: BinaryIO) -> None:
    """Read one answer to its end. Raises SystemExit for any but 200."""
    head = b"".join(iter(answers.readline, b"\r\n"))
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    body = answers.read(int(found[1]) if found else 0)
    if head[9:12] != b"200":
        raise SystemExit(f"expected 200 only, got {head[9:12].decode()}: {body[:600]!r}")


def _work() -> None:
    """The other process: a plan comes in, its report goes out."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan)
    began = time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(_carry_out(plan))
    spent = time.process_time() - began
    report = msgspec.structs.replace(report, generator_seconds=spent)
    sys.stdout.buffer.write(msgspec.msgpack.encode(report))


async def _carry_out(plan: Plan) -> Report:
    loop = asyncio.get_running_loop()
    shared = _Shared(plan)
    done = []
    for _ in range(plan.connections):
        ended = loop.create_future()
        await loop.create_connection(partial(_Client, shared, ended), HOST, plan.port)
        done.append(ended)
    await asyncio.gather(*done)
    elapsed = time.perf_counter() - shared.began
    latencies = tuple(shared.latencies)
    return Report(elapsed, latencies, dict(shared.statuses), 0.0, shared.sample)


class _Shared:
    """What the connections of one run have in common."""

    def __init__(self, plan: Plan) -> None:
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.sample = b""
        self.began = time.perf_counter()
        self._next = self._requests(plan)

    def _requests(self, plan: Plan) -> Iterator[bytes]:
        end = None if plan.seconds is None else self.began + plan.seconds
        while True:
            for request in plan.requests:
                if end is not None and time.perf_counter() > end:
                    return
                yield request
            if end is None:
                return

    def next(self) -> bytes | None:
        """What to send next; None at the end."""
        return next(self._next, None)


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, shared: _Shared, ended: asyncio.Future[None]) -> None:
        self._shared = shared
        self._ended = ended
        self._received = bytearray()
        self._expected = 0
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = self._shared.next()
        if request is None:
            self._transport.close()
            self._ended.set_result(None)
            return
        self._received.clear()
        self._expected = 0
        self._sent_at = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]  # it is a stream's transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._expected:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._expected = end + 4 + self._length(bytes(self._received[:end]))
        if len(self._received) < self._expected:
            return
        shared = self._shared
        shared.latencies.append((time.perf_counter() - self._sent_at) * 1000)
        status = int(self._received[9:12])
        shared.statuses[status] += 1
        if len(shared.statuses) > 1 or not shared.sample:
            shared.sample = bytes(self._received[:4000])
        self._send()

    def _length(self, head: bytes) -> int:
        at = head.lower().find(_LENGTH)
        if at < 0:
            return 0
        return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(exc or ConnectionError("the node closed the connection"))


if __name__ == "__main__":
    _work()
