"""All that belongs to one record: its compartment in slices, and the records of nobody that these
refer to (R4 patient-operation-everything, encounter-operation-everything).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.values import Link
from quanmin.records.context import ROW, Context
from quanmin.records.gaps import (
    LAST,
    Spread,
    Stretch,
    as_met,
    spread_of,
    stretches,
    within,
)
from quanmin.records.model import Hits, Stored
from quanmin.records.search.arm import Write
from quanmin.records.search.deciding import values_of
from quanmin.records.search.including import cut
from quanmin.records.search.linked import compartment_row
from quanmin.records.search.order import (
    Key,
    Order,
    Position,
    decode_cursor,
    name_of,
    read_cursor,
    write_cursor,
)
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.selection import OfEach, Part, Selected
from quanmin.records.search.slices import Slices
from quanmin.records.search.term import Scope, always
from quanmin.records.simplifying import seen_of_type
from quanmin.records.visibility import (
    Both,
    Either,
    OfNobody,
    OfPatient,
    OfType,
    Visibility,
)
from quanmin.records.visibility_sql import visibility_sql

# The one order in which a record that is written meanwhile is neither skipped nor given twice.
_BY_KEY: Order = (Key("rid", descending=False),)


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: records of these `types` (empty: all), written `since` a moment, whose
    main date meets the span from `start` to `end`; those without a date are in every span.

    Moments are in microseconds, `since` and `start` inclusive, `end` exclusive. `cursor` continues.
    """

    types: frozenset[str] = frozenset()
    since: int | None = None
    start: int | None = None
    end: int | None = None
    count: int = 50
    cursor: str | None = None


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where the compartment goes on, which records of nobody have been given, and how
    the compartment lies.
    """

    place: str | None
    given: tuple[int, ...]
    spread: Spread = Spread()


async def related(
    connection: Connection,
    context: Context,
    visibility: Visibility,
    holder: Stored,
    asked: Related,
) -> Hits:
    """A slice of the compartment of `holder`, itself first, as `matches`; what these refer to and
    is of nobody, or is their Patient, as `included`. No record is given twice in all slices.

    Raises as `search` does, and NotFound for a type that is none.
    """
    for name in asked.types:
        context.definition(name)
    return await _Gathering(Reader(connection, context), context, visibility, holder, asked).slice()


class _Gathering:
    def __init__(
        self,
        reader: Reader,
        context: Context,
        visibility: Visibility,
        holder: Stored,
        asked: Related,
    ) -> None:
        self._reader = reader
        self._context = context
        self._visibility = visibility
        self._holder = holder
        self._asked = asked

    async def slice(self) -> Hits:
        asked = self._asked
        cursor = None if asked.cursor is None else _read(asked.cursor)
        matches = [self._holder] if cursor is None and self._is_holder_asked() else []
        given = set() if cursor is None else set(cursor.given)
        place = None if cursor is None else cursor.place
        scopes = await self._scopes()
        spread = await self._spread(scopes) if cursor is None else cursor.spread
        is_full = len(matches) == asked.count
        if not is_full:
            found, place = await self._next(scopes, spread, place, asked.count - len(matches))
            matches += found
        limit = self._context.limits.include_rows_max
        others = await self._referred(matches, given)
        issues = (cut(limit),) if len(given) + len(others) > limit else ()
        others = others[: max(0, limit - len(given))]
        after = None
        if is_full or place is not None:
            given |= {stored.rid for stored in others}
            after = write_cursor(_Cursor(place, tuple(sorted(given)), spread))
        return Hits(tuple(matches), tuple(others), next=after, issues=issues)

    def _is_holder_asked(self) -> bool:
        since = self._asked.since
        is_recent = since is None or self._holder.updated >= since
        return is_recent and self._has_type(self._holder.type)

    def _has_type(self, type_: str) -> bool:
        return not self._asked.types or type_ in self._asked.types

    async def _spread(self, scopes: Sequence[Scope]) -> Spread:
        if self._holder.type != "Patient":
            return Spread()
        member = [compartment_row(scope, "Patient", self._holder.id) for scope in scopes]
        return await spread_of(self._reader, scopes, member)

    async def _next(
        self, scopes: Sequence[Scope], spread: Spread, place: str | None, count: int
    ) -> tuple[list[Stored], str | None]:
        """`count` records of the compartment after a place, and where the next begin."""
        after = None if place is None else read_cursor(place, _BY_KEY).values[0]
        found: list[Stored] = []
        for stretch in stretches(spread, after):
            parts = tuple(self._of_type(scope, spread, stretch) for scope in scopes)
            slices = Slices(self._reader, OfEach(parts), _BY_KEY, self._context)
            more, place = await slices.after(place, count - len(found))
            found += more
            if place is not None:
                break
            if len(found) == count and stretch.end != LAST:
                place = write_cursor(Position(name_of(_BY_KEY), 0, (stretch.end,)))
                break
        return found, place

    async def _scopes(self) -> list[Scope]:
        """The types that may be in the compartment and of which there are records."""
        context, holder = self._context, self._holder
        names = {holder.type, *context.table.compartments[holder.type]}
        numbers = [context.definition(name).number for name in names if self._has_type(name)]
        statement = Statement()
        rows = await self._reader.rows(
            f"select t.number from unnest({statement.bind(sorted(numbers))}::smallint[])"
            " as t (number) cross join lateral"
            " (select 1 from records.record r where r.type = t.number limit 1) one",
            statement,
        )
        return [Scope(context, (context.named(row["number"]),)) for row in rows]

    def _of_type(self, scope: Scope, spread: Spread, stretch: Stretch) -> Part:
        """What of a type is in a stretch of the compartment."""
        number = scope.numbers[0]
        member = compartment_row(scope, self._holder.type, self._holder.id)
        name, rid = scope.definitions[0].name, self._holder.rid
        narrowed = seen_of_type(self._visibility, name)
        conditions: tuple[Write, ...] = (
            lambda bind: f"r.type = {bind(number)}::smallint",
            lambda _: "r.flags & 1 <> 1",
            lambda bind: visibility_sql(narrowed, bind, "r"),
            as_met(member) if number in spread.large else member,
            lambda bind: f"r.rid <> {bind(rid)}::bigint",
            *within(stretch, spread, number),
            *_moments(name, self._asked),
        )
        return Part(name, Selected(conditions, conditions), _BY_KEY)

    async def _referred(self, matches: Sequence[Stored], given: Collection[int]) -> list[Stored]:
        """What the slice refers to and has not been given: records of nobody, and an Encounter's
        Patient. Other records of patients are left to their own compartments.
        """
        context, since = self._context, self._asked.since
        wanted = _links(context, matches) - {self._holder.rid, *given}
        if not wanted:
            return []
        statement = Statement()
        conditions = [
            f"r.rid = any({statement.bind(sorted(wanted))}::bigint[])",
            "r.flags & 1 <> 1",
            visibility_sql(Both((self._visibility, self._supporting())), statement.bind, "r"),
        ]
        if self._asked.types:
            numbers = [context.definition(name).number for name in sorted(self._asked.types)]
            conditions.append(f"r.type = any({statement.bind(numbers)}::smallint[])")
        if since is not None:
            conditions.append(f"r.updated >= {statement.bind(since)}::bigint")
        limit = statement.bind(context.limits.include_rows_max + 1)
        rows = await self._reader.rows(
            f"select {ROW} from records.record r where {' and '.join(conditions)}"
            f" order by r.rid limit {limit}::bigint",
            statement,
        )
        return await self._reader.open(rows)

    def _supporting(self) -> Visibility:
        patient = self._holder.facts.patient
        if self._holder.type == "Patient" or patient is None:
            return OfNobody()
        whose = Both((OfType(frozenset({"Patient"})), OfPatient(frozenset({patient}))))
        return Either((OfNobody(), whose))


def _read(text: str) -> _Cursor:
    cursor = decode_cursor(text, _Cursor)
    if cursor.place is not None:
        read_cursor(cursor.place, _BY_KEY)
    return cursor


def _moments(type_: str, asked: Related) -> tuple[Write, ...]:
    since, start, end = asked.since, asked.start, asked.end
    if type_ == "Patient":  # whose date is that of birth, not of care
        start = end = None
    return (
        always if since is None else lambda bind: f"r.updated >= {bind(since)}::bigint",
        always
        if start is None
        else lambda bind: f"(r.low is null or r.high > {bind(start)}::bigint)",
        always if end is None else lambda bind: f"(r.low is null or r.low < {bind(end)}::bigint)",
    )


def _links(context: Context, records: Sequence[Stored]) -> set[int]:
    """The keys of the records that these refer to by any search parameter."""
    rids = {
        context.rid_of(value.type, value.id)
        for stored in records
        for values in values_of(stored, context).values()
        for value in values
        if isinstance(value, Link) and value.type is not None and value.id is not None
    }
    return {rid for rid in rids if rid is not None}
