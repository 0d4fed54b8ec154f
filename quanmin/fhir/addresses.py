"""References by this node's own address: `https://node/fhir/Patient/1` is `Patient/1` (R4
references.html#literal).
"""

from __future__ import annotations

import re

import msgspec

from quanmin.fhir.query import Operand, Query, ReferenceOperand
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
    clauses = tuple(
        msgspec.structs.replace(
            clause, operands=tuple(_operand(operand, base) for operand in clause.operands)
        )
        for clause in query.clauses
    )
    return msgspec.structs.replace(query, clauses=clauses)


def _operand(operand: Operand, base: str) -> Operand:
    if isinstance(operand, ReferenceOperand):
        local = _local(operand.url, base)
        if local is not None:
            return ReferenceOperand(*local)
    return operand
