"""References by this node's own address: `https://node/fhir/Patient/1` is `Patient/1` (R4
references.html#literal).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from quanmin.fhir.query import (
    AllOf,
    AnyOf,
    Chain,
    Clause,
    CompositeOperand,
    Condition,
    End,
    Filtering,
    Has,
    Linkage,
    MissingOperand,
    Not,
    Operand,
    Query,
    ReferenceOperand,
    SimpleOperand,
    Tested,
)
from quanmin.fhir.values import Link, Value

RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?\Z")

_Change = Callable[[Clause], Clause]


def localized(values: list[Value], base: str) -> list[Value]:
    """The same values, links to an address below `base` (it ends in a slash) made local."""
    return [_link(value, base) if isinstance(value, Link) else value for value in values]


def _link(link: Link, base: str) -> Link:
    local = _local(link.url, base)
    return link if local is None else Link(*local, None, link.identifier)


def _local(url: str | None, base: str) -> tuple[str, str] | None:
    if url is None or not url.startswith(base):
        return None
    found = RELATIVE.match(url, len(base))
    return None if found is None else (found[1], found[2])


def localized_query(query: Query, base: str) -> Query:
    """The same question about local references, where it names some by an address below `base`."""
    return _changed(query, lambda clause: _localized(clause, base)) if base else query


def with_local(query: Query, base: str) -> Query:
    """The same question, which means local references too where it names some by an address below
    `base`.
    """

    def both(clause: Clause) -> Clause:
        operands = dict.fromkeys((*clause.operands, *_localized(clause, base).operands))
        return msgspec.structs.replace(clause, operands=tuple(operands))

    return _changed(query, both)


def _changed(query: Query, change: _Change) -> Query:
    return msgspec.structs.replace(
        query,
        clauses=tuple(map(change, query.clauses)),
        links=tuple(_linkage(link, change) for link in query.links),
        filters=tuple(_filtering(each, change) for each in query.filters),
        parts=tuple(_changed(part, change) for part in query.parts),
    )


def _condition(condition: Condition, change: _Change) -> Condition:
    if isinstance(condition, Clause):
        return change(condition)
    if isinstance(condition, Chain | Has):
        return _linkage(condition, change)
    return _filtering(condition, change)


def _filtering(filtering: Filtering, change: _Change) -> Filtering:
    match filtering:
        case AllOf(parts):
            return AllOf(tuple(_condition(part, change) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(_condition(part, change) for part in parts))
        case Not(part):
            return Not(_condition(part, change))
        case Tested(among):
            return msgspec.structs.replace(filtering, among=change(among))


def _linkage(link: Linkage, change: _Change) -> Linkage:
    if isinstance(link, Has):
        return Has(link.param, _condition(link.condition, change))
    ends = (End(end.type, _condition(end.condition, change)) for end in link.ends)
    return Chain(link.param, tuple(ends))


def _localized(clause: Clause, base: str) -> Clause:
    operands = tuple(_operand(operand, base) for operand in clause.operands)
    return msgspec.structs.replace(clause, operands=operands)


def _operand(operand: Operand, base: str) -> Operand:
    if isinstance(operand, CompositeOperand):
        return CompositeOperand(tuple(_simple(part, base) for part in operand.parts))
    return operand if isinstance(operand, MissingOperand) else _simple(operand, base)


def _simple(operand: SimpleOperand, base: str) -> SimpleOperand:
    local = _local(operand.url, base) if isinstance(operand, ReferenceOperand) else None
    return operand if local is None else ReferenceOperand(*local)
