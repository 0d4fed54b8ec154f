"""What `_filter` asks beyond plain clauses: either of several, not, and comparisons of its own.

Each alternative is planned like a search of its own and becomes a subselect; where so many records
are meant that they are met soon, or few are left by other conditions, the alternatives are asked of
each row. What no index tells is decided on the record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

import msgspec

from quanmin.fhir.matching import compares
from quanmin.fhir.query import AllOf, AnyOf, Chain, Clause, Condition, Filtering, Has, Not, Tested
from quanmin.records.model import Stored
from quanmin.records.search.arm import record_arm
from quanmin.records.search.chains import Select, link_judge
from quanmin.records.search.deciding import is_hit, values_of
from quanmin.records.search.narrowing import MANY
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selected
from quanmin.records.search.term import Scope, Term, both, either
from quanmin.records.search.terms import terms_of


class Alternative(Protocol):
    """Makes the search for one alternative ready, among all that the asker may see."""

    def __call__(self, condition: Condition, *, is_few: bool) -> Awaitable[Selected]:
        """`is_few` says that it will be asked of few records that other conditions leave."""


async def filter_term(
    reader: Reader,
    scope: Scope,
    filtering: Filtering,
    select: Alternative,
    end: Select,
    *,
    is_driven: bool,
) -> Term:
    """The condition made ready; `is_driven` says that other conditions leave few records."""
    judge = _Deciding(reader, scope, filtering, end)
    match filtering:
        case AnyOf(parts):
            return await _either(reader, parts, select, judge, is_driven=is_driven)
        case Tested(among):
            (term,) = await terms_of(reader, scope, (among,))
            return msgspec.structs.replace(term, clauses=(), is_exact=False, judges=(judge,))
        case AllOf() | Not():
            return Term((), is_exact=False, judges=(judge,))


async def _either(
    reader: Reader,
    parts: Sequence[Condition],
    select: Alternative,
    judge: _Deciding,
    *,
    is_driven: bool,
) -> Term:
    by_row = [await select(part, is_few=True) for part in parts]
    row = either(*(both(*one.reading) for one in by_row))
    is_told = all(_is_exact(one) for one in by_row)
    open_to = () if is_told else (judge,)
    if is_driven:
        return Term((), row=row, is_exact=is_told, judges=open_to)
    whole = [await select(part, is_few=False) for part in parts]
    expected = [await one.estimate(reader) for one in whole]
    if sum(expected) > MANY:
        return Term((), row=row, is_exact=is_told, judges=open_to)
    arms = tuple(record_arm(both(*one.counting)) for one in whole)
    if all(_is_exact(one) for one in whole):
        probe = row if is_told else None
        return Term((), found=arms, probe=probe, deciders=(judge,))
    return Term((), found=arms, probe=row, is_exact=False, judges=(judge,))


def _is_exact(selected: Selected) -> bool:
    return not (selected.undecided or selected.uncounted or selected.judges)


class _Deciding:
    """Decides records by the whole condition."""

    def __init__(self, reader: Reader, scope: Scope, filtering: Filtering, end: Select) -> None:
        self._reader = reader
        self._scope = scope
        self._filtering = filtering
        self._end = end

    async def meeting(self, stored: Sequence[Stored]) -> set[int]:
        """Those of the records, by key, for which the condition holds."""
        return await self._meeting(self._filtering, stored)

    async def _meeting(self, condition: Condition, stored: Sequence[Stored]) -> set[int]:
        match condition:
            case AllOf(parts):
                left = stored
                for part in parts:
                    met = await self._meeting(part, left) if left else set[int]()
                    left = [one for one in left if one.rid in met]
                return {one.rid for one in left}
            case AnyOf(parts):
                found: set[int] = set()
                for part in parts:
                    left = [one for one in stored if one.rid not in found]
                    found |= await self._meeting(part, left) if left else set()
                return found
            case Not(part):
                return {one.rid for one in stored} - await self._meeting(part, stored)
            case Chain() | Has():
                judge = link_judge(self._reader, self._scope, condition, self._end)
                return await judge.meeting(stored)
            case Clause() | Tested():
                return {one.rid for one in stored if self._holds(condition, one)}

    def _holds(self, test: Clause | Tested, stored: Stored) -> bool:
        context = self._scope.context
        if isinstance(test, Clause):
            return is_hit(stored, (test,), context)
        param = test.among.param
        return compares(test, values_of(stored, context, (param,)).get(param.name, []))
