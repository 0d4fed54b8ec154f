"""Clauses on dates, numbers and quantities: the row's own extent, or rows of `dated` and
`ranged`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from quanmin.fhir.matching import unit_factor
from quanmin.fhir.query import Clause, DateOperand, NumberOperand, QuantityOperand
from quanmin.fhir.table import TypeDefinition
from quanmin.fhir.values import SearchParameter
from quanmin.records.context import SEVERAL
from quanmin.records.index import Unit, is_main_date, parts_of
from quanmin.records.search.arm import Arm, Write, side_arm
from quanmin.records.search.intervals import Bounds, date_parts, number_arms
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Scope, Term, either, is_present, never
from quanmin.records.visibility_sql import Bind


def date_term(scope: Scope, clause: Clause) -> Term:
    """Dates: when a record was written, its main date, or any other."""
    operands = [one for one in clause.operands if isinstance(one, DateOperand)]
    if clause.param.name == "_lastUpdated":
        return Term(clause, row=_any_date(operands, "r.updated", "(r.updated + 1)"))
    definition = scope.definitions[0]
    key = scope.context.keying.dated(definition.name, clause.param.name)
    others = _dated(key, operands)
    if not is_main_date(definition, clause.param):
        return Term(clause, found=others)
    own = _any_date(operands, "r.low", "r.high")
    if len(definition.time_params) > 1:
        own = _all(is_present(scope, clause.param.name), own)
    if not may_repeat(definition, clause.param):
        return Term(clause, row=own)
    return Term(clause, row=_own_or_several(own, others))


def _any_date(operands: Sequence[DateOperand], low: str, high: str) -> Write:
    return either(*(part.write for one in operands for part in date_parts(one, low, high)))


def _all(*writes: Write) -> Write:
    return lambda bind: "(" + " and ".join(write(bind) for write in writes) + ")"


def _dated(key: int, operands: Sequence[DateOperand]) -> tuple[Arm, ...]:
    parts = (part for one in operands for part in date_parts(one, "s.low", "s.high"))
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


async def units_in_use(
    reader: Reader, definition: TypeDefinition, params: Iterable[str]
) -> list[Unit]:
    """The units that records of this type have been written with, for these parameters."""
    statement = Statement()
    rows = await reader.rows(
        "select u.param, u.system, u.code, u.key from records.unit u"
        f" where u.type = {statement.bind(definition.number)}::smallint"
        f" and u.param = any({statement.bind(list(params))}::text[])",
        statement,
    )
    return [Unit(row["param"], row["system"], row["code"], row["key"]) for row in rows]


def number_term(scope: Scope, clause: Clause, units: Sequence[Unit]) -> Term:
    """Numbers and quantities; a quantity in every unit in use that can be converted to the one
    asked for.
    """
    definition = scope.definitions[0]
    names = parts_of(definition, clause.param.name)
    found: list[Arm] = []
    for operand in clause.operands:
        if isinstance(operand, NumberOperand):
            keys = [scope.context.keying.ranged(definition.name, name, "", "") for name in names]
            found += number_arms(Bounds.of(operand), keys)
        elif isinstance(operand, QuantityOperand):
            mine = [unit for unit in units if unit.param in names]
            for factor, of_factor in _commensurable(operand, mine).items():
                found += number_arms(Bounds.of(operand, factor), of_factor)
    return Term(clause, found=tuple(found), row=None if found else never)


def _commensurable(operand: QuantityOperand, units: Iterable[Unit]) -> dict[Decimal, list[int]]:
    """Keys of units by what a number in the operand's unit is multiplied with to be in theirs."""
    found: dict[Decimal, list[int]] = {}
    for unit in units:
        factor = unit_factor(operand, unit.system or None, unit.code or None)
        if factor is not None:
            found.setdefault(factor, []).append(unit.key)
    return found
