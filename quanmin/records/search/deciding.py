"""Decides clauses on decrypted records, where keys only narrow: texts, and what no key can tell."""

from __future__ import annotations

from collections.abc import Sequence

from quanmin.fhir.extraction import index_values
from quanmin.fhir.json import decode
from quanmin.fhir.matching import holds
from quanmin.fhir.query import Clause, StringOperand
from quanmin.fhir.values import Text, Value
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.search.term import Judge
from quanmin.records.words import is_found

Values = dict[str, list[Value]]


def values_of(stored: Stored, context: Context) -> Values:
    """What the record's search parameters find in it, by name; empty for a deletion."""
    if stored.body is None:
        return {}
    found = index_values(stored.type, decode(stored.body), context.zone, base=context.base)
    return {param.name: values for param, values in found}


async def hits_among(
    opened: Sequence[Stored], clauses: Sequence[Clause], judges: Sequence[Judge], context: Context
) -> list[Stored]:
    """The records for which every clause holds and on which every judge agrees, in their order."""
    hits = [stored for stored in opened if is_hit(stored, clauses, context)]
    for judge in judges:
        met = await judge.meeting(hits) if hits else set()
        hits = [stored for stored in hits if stored.rid in met]
    return hits


def is_hit(stored: Stored, clauses: Sequence[Clause], context: Context) -> bool:
    """Whether every clause holds for the record."""
    return not clauses or are_met(clauses, values_of(stored, context))


def are_met(clauses: Sequence[Clause], values: Values) -> bool:
    """Whether every clause holds for a record in which these values were found."""
    return all(_holds(clause, values.get(clause.param.name, [])) for clause in clauses)


def _holds(clause: Clause, values: list[Value]) -> bool:
    if clause.param.kind != "string":
        return holds(clause, values)
    texts = [value.value for value in values if isinstance(value, Text)]
    modifier = clause.modifier if clause.modifier in {"exact", "contains"} else None
    found = any(
        is_found(clause.param.name, modifier, operand.text, texts)
        for operand in clause.operands
        if isinstance(operand, StringOperand)
    )
    return found is not (clause.modifier == "not")
