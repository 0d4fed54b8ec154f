"""Sorts by parameters that no index keeps in order: by their values in the decrypted records.

What can be walked by an index is: of `_sort=-date,status` only the records of one date are sorted,
as they come. Where no index helps, all hits are read and sorted, so they must be few. Either way a
slice begins behind the values of the last record given, so that what others write between two
slices neither hides nor repeats a record that stays as it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any, Final

import msgspec

from quanmin.base.problems import Malformed, Sentence, TooCostly
from quanmin.fhir.query import Query, SortKey
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.search.deciding import values_of
from quanmin.records.search.order import (
    Phase,
    Position,
    decode_cursor,
    name_of,
    phases,
    position_after,
    write_cursor,
)
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selection
from quanmin.records.search.slices import Slices
from quanmin.records.search.sort_values import Ranked, SortValue, comes_after, in_order, ranked

_BATCH: Final = 500


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a slice ended: the values of its last record. Of a walk in `order`, `phase` and `lead`
    are where that record stands.
    """

    sort: str
    values: tuple[tuple[Any, ...] | None, ...]
    rid: int
    phase: int = 0
    lead: tuple[int, ...] = ()


class Sorting:
    """The keys that are sorted by, type by type: those of a custom parameter differ."""

    def __init__(self, query: Query, given: int = 0) -> None:
        """Of the keys of `_sort` the first `given` are left to a walk."""
        self.keys = query.sort[given:]
        self._name = ",".join(
            f"{'-' if key.descending else ''}{key.param.name}" for key in query.sort
        )
        self._by_type: Mapping[str | None, Sequence[SortKey]] = {
            part.type: part.sort[given:] for part in query.parts
        }

    def ranked(self, stored: Stored, context: Context) -> Ranked:
        """The record with the values that count."""
        keys = self._by_type.get(stored.type, self.keys)
        asked = [key.param for key in keys]
        return ranked(stored, values_of(stored, context, asked), keys)

    def place(self, last: Ranked, phase: int = 0, lead: tuple[int, ...] = ()) -> str:
        """A cursor behind this record."""
        return write_cursor(Place(self._name, last.values, last.rid, phase, lead))

    def read(self, cursor: str) -> Place:
        """The place a cursor stands for. Raises Malformed when it is of another search."""
        place = decode_cursor(cursor, Place)
        if place.sort != self._name or len(place.values) != len(self.keys):
            raise Malformed("the cursor belongs to another search: start again without it")
        values = zip(place.values, self.keys, strict=True)
        return msgspec.structs.replace(place, values=tuple(_read(*each) for each in values))

    def behind(self, several: list[Ranked], place: Place | None) -> list[Ranked]:
        """Those that come after a place, in order."""
        if place is not None:
            values, rid = place.values, place.rid
            several = [one for one in several if comes_after(one, values, rid, self.keys)]
        return in_order(several, self.keys)


def _read(value: tuple[Any, ...] | None, key: SortKey) -> SortValue:
    """A value as it was before it was written: decimals are written as texts."""
    if value is None:
        return None
    is_moment = key.param.kind == "date" or key.param.name == "_id"
    try:
        if key.param.kind in {"number", "quantity"}:
            *unit, number = value
            return (*msgspec.convert(unit, list[str]), msgspec.convert(number, Decimal))
        return msgspec.convert(value, tuple[int, ...] if is_moment else tuple[str, ...])
    except (ValueError, msgspec.ValidationError) as error:
        raise Malformed("the cursor belongs to another search: start again without it") from error


async def sorted_slice(
    reader: Reader, context: Context, selection: Selection, query: Query, count: int
) -> tuple[list[Stored], str | None]:
    """`count` hits in the order and after the cursor the query names, and where the next begin.

    Raises TooCostly when more than `sort_rows_max` records would have to be read.
    """
    sorting = Sorting(query)
    place = None if query.cursor is None else sorting.read(query.cursor)
    limit = context.limits.sort_rows_max
    rows = await selection.all(reader, limit + 1)
    if len(rows) > limit:
        raise TooCostly(
            Sentence(
                "more than %(limit)s records (store.sort_rows_max) would have to be sorted:"
                " narrow the search, or sort by what an index keeps in order",
                limit=limit,
            )
        )
    several: list[Ranked] = []
    for start in range(0, len(rows), _BATCH):
        reader.check_time()
        opened = await reader.open(rows[start : start + _BATCH])
        hits = await selection.hits(opened, context)
        several += (sorting.ranked(stored, context) for stored in hits)
    left = sorting.behind(several, place)
    shown = left[:count]
    following = sorting.place(shown[-1]) if shown and len(left) > count else None
    return [one.stored for one in shown], following


class TiedSlices:
    """Slices in an order that an index keeps for the first keys: what is equal in these is sorted
    by the others.
    """

    def __init__(self, slices: Slices, query: Query, context: Context, *, given: int) -> None:
        """The slices are in the order of the first `given` keys of the query."""
        self._slices = slices
        self._order = slices.order
        self._context = context
        self._sorting = Sorting(query, given)
        self._names = ", ".join(key.param.code for key in query.sort[:given])

    async def after(self, cursor: str | None, count: int) -> tuple[list[Stored], str | None]:
        """`count` hits after the cursor, and where the next begin, None at the end.

        Raises TooCostly when more than `sort_rows_max` hits are equal in the first keys.
        """
        place = None if cursor is None else self._sorting.read(cursor)
        found: list[tuple[Ranked, int, tuple[int, ...]]] = []
        for phase in phases(self._order):
            if place is not None and phase.number < place.phase:
                continue
            mine = place if place is not None and phase.number == place.phase else None
            async with aclosing(self._groups(phase, mine, count)) as groups:
                async for lead, group in groups:
                    is_begun = mine is not None and mine.lead == lead
                    ordered = self._sorting.behind(group, mine if is_begun else None)
                    found += ((one, phase.number, lead) for one in ordered)
                    if len(found) > count:
                        shown = [one.stored for one, _, _ in found[:count]]
                        return shown, self._sorting.place(*found[count - 1])
        return [one.stored for one, _, _ in found], None

    async def _groups(
        self, phase: Phase, place: Place | None, count: int
    ) -> AsyncGenerator[tuple[tuple[int, ...], list[Ranked]], None]:
        """Hits that are equal in the first keys, all at a time, beginning with those of a place."""
        limit = self._context.limits.sort_rows_max
        lead: tuple[int, ...] = ()
        group: list[Ranked] = []
        begin = None if place is None else self._before(phase, place.lead)
        async with aclosing(self._slices.hits(phase, begin, count + 1)) as hits:
            async for stored in hits:
                own = self._lead(phase, stored)
                if group and own != lead:
                    yield lead, group
                    group = []
                lead = own
                group.append(self._sorting.ranked(stored, self._context))
                if len(group) > limit:
                    raise TooCostly(
                        Sentence(
                            "more than %(limit)s records are equal in %(names)s and would have"
                            " to be sorted: narrow the search, or sort by these alone",
                            limit=limit,
                            names=self._names,
                        )
                    )
        if group:
            yield lead, group

    def _lead(self, phase: Phase, stored: Stored) -> tuple[int, ...]:
        time = stored.facts.time
        at = position_after(phase, self._order, stored.updated, time, stored.rid)
        return at.values[:-1]

    def _before(self, phase: Phase, lead: tuple[int, ...]) -> Position:
        """Where those begin that are equal in the first keys."""
        last = 2**63 - 1 if phase.order[-1].descending else -(2**63)
        return Position(name_of(self._order), phase.number, (*lead, last))
