"""Sorts by parameters that no index keeps in order: after reading all hits, so only when they
are few.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from quanmin.base.problems import TooCostly
from quanmin.base.text import fold
from quanmin.fhir.query import Query, SortKey
from quanmin.fhir.values import Link, Number, Quantity, Text, Token, Uri, Value, When
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.search.deciding import Values, are_met, hits_among, values_of
from quanmin.records.search.order import decode_cursor, write_cursor
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selection

_BATCH = 500
# So many of the hits given out last are remembered: one that is written anew goes elsewhere in the
# order, and the place is then found by the one before it.
_LAST_MAX = 5
_Keyed = list[tuple[Stored, Values]]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """How many hits have been given out; (record key, moment) of the last of them, last first."""

    given: int
    last: tuple[tuple[int, int], ...]


async def sorted_slice(
    reader: Reader, context: Context, selection: Selection, query: Query, count: int
) -> tuple[list[Stored], str | None]:
    """`count` hits in the order and after the cursor the query names, and where the next begin.

    A record comes by its least value, descending by its greatest; without a value it comes last.
    Raises TooCostly when more than `sort_rows_max` records would have to be read.
    """
    keyed = await _all_hits(reader, context, selection)
    keyed.sort(key=lambda pair: pair[0].rid)
    for key in reversed(query.sort):
        keyed = _sorted(keyed, key)
    ordered = [stored for stored, _ in keyed]
    start = _start(ordered, query.cursor)
    shown = ordered[start : start + count]
    if not shown or start + count >= len(ordered):
        return shown, None
    last = tuple((stored.rid, stored.updated) for stored in reversed(shown[-_LAST_MAX:]))
    return shown, write_cursor(Place(start + count, last))


async def _all_hits(reader: Reader, context: Context, selection: Selection) -> _Keyed:
    limit = context.limits.sort_rows_max
    rows = await selection.all(reader, limit + 1)
    if len(rows) > limit:
        raise TooCostly(
            f"more than {limit} records would have to be sorted: narrow the search, or sort by"
            " _lastUpdated, _id or the type's main date"
        )
    composites = [one for one in selection.undecided if one.param.kind == "composite"]
    plain = [one for one in selection.undecided if one.param.kind != "composite"]
    hits: _Keyed = []
    for start in range(0, len(rows), _BATCH):
        reader.check_time()
        opened = await reader.open(rows[start : start + _BATCH])
        for stored in await hits_among(opened, composites, selection.judges, context):
            values = values_of(stored, context)
            if are_met(plain, values):
                hits.append((stored, values))
    return hits


def _start(ordered: list[Stored], cursor: str | None) -> int:
    if cursor is None:
        return 0
    place = decode_cursor(cursor, Place)
    places = {(stored.rid, stored.updated): at for at, stored in enumerate(ordered)}
    after = next((places[one] for one in place.last if one in places), None)
    # All of them may have been changed or deleted; then as many are skipped as were given.
    return place.given if after is None else after + 1


def _sorted(keyed: _Keyed, key: SortKey) -> _Keyed:
    found: list[tuple[Any, tuple[Stored, Values]]] = []
    without: _Keyed = []
    for pair in keyed:
        value = _sort_value(pair[0], pair[1], key)
        if value is None:
            without.append(pair)
        else:
            found.append((value, pair))
    found.sort(key=lambda each: each[0], reverse=key.descending)
    return [pair for _, pair in found] + without


def _sort_value(stored: Stored, values: Values, key: SortKey) -> Any:
    if key.param.name == "_lastUpdated":
        return stored.updated
    if key.param.name == "_id":
        return stored.id
    keys = [_comparable(value) for value in values.get(key.param.name, [])]
    present = [each for each in keys if each is not None]
    if not present:
        return None
    return max(present) if key.descending else min(present)


def _comparable(value: Value) -> int | str | Decimal | None:
    match value:
        case Text(text):
            return fold(text)
        case Token(_, code):
            return code
        case When(low, high):
            return low if low is not None else high
        case Number(low, high):
            return low if low is not None else high
        case Quantity():
            return value.low if value.low is not None else value.high
        case Link():
            return value.url if value.id is None else f"{value.type}/{value.id}"
        case Uri(uri):
            return uri
