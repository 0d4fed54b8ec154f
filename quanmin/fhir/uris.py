"""What stands above and below an address: its path, part by part (R4 search 3.1.1.4.9)."""

from __future__ import annotations

import re

_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#|]+")
# A path goes on after these; what follows a version of a canonical is a part of it.
_ENDS_OF_PARTS = "/?#|"


def is_url(uri: str) -> bool:
    """Whether it has a path at all: an OID or a UUID as a URN has none."""
    return _AUTHORITY.match(uri) is not None


def addresses_above(url: str) -> list[str]:
    """Every address that `url` lies below: its beginnings as far as a part of its path, without the
    slash, and of `url|1.2` also `url` and `url|1`. Empty for what has no path.
    """
    found = _AUTHORITY.match(url)
    if found is None:
        return []
    above, is_version = [], False
    for at in range(found.end(), len(url)):
        if url[at] in _ENDS_OF_PARTS or (is_version and url[at] == "."):
            above.append(url[:at])
        is_version = is_version or url[at] == "|"
    return above


def is_below(url: str, top: str) -> bool:
    """Whether `url` is `top` or lies below it."""
    return url == top or top.removesuffix("/") in addresses_above(url)


def is_version_of(canonical: str, asked: str) -> bool:
    """Whether a canonical is the one asked for: any version of it, or with a version that one and
    its parts, `|1` being 1, 1.0 and 1.2.3 (R4 search 3.1.1.4.13).
    """
    address, _, version = canonical.partition("|")
    asked_address, _, asked_version = asked.partition("|")
    if address != asked_address:
        return False
    return not asked_version or f"{version}.".startswith(f"{asked_version}.")
