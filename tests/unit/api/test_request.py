from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import MutableMapping
from typing import Any

import pytest

from quanmin.api.admission import Held
from quanmin.api.request import Disconnected, Request
from quanmin.base.problems import Malformed, Overloaded, TooLarge, UnsupportedMedia


def request(
    *chunks: bytes, headers: dict[bytes, bytes] | None = None, cut: bool = False, query: bytes = b""
) -> Request:
    sent = [
        {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1 or cut}
        for n, chunk in enumerate(chunks)
    ]
    sent.append({"type": "http.disconnect"})
    left = iter(sent)

    async def receive() -> MutableMapping[str, Any]:
        return next(left)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/fhir/Patient",
        "raw_path": b"/fhir/Patient",
        "query_string": query,
        "scheme": "http",
        "headers": [*(headers or {b"content-length": b"1"}).items()],
        "client": ("127.0.0.1", 1),
    }
    return Request(scope, receive)


async def test_a_body_comes_together_and_is_counted() -> None:
    held = Held(100)
    assert await request(b"ab", b"", b"cd").body(4, held) == b"abcd"
    assert held._bytes == 4


async def test_a_body_over_the_limit_is_refused_while_it_arrives() -> None:
    held = Held(100)
    sent = request(b"abc", b"def", b"ghi")
    with pytest.raises(TooLarge, match="5 bytes"):
        await sent.body(5, held)
    assert held._bytes == 0
    await sent.throw_away(100)
    assert sent._is_whole


async def test_a_body_that_promises_too_much_is_refused_unread() -> None:
    sent = request(b"abc", headers={b"content-length": b"6"})
    with pytest.raises(TooLarge):
        await sent.body(5, Held(100))
    assert not sent._is_whole


async def test_a_surplus_is_thrown_away_only_up_to_its_limit() -> None:
    sent = request(b"abc", b"def", b"ghi")
    await sent.throw_away(4)
    assert not sent._is_whole


async def test_a_packed_body_is_unpacked_within_the_limit() -> None:
    packed = gzip.compress(b"x" * 50)
    headers = {b"content-encoding": b"gzip"}
    assert await request(packed[:9], packed[9:], headers=headers).body(50, Held(99)) == b"x" * 50


async def test_a_gzip_bomb_costs_no_memory() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    held = Held(1000)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        await request(bomb, headers={b"content-encoding": b"gzip"}).body(1000, held)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert held._bytes == 0


@pytest.mark.parametrize(
    "packed",
    [b"no gzip", gzip.compress(b"abc", mtime=0)[:-3], gzip.compress(b"abc", mtime=0) + b"more"],
)
async def test_a_broken_packed_body_is_refused(packed: bytes) -> None:
    with pytest.raises(Malformed):
        await request(packed, headers={b"content-encoding": b"gzip"}).body(99, Held(99))


async def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(UnsupportedMedia):
        await request(b"a", headers={b"content-encoding": b"br"}).body(9, Held(99))


async def test_bodies_that_do_not_fit_beside_the_others_wait() -> None:
    held = Held(10)
    held.take(8)
    with pytest.raises(Overloaded):
        await request(b"abcd").body(9, held)
    assert held._bytes == 8


async def test_a_client_that_leaves_holds_nothing() -> None:
    held = Held(99)
    with pytest.raises(Disconnected):
        await request(b"ab", cut=True).body(9, held)
    assert held._bytes == 0


def test_a_sane_request_id_is_kept_and_another_is_replaced() -> None:
    assert request(headers={b"x-request-id": b"a-1.b_2"}).id == "a-1.b_2"
    for bad in (b"a b", b"", b"x" * 65, b'"', "王".encode()):
        made = request(headers={b"x-request-id": bad}).id
        assert made != bad.decode("latin-1")
        assert len(made) == 32


def test_a_query_over_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge, match="POST"):
        request(query=b"a=" + b"x" * 50).pairs(40)
