"""Which pages of other origins may ask this node from a browser (CORS; SMART App Launch 2.2,
section 9: discovery for all, tokens and records for registered origins). Never with credentials: a
browser adds no cookie, and what a page may see it sees by a token.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from quanmin.api.negotiation import PLAIN_JSON
from quanmin.api.oauth.discovery import REVOKE, TOKEN
from quanmin.api.reply import Headers, Reply, Send

_METADATA: Final = "/fhir/metadata"
_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_ASKED: Final = (
    b"accept, authorization, content-type, if-match, if-modified-since, if-none-exist,"
    b" if-none-match, prefer, x-purpose-of-use, x-request-id"
)
_SHOWN: Final = (
    b"content-location, etag, last-modified, location, retry-after, www-authenticate,"
    b" x-progress, x-request-id"
)
_SECONDS: Final = b"600"


class Sharing:
    """Adds to answers what lets a page of another origin read them."""

    def __init__(self, origins: str) -> None:
        """`origins` may ask for tokens and records, parted by spaces."""
        self._origins = frozenset(one.encode() for one in origins.split())

    def preflight(self, scope: MutableMapping[str, Any]) -> Reply | None:
        """The answer to a browser that asks before a page's request, where that page may send it;
        None for any other request.
        """
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        is_asking = scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
        if not is_asking or not self._is_open(scope["path"], origin):
            return None
        told: Headers = (
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ASKED),
            (b"access-control-max-age", _SECONDS),
        )
        return Reply(204, b"", told, PLAIN_JSON)

    def opened(self, scope: MutableMapping[str, Any], send: Send) -> Send:
        """`send`, with what the browser of an allowed page needs to show it the answer."""
        path: str = scope["path"]
        if path != _METADATA and not (self._origins and _is_shared(path)):
            return send
        origin = dict(scope["headers"]).get(b"origin")
        if path == _METADATA:
            added: Headers = ((b"access-control-allow-origin", b"*"),)
        elif origin is not None and origin in self._origins:
            added = (
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _SHOWN),
                (b"vary", b"Origin"),
            )
        else:
            added = ((b"vary", b"Origin"),)

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return sending

    def _is_open(self, path: str, origin: bytes | None) -> bool:
        return path == _METADATA or (_is_shared(path) and origin in self._origins)


def _is_shared(path: str) -> bool:
    return path in {TOKEN, REVOKE, "/fhir"} or path.startswith("/fhir/")
