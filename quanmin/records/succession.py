"""Leads from a data key to those that replaced it: a database that was restored from before has the
old one only, and must open what the ledger holds from after.

Each link is the next key, sealed under the one before it and then under a key of the node. So it
opens for nobody who has a data key alone, nor for the node once the data keys are destroyed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import msgspec

from quanmin.base.crypto import SUITES, Suite, Tampered, suite_keyed
from quanmin.records.codec import GENERATIONS, DataKey, Holder, generation_of

Derive = Callable[[str], bytes]
SUCCESSION: Final = "succession"
"""What the key of the node in a link is derived for."""
_PLACE: Final = struct.Struct(">HBqB")  # bucket, kind, holder, generation of the key in it


class _Link(msgspec.Struct, frozen=True, array_like=True):
    generation: int
    suite: int
    sealed: bytes


def add_link(
    derive: Derive,
    suite: Suite,
    holder: Holder,
    *,
    keys: tuple[DataKey, DataKey],
    before: bytes | None,
) -> bytes:
    """What leads to the second of these keys: the links before, and one to it from the first."""
    old, new = keys
    place = _place(holder, new.generation)
    inner = suite_keyed(old.key).seal(old.key, new.key, place)
    sealed = suite.seal(derive(SUCCESSION)[: suite.key_bytes], inner, place)
    links = [*_links(before), _Link(new.generation, suite.number, sealed)]
    # More would lead to generations that are told by the same number.
    return msgspec.msgpack.encode(links[-(GENERATIONS - 1) :])


def follow(
    derive: Derive, holder: Holder, key: DataKey, sealed: bytes, succession: bytes | None
) -> DataKey:
    """The data key under which a body stands, reached from this one. Raises Tampered."""
    if key.opener(sealed) is not None:
        return key
    wanted = generation_of(sealed)
    links = {link.generation: link for link in _links(succession)}
    while key.generation != wanted:
        link = links.pop((key.generation + 1) % GENERATIONS, None)
        if link is None or link.suite not in SUITES:
            raise Tampered
        suite, place = SUITES[link.suite], _place(holder, link.generation)
        inner = suite.open(derive(SUCCESSION)[: suite.key_bytes], link.sealed, place)
        key = DataKey(suite_keyed(key.key).open(key.key, inner, place), link.generation, key.key)
    return key


def _links(succession: bytes | None) -> list[_Link]:
    return msgspec.msgpack.decode(succession, type=list[_Link]) if succession else []


def _place(holder: Holder, generation: int) -> bytes:
    return _PLACE.pack(holder.bucket, holder.kind, holder.number, generation)
