"""The whole record of one person as a FHIR Bundle, made piece by piece, of any length in bounded
memory.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Final
from uuid import uuid4

from quanmin.trust import Part, Stored
from quanmin.web.made import Making, Piece

BATCH: Final = 500
_NAMED_AT_ONCE: Final = 100
# Whom and where a record refers to: without these it would not say who did it.
_ABOUT: Final = ("Organization", "Practitioner", "PractitionerRole", "Location", "Medication")
_REFERENCE: Final = re.compile(
    rf'"reference"\s*:\s*"({"|".join(_ABOUT)})/([A-Za-z0-9\-.]{{1,64}})"'.encode()
)
# Longer than any reference, which may stand across two pieces of a file.
_OVERLAP: Final = 200
_CURSOR: Final = "cursor"


async def next_of_bundle(making: Making, patient_id: str, types: tuple[str, ...]) -> Piece:
    """The next piece of a Bundle of type `collection`: the registrations of the person, all their
    records of these types, newest first, then whom and where these refer to. Each piece is decided
    by itself, by an entry of the access log.
    """
    place = making.place
    if place is not None and not place:
        return Piece(await _last(making))
    cursor = place[_CURSOR] if place else None
    part = Part(types=types, count=BATCH, cursor=cursor)
    (batch,) = await making.records.timelines(patient_id, part)
    found = [*(batch.patients if place is None else ()), *batch.entries]
    content = _entries(found)
    if place is None:
        begins = b'{"resourceType":"Bundle","id":"%s","type":"collection","entry":[' % _id()
        content = begins + content.removeprefix(b",")
    return Piece(content, len(found), {_CURSOR: batch.next} if batch.next else {})


async def _last(making: Making) -> bytes:
    """Whom and where the records refer to that were written, and the end."""
    named, records = await asyncio.to_thread(_named, making.written()), making.records
    content = b""
    for type_ in _ABOUT:
        if not records.may_read(type_):
            continue
        ids = sorted(id_ for one, id_ in named if one == type_)
        for at in range(0, len(ids), _NAMED_AT_ONCE):
            some = ids[at : at + _NAMED_AT_ONCE]
            content += _entries(
                (await records.find(type_, ("_id", ",".join(some)), count=len(some))).matches
            )
    return content + b"]}"


def _entries(found: Iterable[Stored]) -> bytes:
    """Entries behind others."""
    return b"".join(b',{"resource":' + (one.body or b"{}") + b"}" for one in found)


def _named(pieces: Iterable[bytes]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    before = b""
    for piece in pieces:
        text = before + piece
        found |= {(type_.decode(), id_.decode()) for type_, id_ in _REFERENCE.findall(text)}
        before = text[-_OVERLAP:]
    return found


def _id() -> bytes:
    return str(uuid4()).encode()
