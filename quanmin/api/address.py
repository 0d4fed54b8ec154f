"""Reads addresses strictly: a path and a query that mean one thing only, or a clear refusal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_to_bytes

from quanmin.base.problems import Malformed

Pairs = list[tuple[str, str]]

# R4 datatypes.html#id
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_BROKEN_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")


def unescape(raw: bytes, what: str) -> str:
    """The text that percent-encoded UTF-8 stands for; Malformed names `what` holds the fault."""
    if b"%" in raw:
        if _BROKEN_PERCENT.search(raw):
            text = f"{what} has a % that is not followed by two hexadecimal digits; write % as %25"
            raise Malformed(text)
        raw = unquote_to_bytes(raw)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not UTF-8 after percent-decoding") from None
    if _CONTROL.search(text):
        raise Malformed(f"{what} contains a control character (NUL or another)")
    return text


def parse_path(raw: bytes) -> list[str]:
    """The parts of a path below the base; one slash at the end makes no difference."""
    parts = raw.strip(b"/").split(b"/") if raw.strip(b"/") else []
    return [unescape(part, "the path") for part in parts]


def parse_pairs(raw: bytes, what: str = "the query") -> Pairs:
    """Names and values of a query string or a form, in order, `+` read as a space."""
    pairs: Pairs = []
    for piece in raw.split(b"&"):
        if piece:
            name, _, value = piece.replace(b"+", b" ").partition(b"=")
            pairs.append((unescape(name, what), unescape(value, what)))
    return pairs


def write_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """A query string for `pairs`, readable where the RFC allows it."""
    return "&".join(
        f"{quote(name, safe='_:.-')}={quote(value, safe='_:.-,|/')}" for name, value in pairs
    )


def base_of(headers: Mapping[bytes, bytes], scheme: str, path: str) -> str:
    """The absolute base address as the client wrote it, from its Host header.

    Raises Malformed for a host that is none: it would come back inside links.
    """
    host = headers.get(b"host", b"localhost").decode("latin-1")
    if not _HOST.fullmatch(host):
        raise Malformed("the Host header is not a host name with an optional port")
    return f"{scheme}://{host}{path}"
