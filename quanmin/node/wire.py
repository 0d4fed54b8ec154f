"""Reads the heads of requests within bounds of time and size.

Uvicorn waits for a head as long as somebody likes and keeps all that comes: a few thousand
connections that send a byte now and then (slow loris), or one that sends headers without end, would
take a worker away. Bodies are bounded where they are read.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from quanmin.api.reply import ALWAYS

_BAD: Final = b"400 Bad Request"
_LATE: Final = b"408 Request Timeout"
_LARGE: Final = b"431 Request Header Fields Too Large"


class WireLimits(msgspec.Struct, frozen=True):
    """How long the head of a request may take to arrive, and how long it may be."""

    head_seconds_max: float
    head_bytes_max: int


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    limits: ClassVar[WireLimits]

    def connection_made(  # type: ignore[override]  # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        """Wait for the first head, but not for ever."""
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, and no more of a head than it may have."""
        if self._timer is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        # What came at once may have been a small head and the beginning of a body.
        if self._timer is not None and self._head_bytes > self.limits.head_bytes_max:
            self._refuse(_LARGE)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        if self._timer is None:
            self._head_bytes = 0
            self._await_head()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn calls it so
        """Refuse what is no request with the headers of every answer, as uvicorn has none."""
        self._refuse(_BAD)

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(self.limits.head_seconds_max, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if cycle is not None and not cycle.response_complete:
            self._await_head()  # it is read no further while an earlier request is answered
        else:
            self._refuse(_LATE)

    def _refuse(self, status: bytes) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        headers = (*ALWAYS, (b"content-length", b"0"), (b"connection", b"close"))
        lines = [b"HTTP/1.1 " + status, *(name + b": " + value for name, value in headers)]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        self.transport.close()


def bounded(limits: WireLimits) -> Any:
    """The protocol of a server's connections, under these limits."""
    return type("BoundedProtocol", (BoundedProtocol,), {"limits": limits})
