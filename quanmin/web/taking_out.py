"""The whole record of one person as a FHIR Bundle, sent as it is read, of any length in bounded
memory.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import Final
from uuid import uuid4

from starlette.responses import StreamingResponse

from quanmin.trust import Part, Timeline
from quanmin.web.records import DeclaredRecords

BATCH: Final = 500
_NAMED_AT_ONCE: Final = 100
# Whom and where a record refers to: without these it would not say who did it.
_ABOUT: Final = ("Organization", "Practitioner", "PractitionerRole", "Location", "Medication")
_REFERENCE: Final = re.compile(
    rf'"reference"\s*:\s*"({"|".join(_ABOUT)})/([A-Za-z0-9\-.]{{1,64}})"'.encode()
)


def bundle_of(
    records: DeclaredRecords, patient_id: str, first: Timeline, types: tuple[str, ...], name: str
) -> StreamingResponse:
    """A Bundle of type `collection`: the registrations of the person, all their records of these
    types, newest first, then whom and where these refer to. `first` is its first batch, read before
    anything is sent so that a refusal is a page and not half a file. What is sent was decided batch
    by batch, each by an entry of the access log; one that ends early is no JSON.
    """

    async def pieces() -> AsyncIterator[bytes]:
        named: set[tuple[str, str]] = set()
        yield b'{"resourceType":"Bundle","id":"%s","type":"collection","entry":[' % _id()
        begins = b""
        batch = first
        bodies = [stored.body or b"{}" for stored in batch.patients]
        while True:
            bodies += [stored.body or b"{}" for stored in batch.entries]
            if bodies:
                yield begins + _entries(bodies)
                begins = b","
            named |= {found for body in bodies for found in _named(body)}
            if batch.next is None:
                break
            part = Part(types=types, count=BATCH, cursor=batch.next)
            (batch,) = await records.timelines(patient_id, part)
            bodies = []
        async for body in _read_named(records, named):
            yield begins + _entries([body])
        yield b"]}"

    return StreamingResponse(
        pieces(),
        media_type="application/fhir+json",
        headers={"Content-Disposition": f'attachment; filename="{name}.json"'},
    )


async def _read_named(
    records: DeclaredRecords, named: Iterable[tuple[str, str]]
) -> AsyncIterator[bytes]:
    for type_ in _ABOUT:
        if not records.may_read(type_):
            continue
        ids = sorted(id_ for one, id_ in named if one == type_)
        for at in range(0, len(ids), _NAMED_AT_ONCE):
            some = ids[at : at + _NAMED_AT_ONCE]
            hits = await records.find(type_, ("_id", ",".join(some)), count=len(some))
            for stored in hits.matches:
                yield stored.body or b"{}"


def _entries(bodies: Iterable[bytes]) -> bytes:
    return b",".join(b'{"resource":' + body + b"}" for body in bodies)


def _named(body: bytes) -> set[tuple[str, str]]:
    return {(type_.decode(), id_.decode()) for type_, id_ in _REFERENCE.findall(body)}


def _id() -> bytes:
    return str(uuid4()).encode()
