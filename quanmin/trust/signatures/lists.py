"""Copies authorities' lists of revoked certificates into the folder of accepted ones, from the
addresses that the operator has named and from nowhere else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from quanmin.base.authorities import Authorities, read_folder
from quanmin.base.certificates import CertificateUnreadable, unarmoured
from quanmin.base.fetching import FetchPlaces
from quanmin.base.problems import Problem
from quanmin.base.revocation import RevocationList, StatusUnreadable

_BYTES_MAX: Final = 64 << 20


class Fetched(msgspec.Struct, frozen=True):
    """What came of one address; `fault` is empty when its list lies in the folder now."""

    address: str
    fault: str = ""


def fetch_lists(folder: Path, addresses: str) -> Iterator[Fetched]:
    """Fetch the list at each address (separated by spaces) and put it in the place of the former.

    A list by none of the folder's authorities, or older than the one that is there, is left: http
    is what authorities offer, and whoever sits on the line must not bring back an old one. Raises
    Unusable for a folder that cannot be read.
    """
    believed = read_folder(folder)
    for address in addresses.split():
        parts = urlsplit(address)
        places = FetchPlaces(None, f"{parts.scheme}://{parts.netloc}")
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        try:
            content = b"".join(places.chunks(address, "", bytes_max=_BYTES_MAX))
            fault = _replace(folder / f"{name}.crl", content, believed)
        except Problem as problem:
            fault = problem.text
        yield Fetched(address, fault)


def _replace(path: Path, content: bytes, believed: Authorities) -> str:
    try:
        (found,) = map(RevocationList, unarmoured(content, "X509 CRL"))
    except (StatusUnreadable, CertificateUnreadable, ValueError):
        return "it is no list of revoked certificates"
    if not believed.issued(found):
        return "it is by none of the authorities in the folder: lay its certificate there"
    if path.exists() and RevocationList(_der(path)).since > found.since:
        return "it is older than the one that is there"
    part = path.with_suffix(".part")
    part.write_bytes(content)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    return ""


def _der(path: Path) -> bytes:
    return unarmoured(path.read_bytes(), "X509 CRL")[0]
