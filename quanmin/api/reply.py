"""What goes back: a status, headers and finished bytes; compressed and sent in one place."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from quanmin.api.moments import http_date
from quanmin.api.negotiation import FHIR_JSON
from quanmin.fhir.outcome import operation_outcome

if TYPE_CHECKING:
    from quanmin.base.problems import Problem
    from quanmin.trust import Stored

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

_GZIP_WINDOW = 31  # zlib's way to say "a gzip member, not a bare stream"
_GZIP_LEVEL = 1  # a record server waits for its processor, not for its network
_GZIP_ASIDE_BYTES = 1 << 18  # larger bodies would hold up the event loop for milliseconds

# Records are personal: nothing between the node and the asker may keep them. And no answer here is
# a page: where a browser shows one all the same, it runs, loads and frames nothing.
ALWAYS: Headers = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"vary", b"Accept, Accept-Encoding, Authorization"),
)


class Stream(Protocol):
    """An answer that is made as it is sent, to its end or not."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Its pieces."""

    async def close(self) -> None:
        """It is sent no further."""


class Reply(msgspec.Struct, frozen=True):
    """An answer. An empty body is sent without a content type. A `stream` is sent instead of the
    body, as it is: its headers say how long it is and how it is packed.
    """

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: bytes = FHIR_JSON
    stream: Stream | None = None


def version_headers(stored: Stored) -> Headers:
    """The headers that name a version: `ETag` and `Last-Modified`."""
    return (
        (b"etag", b'W/"%d"' % stored.version),
        (b"last-modified", http_date(stored.updated)),
    )


def version_url(base: str, stored: Stored) -> bytes:
    """The address of this very version."""
    return f"{base}/{stored.type}/{stored.id}/_history/{stored.version}".encode("latin-1")


def refuse(problem: Problem) -> Reply:
    """The answer to a problem: its status and an OperationOutcome with its issues."""
    headers: Headers = ()
    if problem.retry_after_seconds is not None:
        headers = ((b"retry-after", b"%d" % problem.retry_after_seconds),)
    if problem.status == 401 or problem.challenge:
        challenge = f", {problem.challenge}" if problem.challenge else ""
        headers = (*headers, (b"www-authenticate", f'Bearer realm="quanmin"{challenge}'.encode()))
    return Reply(problem.status, operation_outcome(problem.issues), headers)


def pretty(reply: Reply) -> Reply:
    """The same answer with its JSON laid out for people; numbers keep their digits."""
    if not reply.body:
        return reply
    return msgspec.structs.replace(reply, body=msgspec.json.format(reply.body, indent=2))


def _pack(body: bytes) -> bytes:
    return zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW)


async def send_reply(
    reply: Reply,
    send: Send,
    *,
    request_id: str,
    accepts_gzip: bool,
    compress_bytes_min: int,
    is_head: bool,
) -> int:
    """Send the answer and return how many bytes its body took."""
    if reply.stream is not None:
        return await _send_stream(reply, reply.stream, send, request_id=request_id, is_head=is_head)
    body = reply.body
    headers = [*ALWAYS, *reply.headers, (b"x-request-id", request_id.encode("ascii"))]
    if body:
        headers.append((b"content-type", reply.content_type))
        if accepts_gzip and len(body) >= compress_bytes_min:
            is_large = len(body) > _GZIP_ASIDE_BYTES
            body = await asyncio.to_thread(_pack, body) if is_large else _pack(body)
            headers.append((b"content-encoding", b"gzip"))
    if reply.status not in {204, 304}:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    body = b"" if is_head else body
    await send({"type": "http.response.body", "body": body})
    return len(body)


async def _send_stream(
    reply: Reply, stream: Stream, send: Send, *, request_id: str, is_head: bool
) -> int:
    """Piece by piece, as fast as the client takes them."""
    headers = [
        *ALWAYS,
        *reply.headers,
        (b"x-request-id", request_id.encode("ascii")),
        (b"content-type", reply.content_type),
    ]
    sent = 0
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if not is_head:
            async for piece in stream:
                sent += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await stream.close()
    return sent
