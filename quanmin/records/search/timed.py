"""Clauses on dates, numbers and quantities: the row's own extent, or rows of `dated` and
`ranged`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import product
from math import prod

import msgspec

from quanmin.fhir.matching import unit_factor
from quanmin.fhir.query import Clause, DateOperand, NumberOperand, QuantityOperand, TokenOperand
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import SearchParameter
from quanmin.records.context import SEVERAL
from quanmin.records.index import (
    Unit,
    is_main_date,
    kind_of,
    kinds_param,
    parts_of,
    value_param,
)
from quanmin.records.search.arm import Arm, Write, side_arm
from quanmin.records.search.intervals import WIDE, Bounds, Span, number_arms, value_beside
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Scope, Term, any_rid, both, either, is_present, never
from quanmin.records.visibility_sql import Bind

# So many combinations of values of several clauses are asked as one condition.
_SPANS_MAX = 16
# So many intervals wider than a day are looked at one by one.
WIDE_MAX = 8_000


def dates_together(scope: Scope, clauses: Iterable[Clause]) -> list[tuple[Clause, ...]]:
    """Clauses to be asked together: those on one date of which a record has one value at most.

    Each by itself is half of all time to the planner; together they are a narrow range.
    """
    groups: list[tuple[Clause, ...]] = []
    places: dict[str, int] = {}
    for clause in clauses:
        is_single = _is_single(scope, clause)
        place = places.get(clause.param.name) if is_single else None
        if place is not None and _count((*groups[place], clause)) <= _SPANS_MAX:
            groups[place] += (clause,)
            continue
        if is_single:
            places[clause.param.name] = len(groups)
        groups.append((clause,))
    return groups


def _is_single(scope: Scope, clause: Clause) -> bool:
    is_plain = clause.modifier is None
    if not is_plain or not all(isinstance(operand, DateOperand) for operand in clause.operands):
        return False
    if clause.param.is_custom:
        return False
    is_moment = clause.param.name == "_lastUpdated"
    return is_moment or not may_repeat(scope.definitions[0], clause.param)


def _count(clauses: Sequence[Clause]) -> int:
    return prod(len(clause.operands) for clause in clauses)


def date_term(scope: Scope, clauses: tuple[Clause, ...]) -> Term:
    """Dates: when a record was written, its main date, or any other. Several clauses must hold of
    the same value.
    """
    param = clauses[0].param
    asked = ([one for one in each.operands if isinstance(one, DateOperand)] for each in clauses)
    spans = [Span.of(chosen) for chosen in product(*asked)]
    if param.name == "_lastUpdated":
        moments = (span.narrow("r.updated", "(r.updated + 1)", width=1) for span in spans)
        return Term(clauses, row=either(*moments))
    definition = scope.definitions[0]
    others = _dated(scope.context.keying.dated(definition.name, param.name), spans)
    if not is_main_date(definition, param):
        return Term(clauses, found=others)

    def own(condition: Write) -> Write:
        if len(definition.time_params) > 1:
            condition = both(is_present(scope, param.name), condition)
        return _own_or_several(condition, others) if may_repeat(definition, param) else condition

    async def sharpen(reader: Reader) -> Write:
        return own(await _judged(reader, scope, spans))

    parts = (part.write for span in spans for part in span.parts("r.low", "r.high"))
    has_wide = any(span.has_wide for span in spans)
    return Term(clauses, row=own(either(*parts)), sharpen=sharpen if has_wide else None)


async def _judged(reader: Reader, scope: Scope, spans: Sequence[Span]) -> Write:
    """The spans on the main date, without a condition on the width where few records are so wide.

    The planner takes a third of all records to be wide, and would rather walk all than use the
    index for so many. Mostly there are few, and one range is left, which it can judge.
    """
    statement = Statement()
    asked = [span for span in spans if span.has_wide]
    columns = (f"({_wide_rids(scope, span, statement.bind)})" for span in asked)
    row = (await reader.rows(f"select {', '.join(columns)}", statement))[0]
    wide = dict(zip(asked, row, strict=True))
    parts = []
    for span in spans:
        parts.append(span.narrow("r.low", "r.high"))
        number, *rids = wide.get(span, [0])
        if number > WIDE_MAX:
            parts.append(span.wide("r.low", "r.high"))
        elif any(rids):
            parts.append(any_rid({rid for rid in rids if rid is not None}))
    return either(*parts)


def _wide_rids(scope: Scope, span: Span, bind: Bind) -> str:
    """How many records are wide enough to have begun before all narrow ones, with the keys of those
    that answer.

    A bounded number is looked at: to find few that answer might read very many.
    """
    wide = (
        f"select r.rid, r.low, r.high from records.record r"
        f" where r.type = {bind(scope.numbers[0])}::smallint and r.flags & 1 <> 1"
        f" and r.high - {WIDE} > r.low and r.high > {bind(span.ends)}::bigint"
        f" order by r.high limit {WIDE_MAX + 1}"
    )
    exact = span.exact("w.low", "w.high")(bind)
    return f"select array[count(*)] || array_agg(w.rid) filter (where {exact}) from ({wide}) w"


def _dated(key: int, spans: Iterable[Span]) -> tuple[Arm, ...]:
    parts = (part for span in spans for part in span.parts("s.low", "s.high"))
    return tuple(side_arm("dated", [key], part.write, part.order) for part in parts)


def _own_or_several(own: Write, others: Iterable[Arm]) -> Write:
    """Rows with one extent by themselves; those with several (few, if any) by their rows in
    `dated`.
    """

    def write(bind: Bind) -> str:
        several = " union all ".join(other.whole(bind) for other in others)
        return f"((r.flags & {SEVERAL} = 0 and {own(bind)}) or r.rid = any(array({several})))"

    return write


def may_repeat(definition: TypeDefinition, param: SearchParameter) -> bool:
    """Whether a record can have several values for this date, as far as its elements tell."""
    paths = set(
        re.findall(rf"\b{definition.name}\.(\w+(?:\.\w+)*)", _without_types(param.expression))
    )
    maximum = {element.name: element.max for element in definition.elements}
    return len(paths) != 1 or any(maximum.get(path) != 1 for path in paths)


def _without_types(expression: str) -> str:
    return re.sub(r"\.(?:as|ofType)\(\w+\)", "", expression)


class Units(msgspec.Struct, frozen=True):
    """The units in use, and the clauses on codes by which they were chosen."""

    units: tuple[Unit, ...] = ()
    chosen_by: tuple[Clause, ...] = ()


async def units_in_use(
    reader: Reader, scope: Scope, params: Iterable[str], clauses: Iterable[Clause]
) -> Units:
    """The units that records of this type have been written with, for these parameters.

    Only those of records that may have the codes that the clauses ask for.
    """
    statement = Statement()
    conditions = [
        f"u.type = {statement.bind(scope.definitions[0].number)}::smallint",
        f"u.param = any({statement.bind(list(params))}::text[])",
    ]
    chosen_by = []
    for clause in clauses:
        kinds = _kinds_asked(scope, clause)
        if kinds:
            asked = statement.bind(sorted(kinds))
            conditions.append(f"(u.kinds = '{{}}' or u.kinds && {asked}::smallint[])")
            chosen_by.append(clause)
    rows = await reader.rows(
        "select u.param, u.system, u.code, u.kinds, u.key from records.unit u where "
        + " and ".join(conditions),
        statement,
    )
    units = (
        Unit(param, system, code, tuple(kinds), key) for param, system, code, kinds, key in rows
    )
    return Units(tuple(units), tuple(chosen_by))


def _kinds_asked(scope: Scope, clause: Clause) -> set[int]:
    """The kinds of code one of which every record has that the clause finds; none if it may be
    any.
    """
    definition = scope.definitions[0]
    if clause.param.name != kinds_param(definition) or clause.modifier is not None:
        return set()
    codes = [one.code if isinstance(one, TokenOperand) else None for one in clause.operands]
    keys = [
        scope.context.keying.code(definition.name, clause.param.name, code)
        for code in codes
        if code is not None
    ]
    return {kind_of(key) for key in keys} if len(keys) == len(codes) else set()


def number_term(scope: Scope, clause: Clause, used: Units) -> Term:
    """Numbers and quantities; a quantity in every unit in use that can be converted to the one
    asked for.
    """
    definition = scope.definitions[0]
    names = parts_of(definition, clause.param.name)
    found: list[Arm] = []
    beside: list[Write] = []
    for operand in clause.operands:
        if isinstance(operand, NumberOperand):
            keys = [scope.context.keying.ranged(definition.name, name, "", "") for name in names]
            found += number_arms(Bounds.of(operand), keys)
        elif isinstance(operand, QuantityOperand):
            mine = [unit for unit in used.units if unit.param in names]
            by_factor = _commensurable(operand, mine)
            for factor, of_factor in by_factor.items():
                bounds = Bounds.of(operand, factor)
                found += number_arms(bounds, of_factor)
                beside.append(value_beside(bounds, of_factor if len(by_factor) > 1 else ()))
    is_beside = clause.param.name == value_param(definition.name) and beside and used.chosen_by
    return Term(
        (clause,),
        found=tuple(found),
        row=None if found else never,
        implied=used.chosen_by,
        beside=either(*beside) if is_beside else None,
    )


def _commensurable(operand: QuantityOperand, units: Iterable[Unit]) -> dict[Decimal, list[int]]:
    """Keys of units by what a number in the operand's unit is multiplied with to be in theirs."""
    found: dict[Decimal, list[int]] = {}
    for unit in units:
        factor = unit_factor(operand, unit.system or None, unit.code or None)
        if factor is not None:
            found.setdefault(factor, []).append(unit.key)
    return found
