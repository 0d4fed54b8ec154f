"""How many records a search finds: exactly up to a limit, else by the planner's estimate and
said so.
"""

from __future__ import annotations

import msgspec

from quanmin.base.problems import TooCostly
from quanmin.fhir.query import Query
from quanmin.records.search.deciding import is_hit
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selection

_BATCH = 500


class Total(msgspec.Struct, frozen=True):
    """A number of records, and whether it was counted."""

    number: int
    is_exact: bool


async def total_of(reader: Reader, selection: Selection, query: Query) -> Total | None:
    """The total a query asks for; None when it asks for none.

    Raises TooCostly when an accurate one would have to count more than `count_rows_max` records, or
    decide more than `sort_rows_max` after decryption.
    """
    wanted = query.total
    if wanted in {None, "none"} and query.summary != "count":
        return None
    limits = selection.scope.context.limits
    capped = limits.estimate_rows_max if wanted == "estimate" else limits.count_rows_max
    if selection.undecided:
        return await _decided(
            reader, selection, limits.sort_rows_max, is_needed=wanted == "accurate"
        )
    number = (await reader.rows(*selection.count(capped + 1)))[0][0]
    if number <= capped:
        return Total(number, is_exact=True)
    if wanted == "accurate":
        raise _too_many(capped)
    _, expected = await reader.cost(*selection.all_rows(2**40))
    return Total(max(expected, number), is_exact=False)


async def _decided(
    reader: Reader, selection: Selection, rows_max: int, *, is_needed: bool
) -> Total:
    rows = await reader.rows(*selection.all_rows(rows_max + 1))
    if len(rows) > rows_max and is_needed:
        raise _too_many(rows_max)
    kept = rows[:rows_max]
    zone = selection.scope.context.zone
    number = 0
    for start in range(0, len(kept), _BATCH):
        reader.check_time()
        opened = await reader.open(kept[start : start + _BATCH])
        number += sum(is_hit(stored, selection.undecided, zone) for stored in opened)
    return Total(number, is_exact=len(rows) <= rows_max)


def _too_many(limit: int) -> TooCostly:
    return TooCostly(
        f"more than {limit} records would have to be counted one by one: narrow the search,"
        " or ask for _total=estimate"
    )
