"""From where on the network somebody asks: by this attempts and strangers are counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

_PREFIX_6: Final = 64
_UNKNOWN: Final = "unknown"


def network_of(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: bytes = b"") -> str:
    """The address of who asked, of IPv6 the network, since everybody there has many addresses.

    `peer` is the other end of the connection. `trusted` is the header, in small letters, in which
    whoever stands in front says who asked; b"": nobody stands there, and no header is believed.
    """
    said = peer
    if trusted:
        # The last that stands there was written by whoever is in front; the rest by anybody.
        written = [value for name, value in headers if name == trusted]
        if written:
            said = written[-1].decode("latin-1").rpartition(",")[2].strip()
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return _UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address.packed, _PREFIX_6), strict=False))
        address = address.ipv4_mapped
    return str(address)
