"""Where a large compartment has nothing for long, so that a walk by record key passes over it.

A walk by key meets the records of others between those of a patient. The planner trusts them to be
spread evenly; those that were taken in at one time stand together, and millions may lie before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from quanmin.records.search.arm import Write
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Scope
from quanmin.records.visibility_sql import Bind

FIRST: Final = -(2**63)
LAST: Final = 2**63 - 1
# A type with fewer records is fetched and sorted for each part.
_LARGE_MIN: Final = 2_000
# Each is a place to begin anew, and stands in the link; a shorter one is walked through.
_GAPS_MAX, _GAP_MIN = 16, 2_000


class Spread(msgspec.Struct, frozen=True, array_like=True):
    """The types (by number) of which there are many records, and the largest gaps between these, in
    order: the last record key before a gap and the first behind it.
    """

    large: tuple[int, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()


class Stretch(msgspec.Struct, frozen=True):
    """What lies between two gaps, from `begin` to `end`; `before` is the end of the one before."""

    before: int
    begin: int
    end: int


async def spread_of(reader: Reader, scopes: Sequence[Scope], member: Sequence[Write]) -> Spread:
    """How the records of a compartment lie. `member` says of each scope which of its rows are in
    the compartment.
    """
    if not scopes:
        return Spread()
    several = list(zip(scopes, member, strict=True))
    statement = Statement()
    columns = (
        f"(select count(*) from ({_keys(scope, row, statement.bind)} limit {_LARGE_MIN + 1}) c)"
        for scope, row in several
    )
    counted = (await reader.rows(f"select {', '.join(columns)}", statement))[0]
    many = [one for one, number in zip(several, counted, strict=True) if int(number) > _LARGE_MIN]
    if not many:
        return Spread()
    statement = Statement()
    # The first gap is that before the first record.
    parts = [f"select '{FIRST}'::bigint as rid"]
    parts += (_keys(scope, row, statement.bind) for scope, row in many)
    rows = await reader.rows(
        "select g.rid, g.following from (select m.rid, lead(m.rid) over (order by m.rid)"
        f" as following from ({' union all '.join(parts)}) m) g"
        f" where g.following::numeric - g.rid > {_GAP_MIN}"
        f" order by g.following::numeric - g.rid desc limit {_GAPS_MAX}",
        statement,
    )
    gaps = sorted((row["rid"], row["following"]) for row in rows)
    return Spread(tuple(scope.numbers[0] for scope, _ in many), tuple(gaps))


def _keys(scope: Scope, row: Write, bind: Bind) -> str:
    number = f"{bind(scope.numbers[0])}::smallint"
    return f"select r.rid from records.record r where r.type = {number} and {row(bind)}"


def stretches(spread: Spread, after: int | None) -> Iterator[Stretch]:
    """What lies between the gaps, as far as it is not before a place. What is written meanwhile
    comes behind the last.
    """
    before = begin = FIRST
    for end, following in (*spread.gaps, (LAST, LAST)):
        if end != FIRST and (after is None or end > after or end == LAST):
            yield Stretch(before, begin, end)
        before, begin = end, following


def within(stretch: Stretch, spread: Spread, number: int) -> list[Write]:
    """The row, of the type of this number, is of the stretch. Of types with few records also what
    lies in the gap before.
    """
    first, last = stretch.begin, stretch.end
    if number not in spread.large:
        first = stretch.before if stretch.before == FIRST else stretch.before + 1
    found: list[Write] = []
    if first != FIRST:
        found.append(lambda bind: f"r.rid >= {bind(first)}::bigint")
    if last != LAST:
        found.append(lambda bind: f"r.rid <= {bind(last)}::bigint")
    return found


def as_met(row: Write) -> Write:
    """A condition that nearly every row of a stretch meets: as a case the planner takes it for
    half, and walks the keys.
    """
    return lambda bind: f"case when {row(bind)} then true else false end"
