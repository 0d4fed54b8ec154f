"""What a search touched, as the access log names it: also where the answer shows no record.

A count of one says as much as the record it counted, and that nothing was found says something of
the person who was asked about. Both are accesses to them, and so they are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import TooCostly
from quanmin.fhir.query import Chain, Query, ids_named, query_of
from quanmin.records.bundle import Reading
from quanmin.records.context import Context
from quanmin.records.model import EntryOutcome, Hits, Stored
from quanmin.records.reading import history, read, read_version
from quanmin.trust.deciding import Rights
from quanmin.trust.showing import search_seen, shown

_PATIENT: Final = "Patient"
_KNOWN: Final = "select rid from records.record where rid = any($1::bigint[]) order by rid"


class Touched(msgspec.Struct, frozen=True):
    """Versions, and Patients (record keys) beside those that these are of."""

    versions: tuple[Stored, ...]
    patients: tuple[int, ...] = ()


async def touched_by(
    connection: Connection,
    context: Context,
    rights: Rights,
    query: Query,
    hits: Hits,
    *,
    counted_max: int,
) -> Touched:
    """What was found. Where no record is shown: those that were counted, if they are no more than
    `counted_max`, and the Patients whom the query names by id or, being as few, by a chain.
    """
    if hits.matches or hits.included:
        return Touched((*hits.matches, *hits.included))
    counted: tuple[Stored, ...] = ()
    if 0 < (hits.total or 0) <= counted_max:
        counted = await _found(connection, context, rights, query, counted_max)
    patients = await patients_named(connection, context, [query])
    for link in query.links:
        for end in link.ends if isinstance(link, Chain) else ():
            if end.type == _PATIENT:
                asked = query_of(_PATIENT, end.condition)
                several = await _found(connection, context, rights, asked, counted_max + 1)
                if len(several) <= counted_max:
                    patients += [stored.rid for stored in several]
    return Touched(counted, tuple(dict.fromkeys(patients)))


async def read_entry(
    connection: Connection,
    context: Context,
    rights: Rights,
    reading: Reading,
    *,
    counted_max: int,
) -> EntryOutcome:
    """The answer to an entry of a bundle that reads. Raises as the store does."""
    if reading.query is not None:
        hits = await search_seen(connection, context, rights, reading.query)
        touched = await touched_by(
            connection, context, rights, reading.query, hits, counted_max=counted_max
        )
        counted = () if hits.matches or hits.included else touched.versions
        return EntryOutcome(200, hits=hits, counted=counted, about=touched.patients)
    if reading.history is not None:
        found = await history(connection, context, rights.whole, reading.history)
        return EntryOutcome(200, history=found)
    type_, id_ = reading.type or "", reading.id or ""
    if reading.version is not None:
        version = reading.version
        stored = await read_version(connection, context, rights.whole, type_, id_, version=version)
    else:
        stored = await read(connection, context, rights.readable, type_, id_)
    return EntryOutcome(200, stored=shown(rights, stored))


async def patients_named(
    connection: Connection, context: Context, queries: Sequence[Query]
) -> list[int]:
    """The Patients that this node has whom searches name by their ids."""
    ids = {id_ for query in queries for id_ in ids_named(query, _PATIENT)}
    rids = [rid for id_ in ids if (rid := context.rid_of(_PATIENT, id_)) is not None]
    if not rids:
        return []
    return [row["rid"] for row in await connection.fetch(_KNOWN, rids)]


async def _found(
    connection: Connection, context: Context, rights: Rights, query: Query, count: int
) -> tuple[Stored, ...]:
    asked = msgspec.structs.replace(
        query,
        summary=None,
        total=None,
        elements=(),
        includes=(),
        revincludes=(),
        cursor=None,
        count=count,
    )
    with suppress(TooCostly):
        # A statement that ran out of time ends its transaction: this one, and not the snapshot.
        async with connection.transaction():
            return (await search_seen(connection, context, rights, asked)).matches
    return ()
