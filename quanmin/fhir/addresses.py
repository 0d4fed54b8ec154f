"""References by this node's own address: `https://node/fhir/Patient/1` is `Patient/1` (R4
references.html#literal).
"""

from __future__ import annotations

import re

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
    if not base:
        return query
    clauses = tuple(_clause(clause, base) for clause in query.clauses)
    links = tuple(_linkage(link, base) for link in query.links)
    filters = tuple(_filtering(each, base) for each in query.filters)
    parts = tuple(localized_query(part, base) for part in query.parts)
    return msgspec.structs.replace(
        query, clauses=clauses, links=links, filters=filters, parts=parts
    )


def _condition(condition: Condition, base: str) -> Condition:
    if isinstance(condition, Clause):
        return _clause(condition, base)
    if isinstance(condition, Chain | Has):
        return _linkage(condition, base)
    return _filtering(condition, base)


def _filtering(filtering: Filtering, base: str) -> Filtering:
    match filtering:
        case AllOf(parts):
            return AllOf(tuple(_condition(part, base) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(_condition(part, base) for part in parts))
        case Not(part):
            return Not(_condition(part, base))
        case Tested(among):
            return msgspec.structs.replace(filtering, among=_clause(among, base))


def _linkage(link: Linkage, base: str) -> Linkage:
    if isinstance(link, Has):
        return Has(link.param, _condition(link.condition, base))
    ends = (End(end.type, _condition(end.condition, base)) for end in link.ends)
    return Chain(link.param, tuple(ends))


def _clause(clause: Clause, base: str) -> Clause:
    operands = tuple(_operand(operand, base) for operand in clause.operands)
    return msgspec.structs.replace(clause, operands=operands)


def _operand(operand: Operand, base: str) -> Operand:
    if isinstance(operand, CompositeOperand):
        return CompositeOperand(tuple(_simple(part, base) for part in operand.parts))
    return operand if isinstance(operand, MissingOperand) else _simple(operand, base)


def _simple(operand: SimpleOperand, base: str) -> SimpleOperand:
    local = _local(operand.url, base) if isinstance(operand, ReferenceOperand) else None
    return operand if local is None else ReferenceOperand(*local)
