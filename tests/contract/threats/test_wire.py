"""What is wrong before there is a request: heads without end, slow ones, and two in one."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
import uvicorn
from whole import Whole

from quanmin.api.reply import ALWAYS
from quanmin.node.wire import WireLimits, bounded

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
async def port(whole: Whole) -> AsyncIterator[int]:
    """A server as a worker has one, with little patience."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        whole.front(),
        http=bounded(WireLimits(head_seconds_max=0.5, head_bytes_max=16_384)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listening]))
    while not server.started:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.005)
    yield listening.getsockname()[1]
    server.should_exit = True
    await running


async def told(port: int, raw: bytes, *, drip: float = 0, seconds: float = 5) -> bytes:
    """All that comes back for these bytes, until the other end closes or says no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(seconds):
            if drip:
                for at in range(len(raw)):
                    writer.write(raw[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(drip)
            else:
                writer.write(raw)
                await writer.drain()
            while chunk := await reader.read(65_536):
                answer += chunk
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return answer


async def test_a_head_that_does_not_arrive_is_given_up(port: int) -> None:
    for raw, drip in (
        (b"", 0),
        (b"GET / HT", 0),
        (b"GET /health HTTP/1.1\r\nA: " + b"b" * 99, 0.05),
    ):
        started = time.monotonic()
        answer = await told(port, raw, drip=drip)
        # Who goes on writing on a closed connection may find it reset.
        assert answer.startswith(b"HTTP/1.1 408") or (drip and not answer), (raw, answer)
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "raw", [b"NO SUCH THING\r\n\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nX\r\n\r\n"]
)
async def test_what_is_refused_before_it_is_a_request_has_the_headers_of_every_answer(
    port: int, raw: bytes
) -> None:
    head, _, body = (await told(port, raw)).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert status.split(b" ")[1] in {b"400", b"408"}
    assert set(ALWAYS) <= {tuple(line.split(b": ", 1)) for line in lines}
    assert body == b""


async def test_many_slow_connections_keep_nobody_out(port: int) -> None:
    dripping = b"GET / HTTP/1.1\r\nX: " + b"y" * 40
    slow = [asyncio.create_task(told(port, dripping, drip=0.1)) for _ in range(100)]
    await asyncio.sleep(0.2)
    started = time.monotonic()
    assert (await told(port, GET, seconds=1)).startswith(b"HTTP/1.1 200")
    assert time.monotonic() - started < 2
    given_up = await asyncio.gather(*slow)
    assert {answer[:12] for answer in given_up} <= {b"HTTP/1.1 408", b""}
    assert time.monotonic() - started < 3.5  # what they would send takes four seconds and more


@pytest.mark.parametrize("part", ["header", "headers", "address"])
async def test_a_head_without_end_is_refused_before_it_fills_memory(port: int, part: str) -> None:
    raw = {
        "header": b"GET / HTTP/1.1\r\nX: " + b"y" * 4_000_000,
        "headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 600_000,
        "address": b"GET /" + b"y" * 4_000_000,
    }[part]
    assert b" 200 " not in (answer := await told(port, raw))
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


async def test_a_large_body_behind_a_small_head_is_no_head(port: int) -> None:
    body = b"y" * 200_000
    raw = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert (await told(port, raw, seconds=2)).startswith(b"HTTP/1.1 4")


async def test_requests_on_one_connection_are_each_answered_and_a_slow_second_is_given_up(
    port: int,
) -> None:
    assert (await told(port, GET * 50, seconds=1)).count(b"HTTP/1.1 200") == 50
    answer = await told(port, GET + b"GET /health HT")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.count(b"HTTP/1.1 408") == 1


# Each means one request to some reader in front and two to another (RFC 9112 section 11.2).
SMUGGLED = {
    "both lengths": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 9\r\n\r\n" + GET,
    "a hidden coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + GET,
    "a coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + GET,
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + GET,
    "a signed length": b"Content-Length: +5\r\n\r\n" + GET,
    "a chunk with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + GET,
    "a bare line feed": b"Transfer-Encoding: chunked\n\n0\n\n" + GET,
}


@pytest.mark.parametrize("kind", SMUGGLED)
async def test_a_request_that_means_two_things_is_no_request(port: int, kind: str) -> None:
    raw = b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\n" + SMUGGLED[kind]
    answer = await told(port, raw, seconds=1.5)
    assert b"HTTP/1.1 200" not in answer, "what was smuggled in was answered"
    assert answer.count(b"HTTP/1.1 ") <= 1
