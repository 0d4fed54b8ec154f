"""Leaves out of a body at rest what its row tells anyway: its id, its Patient's id, its moment.

They are random to a packer, so they cost nearly their own length, fifteen bytes in every version.
In their place stand control characters, which JSON does not allow anywhere but as white space, and
these are not white space: no body that was accepted holds one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

_ID: Final = b"\x01"
_MOMENT: Final = b"\x02"
_PATIENT: Final = b"\x03"
_OFFSET_BYTES: Final = len("+08:00")
_CLOCK_BYTES: Final = len("2026-11-22T06:11:11.123")


class Told(msgspec.Struct, frozen=True):
    """What a row tells of its body: the ids as far as they follow from record keys (else empty),
    and when the version was made, in microseconds.
    """

    id: bytes
    patient: bytes
    updated: int


def abridge(body: bytes, told: Told, updated_text: bytes) -> bytes:
    """The body with a mark for the first occurrence of each; `updated_text` is its `lastUpdated`.

    The offset from UTC stays, since the node's zone may be another when the body is read.
    """
    if told.id:
        body = body.replace(told.id, _ID, 1)
    clock, offset = updated_text[:_CLOCK_BYTES], updated_text[_CLOCK_BYTES:]
    if len(offset) == _OFFSET_BYTES and _clock(told.updated, offset) == clock:
        body = body.replace(updated_text, _MOMENT + offset, 1)
    if told.patient:
        body = body.replace(told.patient, _PATIENT, 1)
    return body


def complete(body: bytes, told: Told) -> bytes:
    """The body as it was before `abridge`, to the last byte."""
    if told.patient:
        body = body.replace(_PATIENT, told.patient, 1)
    place = body.find(_MOMENT)
    if place >= 0:
        following = place + 1
        offset = body[following : following + _OFFSET_BYTES]
        body = b"".join((body[:place], _clock(told.updated, offset), body[following:]))
    if told.id:
        body = body.replace(_ID, told.id, 1)
    return body


# The records of a transaction share their moment.
@lru_cache(maxsize=4096)
def _clock(moment: int, offset: bytes) -> bytes:
    """What clocks show at the moment where they are ahead of UTC by `offset`, such as +08:00."""
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    ahead = -minutes * 60 if offset.startswith(b"-") else minutes * 60
    shown = datetime.fromtimestamp(moment // 1_000_000 + ahead, UTC).isoformat(timespec="seconds")
    return f"{shown[:19]}.{moment // 1000 % 1000:03d}".encode()
