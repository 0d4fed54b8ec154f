"""How many records a search finds: counted up to a limit, else estimated and said to be so.

The planner estimates by all records there are, those too that the asker may not see: only who sees
all of a type is told what it expects. Everybody else is told how far was counted.
"""

from __future__ import annotations

import msgspec

from quanmin.base.problems import Issue, Sentence, TooCostly
from quanmin.fhir.query import Query
from quanmin.records.context import Context
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selection

_BATCH = 500


class Total(msgspec.Struct, frozen=True):
    """A number of records, and whether it was counted."""

    number: int
    is_exact: bool


def estimated() -> Issue:
    """What is said with a number of which nobody asked that it be an estimate."""
    return Issue(
        "warning",
        "incomplete",
        "the total is an estimate, for there is too much to count: narrow the search until it is"
        " counted, or ask for _total=accurate to be told what would make it so",
    )


def wants_total(query: Query) -> bool:
    """Whether a query asks how many there are."""
    return query.total not in {None, "none"} or query.summary == "count"


async def total_of(
    reader: Reader, context: Context, selection: Selection, query: Query, *, sees_all: bool
) -> Total | None:
    """The total a query asks for; None when it asks for none. `sees_all` says that the asker may
    see every record of the types that are asked for.

    Raises TooCostly when an accurate one would have to count more than `count_rows_max` records, or
    decide more than `sort_rows_max` after decryption.
    """
    if not wants_total(query):
        return None
    wanted, limits = query.total, context.limits
    if selection.uncounted or selection.judges:
        is_needed = wanted == "accurate"
        return await _decided(reader, context, selection, is_needed=is_needed, sees_all=sees_all)
    if wanted == "estimate" and sees_all:
        expected = await selection.estimate(reader)
        if expected > limits.estimate_rows_max:
            return Total(expected, is_exact=False)
    is_quick = wanted == "estimate" and sees_all
    capped = limits.estimate_rows_max if is_quick else limits.count_rows_max
    number = await selection.count(reader, capped + 1)
    if number > capped and wanted == "accurate":
        raise _too_many(Sentence("counted"), capped, "store.count_rows_max")
    if number > capped:
        return await _estimated(reader, selection, number, sees_all=sees_all)
    return Total(number, is_exact=True)


async def _estimated(reader: Reader, selection: Selection, number: int, *, sees_all: bool) -> Total:
    expected = await selection.estimate(reader) if sees_all else 0
    return Total(max(number, expected), is_exact=False)


async def _decided(
    reader: Reader, context: Context, selection: Selection, *, is_needed: bool, sees_all: bool
) -> Total:
    """Counted one by one after decryption; beyond the limit the candidates are what is known."""
    rows_max = context.limits.sort_rows_max
    rows = await selection.all(reader, rows_max + 1)
    if len(rows) > rows_max:
        if is_needed:
            raise _too_many(
                Sentence("decided one by one to be counted"), rows_max, "store.sort_rows_max"
            )
        return await _estimated(reader, selection, len(rows), sees_all=sees_all)
    number = 0
    for start in range(0, len(rows), _BATCH):
        reader.check_time()
        opened = await reader.open(rows[start : start + _BATCH])
        number += len(await selection.hits(opened, context))
    return Total(number, is_exact=True)


def _too_many(how: str, limit: int, setting: str) -> TooCostly:
    return TooCostly(
        Sentence(
            "more than %(limit)s records (%(setting)s) would have to be %(how)s: narrow the"
            " search, or ask for _total=estimate",
            limit=limit,
            setting=setting,
            how=how,
        )
    )
