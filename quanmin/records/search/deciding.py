"""Decides clauses on decrypted records, where keys only narrow: texts, and what no key can tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quanmin.fhir.custom import indexed_values
from quanmin.fhir.extraction import composite_values, index_values
from quanmin.fhir.json import Json, decode
from quanmin.fhir.matching import holds
from quanmin.fhir.query import (
    Clause,
    CompositeOperand,
    MissingOperand,
    StringOperand,
    components_of,
)
from quanmin.fhir.values import Said, SearchParameter, Text, Value
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.search.term import Judge
from quanmin.records.words import is_found

Values = dict[str, list[Value]]


def values_of(stored: Stored, context: Context, asked: Iterable[SearchParameter] = ()) -> Values:
    """What the parameters of R4, and custom ones among those `asked`, find in the record, by name;
    empty for a deletion.
    """
    if stored.body is None:
        return {}
    resource = decode(stored.body)
    found = index_values(stored.type, resource, context.zone, base=context.base)
    # As they were when the search was read: the node may have changed them meanwhile.
    customs = [param for param in asked if param.is_custom]
    if customs:
        found += indexed_values(customs, resource, context.zone, base=context.base)
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
    plain = [clause for clause in clauses if clause.param.kind != "composite"]
    asked = (clause.param for clause in plain)
    if plain and not are_met(plain, values_of(stored, context, asked)):
        return False
    if len(plain) == len(clauses):
        return True
    resource = {} if stored.body is None else decode(stored.body)
    return all(
        _is_composite_met(clause, resource, context)
        for clause in clauses
        if clause.param.kind == "composite"
    )


def _is_composite_met(clause: Clause, resource: dict[str, Json], context: Context) -> bool:
    """Whether all that one operand asks for is found in one element."""
    params = components_of(clause.param)
    found = composite_values(clause.param, resource, context.zone, context.base)
    return any(
        all(
            _holds(Clause(param, None, (part,)), values)
            for param, part, values in zip(params, operand.parts, parts, strict=True)
        )
        for operand in clause.operands
        if isinstance(operand, CompositeOperand)
        for parts in found
    )


def are_met(clauses: Sequence[Clause], values: Values) -> bool:
    """Whether every clause holds for a record in which these values were found; there are none for
    composites.
    """
    return all(_holds(clause, values.get(clause.param.name)) for clause in clauses)


def _holds(clause: Clause, values: list[Value] | None) -> bool:
    """`values` is None without an element; there may be one with nothing to compare."""
    is_present, values = values is not None, values or []
    if clause.param.kind != "string" and clause.modifier != "text":
        return holds(clause, values, is_present=is_present)
    if any(isinstance(operand, MissingOperand) for operand in clause.operands):
        return holds(clause, values, is_present=is_present)
    texts = [
        text
        for value in values
        for text in (value.texts if isinstance(value, Said) else _text_of(value))
    ]
    modifier = clause.modifier if clause.modifier in {"exact", "contains"} else None
    found = any(
        is_found(clause.param.name, modifier, operand.text, texts)
        for operand in clause.operands
        if isinstance(operand, StringOperand)
    )
    return found is not (clause.modifier == "not")


def _text_of(value: Value) -> tuple[str, ...]:
    return (value.value,) if isinstance(value, Text) else ()
