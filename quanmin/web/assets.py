"""The static files of the pages.

Named by their content, packed once at start, kept by browsers for ever.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from pathlib import Path

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quanmin.web.policy import HEADERS

STATIC_FOLDER = Path(__file__).parent / "static"
PATH = "/static"
_YEAR_SECONDS = 31_536_000
_DIGEST_LENGTH = 12


class Asset(msgspec.Struct, frozen=True):
    """One file under its lasting name; `packed` is its gzip form."""

    name: str
    media_type: str
    content: bytes
    packed: bytes


class Assets:
    """Every file of a folder, read at start.

    A changed file has another address, so none goes stale.
    """

    def __init__(self, folder: Path = STATIC_FOLDER) -> None:
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        self._by_file = {path.name: _asset(path) for path in files}
        self._by_name = {asset.name: asset for asset in self._by_file.values()}

    @property
    def names(self) -> tuple[str, ...]:
        """The files there are."""
        return tuple(self._by_file)

    def address(self, file: str) -> str:
        """Where a page finds the file called `file` in the folder; KeyError when there is none."""
        return f"{PATH}/{self._by_file[file].name}"

    def route(self) -> Route:
        """The route that serves them."""
        return Route(f"{PATH}/{{name}}", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        asset = self._by_name.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        headers = {
            **HEADERS,
            "Cache-Control": f"public, max-age={_YEAR_SECONDS}, immutable",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.packed, media_type=asset.media_type, headers=headers)
        return Response(asset.content, media_type=asset.media_type, headers=headers)


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    packed = gzip.compress(content, 9, mtime=0)
    return Asset(f"{path.stem}.{digest}{path.suffix}", media_type, content, packed)
