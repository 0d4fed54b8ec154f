"""Where files may be fetched from, and fetching them: a folder of this machine, or other servers
that the operator has named. Everything else is refused before a byte is asked for.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from quanmin.base.problems import Invalid, Malformed, NotSupported, Overloaded, Sentence, TooLarge
from quanmin.base.unpacking import Gunzip

_CHUNK_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_SECONDS_MAX: Final = 60.0  # without a byte


class Fetched(NamedTuple):
    """A short answer: its status, its body, and for how many seconds its Cache-Control lets it be
    kept; None when it does not say.
    """

    status: int
    body: bytes
    seconds_good: int | None


class FetchPlaces:
    """The folder and the origins that files may come from. `setting` names the origins."""

    def __init__(
        self, folder: Path | None, origins: str, *, setting: str = "imports.origins"
    ) -> None:
        self._folder = folder
        self._setting = setting
        self._origins = frozenset(origin.casefold().rstrip("/") for origin in origins.split())

    def check(self, url: str, owner: str) -> None:
        """Raises NotSupported, Invalid for an address that may not be read by `owner` ("": any
        folder).
        """
        if _is_web(url):
            self._check_origin(url)
        else:
            self._path(url, owner)

    def chunks(self, url: str, owner: str, *, bytes_max: int) -> Iterator[bytes]:
        """The file in chunks, unpacked when it is gzip. Raises as `check`, TooLarge, and Overloaded
        for a server that does not answer as it should.
        """
        self.check(url, owner)
        total = 0
        for chunk in _unpacked(_download(url) if _is_web(url) else self._read(url, owner)):
            total += len(chunk)
            if total > bytes_max:
                raise TooLarge(
                    Sentence(
                        "the file is larger than %(bytes_max)s bytes: split it", bytes_max=bytes_max
                    )
                )
            yield chunk

    async def ask(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str],
        seconds_max: float,
        bytes_max: int,
        certificates: Path | None = None,
    ) -> Fetched:
        """A short answer, to a form where one is sent, all of it within
        `seconds_max`. Raises as `check`, TooLarge, Overloaded. `certificates` are the authorities
        that the server's certificate is checked by; None: the machine's.
        """
        self._check_origin(url)
        try:
            async with asyncio.timeout(seconds_max):
                return await _ask(url, form, headers, bytes_max, certificates)
        except TimeoutError:
            raise Overloaded("the server does not answer", retry_after_seconds=60) from None

    def _check_origin(self, url: str) -> None:
        parts = _split(url)
        # The whole authority has to be one that was named: no user, no other port, no other host.
        origin = f"{parts.scheme}://{parts.netloc}".casefold()
        if origin not in self._origins:
            raise NotSupported(
                Sentence(
                    "the node fetches nothing from there: its operator has to name the origin in "
                    "the setting %(setting)s",
                    setting=self._setting,
                )
            )

    def _read(self, url: str, owner: str) -> Iterator[bytes]:
        path = self._path(url, owner)
        try:
            file = path.open("rb")
        except OSError as error:
            raise Invalid(
                Sentence(
                    "the node may not read the file (%(strerror)s): let its account read it",
                    strerror=error.strerror,
                )
            ) from error
        with file:
            # Somebody may have put a link there after the path was looked at.
            if Path(f"/proc/self/fd/{file.fileno()}").readlink() != path:
                raise _no_such_file()
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def _path(self, url: str, owner: str) -> Path:
        parts = _split(url)
        if parts.scheme not in {"", "file"} or parts.netloc or parts.query or parts.fragment:
            raise Malformed(
                "files are named by https://..., file:///... or their path in the node's folder"
            )
        if self._folder is None:
            raise NotSupported(
                "the node reads no files of its machine: its operator has to set imports.folder"
            )
        folder = (self._folder / owner).resolve()
        try:
            # Links are followed first, so that none leads out of the folder.
            path = (folder / unquote(parts.path)).resolve()
            if path.is_relative_to(folder) and path.is_file():
                return path
        except (OSError, ValueError, RuntimeError):  # too long, no name at all, links in circles
            raise _no_such_file() from None
        raise _no_such_file()


def _is_web(url: str) -> bool:
    return _split(url).scheme in {"http", "https"}


def _split(url: str) -> SplitResult:
    try:
        url.encode()
        return urlsplit(url)
    except ValueError:
        raise Malformed("the url of an input is no address") from None


def _no_such_file() -> Invalid:
    return Invalid(
        "there is no such file in the node's folder for your imports: lay it there, or name another"
    )


def _download(url: str) -> Iterator[bytes]:
    # Loaded only here: most processes fetch nothing, and all would wait for it when they start.
    import httpx  # noqa: PLC0415 - see above

    # What is packed all the same is unpacked here, in parts of a bounded size.
    headers = {"Accept": "application/fhir+ndjson, */*", "Accept-Encoding": "identity"}
    try:
        with (
            # Redirects are not followed: they may lead where nobody allowed. Neither are proxies
            # of the environment asked.
            httpx.Client(follow_redirects=False, trust_env=False, timeout=_SECONDS_MAX) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            if 300 <= answer.status_code < 400:
                raise Invalid("the server sends elsewhere, which is not followed: name that place")
            if 400 <= answer.status_code < 500:
                raise Invalid(
                    Sentence(
                        "the server answers %(status_code)s for the file",
                        status_code=answer.status_code,
                    )
                )
            if answer.status_code != 200:
                raise Overloaded(
                    Sentence(
                        "the server answers %(status_code)s for the file",
                        status_code=answer.status_code,
                    ),
                    retry_after_seconds=60,
                )
            yield from answer.iter_raw(_CHUNK_BYTES)
    except httpx.InvalidURL:
        raise Malformed("the url of an input is no address") from None
    except httpx.HTTPError as error:
        raise Overloaded(
            Sentence(
                "the server cannot be reached or its certificate is not trusted (%(name)s)",
                name=type(error).__name__,
            ),
            retry_after_seconds=60,
        ) from error


async def _ask(
    url: str,
    form: Mapping[str, str] | None,
    headers: Mapping[str, str],
    bytes_max: int,
    certificates: Path | None,
) -> Fetched:
    import httpx  # noqa: PLC0415 - see `_download`

    trusted: ssl.SSLContext | bool = True
    try:
        if certificates is not None:
            trusted = ssl.create_default_context(cafile=certificates)
        async with (
            # As in `_download`: no redirects, no proxies of the environment.
            httpx.AsyncClient(
                follow_redirects=False, trust_env=False, timeout=_SECONDS_MAX, verify=trusted
            ) as client,
            client.stream(
                "GET" if form is None else "POST",
                url,
                data=form,
                headers={"Accept-Encoding": "identity", **headers},
            ) as answer,
        ):
            body = b""
            async for chunk in answer.aiter_raw(_CHUNK_BYTES):
                body += chunk
                if len(body) > bytes_max:
                    raise TooLarge(
                        Sentence(
                            "the answer is larger than %(bytes_max)s bytes", bytes_max=bytes_max
                        )
                    )
            said = answer.headers.get("Cache-Control", "")
            return Fetched(answer.status_code, body, _seconds_good(said))
    except httpx.InvalidURL:
        raise Malformed("the url of a server is no address") from None
    except (httpx.HTTPError, OSError) as error:
        raise Overloaded(
            Sentence(
                "the server cannot be reached or its certificate is not trusted (%(name)s)",
                name=type(error).__name__,
            ),
            retry_after_seconds=60,
        ) from error


def _seconds_good(said: str) -> int | None:
    """How long an answer may be kept, by its Cache-Control (RFC 9111 section 5.2.2)."""
    parts = {part.strip().lower() for part in said.split(",")}
    if parts & {"no-store", "no-cache"}:
        return 0
    ages = [part.partition("=")[2].strip('"') for part in parts if part.startswith("max-age=")]
    return min((int(age[:9]) for age in ages if age.isascii() and age.isdigit()), default=None)


def _unpacked(raw: Iterator[bytes]) -> Iterator[bytes]:
    """By what the file begins with, whatever its name and its headers say."""
    first = next(raw, b"")
    if not first.startswith(_GZIP):
        yield first
        yield from raw
        return
    unpack = Gunzip()
    for chunk in chain((first,), raw):
        yield from unpack.feed(chunk)
    unpack.finish()
