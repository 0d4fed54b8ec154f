"""The log as AuditEvents, for those who may read it: operators all of it, a resident what is about
them. Reading it is noted like any other reading.

AuditEvents that other systems sent are ordinary records. A search gives the node's own first,
newest first, and then these.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Malformed, NotFound
from quanmin.fhir.query import Query
from quanmin.records.context import ROW, Context
from quanmin.records.model import Hits, Stored
from quanmin.records.rid import id_of
from quanmin.records.visibility import Facts
from quanmin.trust.log.audit_event import (
    TYPE,
    Named,
    entry_of_id,
    id_of_entry,
    readings,
    write_event,
)
from quanmin.trust.log.entry import Place
from quanmin.trust.log.noting import Notes
from quanmin.trust.log.rows import Kept
from quanmin.trust.log.searching import Asked, ask, count_events, find, parts_of

if TYPE_CHECKING:
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding

_OF_LOG, _OF_STORE = "l", "s"

Searching = Callable[[Query], Awaitable[Hits]]
"""Searches AuditEvents that were sent, and notes it."""


class Event(msgspec.Struct, frozen=True):
    """An AuditEvent, and the Patients it names."""

    stored: Stored
    patients: frozenset[int]


class LogReading:
    """The log as one actor may read it."""

    def __init__(self, guard: Guarding, notes: Notes, actor: Actor) -> None:
        self._guard = guard
        self._context: Context = guard.store.context
        self._notes = notes
        self._actor = actor

    async def read(self, action: str, place: Place) -> Stored:
        """The event that begins with this entry. Raises NotFound, also for one that is not for this
        actor.
        """
        mine = await self._mine()
        found: list[Event] = []
        if self._may_read:
            async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
                found = await events_of(connection, self._guard, [place], mine)
        if not found:
            await self._notes.note(action, TYPE, NotFound.code)
            raise NotFound("there is no such record, or none that you may know of")
        await self._note(action, found)
        return found[0].stored

    async def search(self, query: Query, others: Searching) -> Hits:
        """A slice of the node's own events, and after the last of them of those that were sent."""
        kind, cursor = _read_cursor(query.cursor)
        if not self._may_read:
            return await self._sent(query, cursor, others)
        mine = await self._mine()
        asked = ask(query, self._context.rid_of, mine)
        total = None
        if query.summary == "count" or query.total in {"accurate", "estimate"}:
            total = await self._count(query, asked, others)
            if query.summary == "count":
                await self._note("search", ())
                return Hits((), total=total, issues=query.ignored)
        query = msgspec.structs.replace(query, total=None)
        if kind == _OF_STORE:
            return msgspec.structs.replace(await self._sent(query, cursor, others), total=total)
        count = query.count or self._context.limits.search_count_default
        seconds = self._guard.log.limits.search_seconds_max
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            slice_ = await find(connection, asked, count=count, cursor=cursor, seconds=seconds)
            found = await events_of(connection, self._guard, slice_.heads, mine)
        await self._note("search", found)
        shown = tuple(event.stored for event in found)
        if slice_.next is not None or len(found) >= count:
            # Whether others have sent any the next page finds out.
            following = _OF_STORE if slice_.next is None else _OF_LOG + slice_.next
            return Hits(shown, total=total, next=following, issues=query.ignored)
        rest = msgspec.structs.replace(query, count=count - len(found))
        sent = await self._sent(rest, None, others)
        return msgspec.structs.replace(sent, matches=(*shown, *sent.matches), total=total)

    async def _count(self, query: Query, asked: Asked, others: Searching) -> int:
        """How many the search finds in all, of the node's own and of those that were sent."""
        only_count = msgspec.structs.replace(query, summary="count", total=None, cursor=None)
        sent = await others(only_count)
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            own = await count_events(connection, asked, self._context.limits.count_rows_max)
        return own + (sent.total or 0)

    async def _sent(self, query: Query, cursor: str | None, others: Searching) -> Hits:
        hits = await others(msgspec.structs.replace(query, cursor=cursor or None))
        following = None if hits.next is None else _OF_STORE + hits.next
        return msgspec.structs.replace(hits, next=following)

    @property
    def _may_read(self) -> bool:
        readers = readings().readers
        return self._actor.role in readers.all | readers.own

    async def _mine(self) -> frozenset[int] | None:
        """The Patients that a resident is; None for who may read all, which is nobody who runs some
        tenants of the node for others: there is one log.
        """
        if self._actor.role in readings().readers.all:
            standing = await self._guard.standings.told(self._actor)
            return frozenset() if standing.party else None
        return await self._guard.patients_of(self._actor)

    async def _note(self, action: str, events: Sequence[Event]) -> None:
        patients = {rid for event in events for rid in event.patients}
        entry = self._notes.entry_of_keys(action, TYPE, "ok", ())
        await self._notes.put(
            msgspec.structs.replace(entry, hits=len(events), patients=tuple(patients))
        )


async def events_of(
    connection: Connection,
    guard: Guarding,
    heads: Sequence[Place],
    mine: frozenset[int] | None = None,
) -> list[Event]:
    """The events that begin with these entries; given `mine`, those that name one of these
    Patients, and of what they name only what is about these.
    """
    found = [parts for parts in await parts_of(connection, heads) if parts]
    if mine is not None:
        found = [
            parts
            for parts in found
            if any(not mine.isdisjoint(part.access.patients) for part in parts)
        ]
    keys = {rid for parts in found for part in parts for rid in part.access.records}
    keys |= {rid for parts in found for part in parts for rid in part.access.patients}
    named = await _references(connection, guard.store.context, keys, mine)
    return [_event(guard, parts, named, mine) for parts in found]


def _event(
    guard: Guarding, parts: list[Kept], references: dict[int, str], mine: frozenset[int] | None
) -> Event:
    patients = {rid for part in parts for rid in part.access.patients}
    patients = patients if mine is None else patients & mine
    records = dict.fromkeys(rid for part in parts for rid in part.access.records)
    named = Named(
        tuple(references[rid] for rid in sorted(patients) if rid in references),
        tuple(references[rid] for rid in records if rid in references),
    )
    first = parts[0]
    recorded = guard.store.context.instant(first.access.at)
    stored = Stored(
        type=TYPE,
        id=id_of_entry(first.place),
        rid=0,
        version=1,
        updated=first.access.at,
        method="POST",
        body=write_event(parts, named, node=guard.log.notary.node, recorded=recorded),
        facts=Facts(0, None, TYPE, frozenset(), first.access.at),
    )
    return Event(stored, frozenset(patients))


async def _references(
    connection: Connection, context: Context, keys: Collection[int], mine: frozenset[int] | None
) -> dict[int, str]:
    """Type and id of records by their keys; of the records of `mine` alone, unless None.

    An id that the node gave is its key. Any other stands in the body, and is gone with it.
    """
    found: dict[int, str] = {}
    if mine is None:
        for rid in keys:
            if rid > 0:
                found[rid] = f"{context.named(rid & 0xFF).name}/{id_of(rid, context.prefix)}"
    wanted = [rid for rid in keys if rid not in found]
    if not wanted:
        return found
    condition = "" if mine is None else "and r.patient = any($2::bigint[])"
    arguments = [wanted] if mine is None else [wanted, sorted(mine)]
    rows = await connection.fetch(
        f"select {ROW} from records.record r where r.rid = any($1::bigint[]) {condition}",
        *arguments,
    )
    for row in rows:
        if row["rid"] > 0:
            type_ = context.named(row["type"]).name
            found[row["rid"]] = f"{type_}/{id_of(row['rid'], context.prefix)}"
    for stored in await context.open(connection, [row for row in rows if row["rid"] < 0]):
        found[stored.rid] = f"{stored.type}/{stored.id}"
    return found


def refuse_entries(type_: str, id_: str | None) -> None:
    """Raises Forbidden for a write at the address of an event of the log."""
    if type_ == TYPE and id_ is not None and entry_of_id(id_) is not None:
        raise Forbidden("events of the access log are written by the node alone: choose another id")


def _read_cursor(cursor: str | None) -> tuple[str, str | None]:
    if cursor is None:
        return _OF_LOG, None
    kind, rest = cursor[:1], cursor[1:]
    if kind not in {_OF_LOG, _OF_STORE}:
        raise Malformed("this link is damaged; begin the search anew")
    return kind, rest or None
