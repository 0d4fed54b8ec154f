"""One request as the door sees it: headers by name, pairs decoded strictly, a bounded body."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from quanmin.api.address import Pairs, parse_pairs
from quanmin.api.negotiation import FHIR_JSON
from quanmin.base.problems import Malformed, TooLarge, UnsupportedMedia

if TYPE_CHECKING:
    from quanmin.api.admission import Held

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_SANE_ID = re.compile(rb"[A-Za-z0-9._\-]{1,64}")
_GZIP = frozenset({b"gzip", b"x-gzip"})
_GZIP_WINDOW = 31  # zlib's way to say "a gzip member, not a bare stream"


class Disconnected(Exception):  # noqa: N818 - not an error: nobody is left to tell
    """The client went away before it had sent its whole body."""


class Request:
    """What came in. What is known of it later (`route`, `actor` ...) is for the log."""

    __slots__ = (
        "_is_whole",
        "_receive",
        "actor",
        "content_type",
        "headers",
        "id",
        "interaction",
        "method",
        "path",
        "peer",
        "query",
        "received_bytes",
        "route",
        "scheme",
    )

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive) -> None:
        self._receive = receive
        self._is_whole = False
        self.query: bytes = scope["query_string"]
        self.method: str = scope["method"]
        self.path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        self.scheme: str = scope["scheme"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        sent_id = self.headers.get(b"x-request-id")
        is_sane = sent_id is not None and _SANE_ID.fullmatch(sent_id)
        self.id: str = sent_id.decode("ascii") if is_sane and sent_id else os.urandom(16).hex()
        self.route = "unknown"
        self.interaction = "unknown"
        self.actor = ""
        self.received_bytes = 0
        self.content_type = FHIR_JSON

    def header(self, name: bytes) -> str | None:
        """A header as text, None when it was not sent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def pairs(self, bytes_max: int) -> Pairs:
        """The names and values of the query string; Malformed or TooLarge when it is no good."""
        if not self.query:
            return []
        if len(self.query) > bytes_max:
            raise TooLarge(
                f"the query is longer than {bytes_max} bytes; send the search by POST to _search"
            )
        return parse_pairs(self.query)

    async def body(self, bytes_max: int, held: Held) -> bytes:
        """The whole body, unpacked, of at most `bytes_max`; every byte of it is taken from `held`.

        The caller gives `len(body)` back to `held`; when this raises, nothing is held.
        """
        growing = _Body(bytes_max, held, self.headers)
        try:
            _check_promise(self.headers, bytes_max)
            async for chunk in self._chunks():
                growing.add(chunk)
            return growing.finish()
        except BaseException:
            growing.drop()
            raise

    async def stream(self, bytes_max: int) -> AsyncIterator[bytes]:
        """The body as it arrives, as it was packed. Raises TooLarge, UnsupportedMedia."""
        _check_promise(self.headers, bytes_max)
        total = 0
        async for chunk in self._chunks():
            total += len(chunk)
            if total > bytes_max:
                raise _too_large(bytes_max)
            if chunk:
                yield chunk

    async def _chunks(self) -> AsyncIterator[bytes]:
        while not self._is_whole:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            self._is_whole = not message.get("more_body", False)
            yield message.get("body", b"")

    async def throw_away(self, bytes_max: int) -> None:
        """Read what is left of the body, at most `bytes_max`, and keep nothing.

        Many clients write their whole body before they read: cut off in the middle, they would see
        a broken connection instead of the refusal.
        """
        if b"content-length" not in self.headers and b"transfer-encoding" not in self.headers:
            return
        left = bytes_max
        async for chunk in self._chunks():
            left -= len(chunk)
            if left < 0:
                return


class _Body:
    """A body that grows chunk by chunk and is refused the moment it is too large."""

    def __init__(self, bytes_max: int, held: Held, headers: dict[bytes, bytes]) -> None:
        self._bytes_max = bytes_max
        self._held = held
        is_packed = _encoding(headers) in _GZIP
        self._unpack = zlib.decompressobj(_GZIP_WINDOW) if is_packed else None
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        if self._unpack is not None and chunk:
            try:
                # One byte more than fits is unpacked at most: a bomb costs no memory.
                chunk = self._unpack.decompress(chunk, self._bytes_max - self._size + 1)
            except zlib.error:
                raise Malformed("the body is not gzip, as Content-Encoding says it is") from None
        if self._size + len(chunk) > self._bytes_max:
            raise _too_large(self._bytes_max)
        self._held.take(len(chunk))
        self._size += len(chunk)
        self._parts.append(chunk)

    def finish(self) -> bytes:
        if self._unpack is not None and (not self._unpack.eof or self._unpack.unused_data):
            raise Malformed("the gzip body ends too early or goes on after its end")
        return b"".join(self._parts)

    def drop(self) -> None:
        self._held.give_back(self._size)
        self._size = 0
        self._parts.clear()


def _encoding(headers: dict[bytes, bytes]) -> bytes:
    return headers.get(b"content-encoding", b"identity").strip().lower()


def _check_promise(headers: dict[bytes, bytes], bytes_max: int) -> None:
    """Refuse by what the headers say, before a byte is read."""
    if _encoding(headers) not in _GZIP | {b"identity"}:
        raise UnsupportedMedia("Content-Encoding: send the body plain or packed with gzip")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > bytes_max:
        raise _too_large(bytes_max)


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"the body is larger than {bytes_max} bytes; send it in parts")
