"""Reads on behalf of rights: what is found is what they reach, as they show it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import TooCostly
from quanmin.fhir.query import Query
from quanmin.records.bundle import Reading
from quanmin.records.context import Context
from quanmin.records.model import EntryOutcome, Hits, Outcome, Stored
from quanmin.records.search import place_before, search, timeline
from quanmin.records.simplifying import both, either
from quanmin.records.store import Store
from quanmin.records.visibility import OfSender, Visibility
from quanmin.records.visibility_sql import allows
from quanmin.trust.deciding import Rights
from quanmin.trust.directory import asks_for_hidden, directory, directory_form
from quanmin.trust.registers.definitions import institution_rule

_SLICE = 500


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a timeline: of these types, so many, from a cursor on, or what was before a
    moment (microseconds since 1970). No types mean all but Patient.
    """

    types: tuple[str, ...] = ()
    count: int
    cursor: str | None = None
    before: int | None = None


class Timeline(msgspec.Struct, frozen=True):
    """One person across institutions, newest first: the linked source Patients, the asked one
    first, and a slice.
    """

    patients: tuple[Stored, ...]
    entries: tuple[Stored, ...]
    next: str | None


async def parts_of_timeline(
    connection: Connection,
    context: Context,
    rights: Rights,
    patients: Sequence[Stored],
    parts: Sequence[Part],
) -> list[Timeline]:
    """Each part of what is recorded of these Patients, as far as the rights reach it whole."""
    rids, found = [patient.rid for patient in patients], []
    for one in parts:
        start = None if one.before is None else place_before(one.before)
        hits = await timeline(
            connection, context, rids, one.types, rights.whole, one.count, one.cursor or start
        )
        found.append(Timeline(tuple(patients), hits.matches, hits.next))
    return found


def action_of(reading: Reading) -> str:
    """What the access log calls it."""
    if reading.query is not None:
        return "search"
    if reading.history is not None:
        return "history"
    return "read" if reading.version is None else "vread"


def answer_write(outcome: Outcome | None) -> EntryOutcome:
    """The answer to an entry of a bundle that writes."""
    if outcome is None:
        return EntryOutcome(204)
    about = () if outcome.left is None else (outcome.left,)
    if outcome.stored.body is None:
        return EntryOutcome(204, stored=outcome.stored, about=about)
    status = 201 if outcome.created else 200
    return EntryOutcome(status, stored=outcome.stored, about=about)


async def search_seen(
    connection: Connection, context: Context, rights: Rights, query: Query
) -> Hits:
    """A slice of what the query finds among what the rights reach."""
    seen = rights.whole if asks_for_hidden(query) else rights.readable
    hits = await search(connection, context, query, seen)
    return hits_shown(rights, hits)


async def count_seen(
    connection: Connection, context: Context, rights: Rights, query: Query
) -> int | None:
    """How many records a search would show; None when they are more than may be counted."""
    asked = msgspec.structs.replace(query, summary="count", total="accurate", cursor=None)
    try:
        # A statement that ran out of time ends its transaction: this one, and not the snapshot.
        async with connection.transaction():
            return (await search_seen(connection, context, rights, asked)).total
    except TooCostly:
        return None


def hits_shown(rights: Rights, hits: Hits) -> Hits:
    """The hits in the form in which they are shown."""
    return msgspec.structs.replace(
        hits,
        matches=tuple(shown(rights, stored) for stored in hits.matches),
        included=tuple(shown(rights, stored) for stored in hits.included),
    )


async def with_past(store: Store, rights: Rights, type_: str | None) -> Visibility:
    """The records of which earlier versions are seen: those seen whole, and what the registers say,
    in its directory form (IHE mCSD, ITI-91: updates of a directory).
    """
    if type_ not in institution_rule().register.types & directory().keys():
        return rights.whole
    codes = sorted(institution_rule().register.senders)
    entries = OfSender(frozenset([await store.sender(code) for code in codes]))
    return either((rights.whole, both((rights.readable, entries))))


def shown(rights: Rights, stored: Stored) -> Stored:
    """The record whole, or with what the directory shows of it."""
    if stored.type not in directory() or allows(rights.whole, stored.facts):
        return stored
    return directory_form(stored)


async def search_slices(
    connection: Connection, context: Context, rights: Rights, query: Query, rows_max: int
) -> Hits:
    """The hits of a query slice by slice, until there are no more or `rows_max` of them."""
    found: list[Stored] = []
    cursor: str | None = None
    while len(found) < rows_max:
        count = min(_SLICE, rows_max - len(found))
        asked = msgspec.structs.replace(query, count=count, cursor=cursor)
        hits = await search_seen(connection, context, rights, asked)
        found += hits.matches
        cursor = hits.next
        if cursor is None:
            break
    return Hits(tuple(found), next=cursor)
