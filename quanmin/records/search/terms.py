"""Makes the clauses of a query ready for the database, by the kind of its parameter."""

from __future__ import annotations

from quanmin.base.problems import NotSupported, Sentence
from quanmin.fhir.query import (
    Clause,
    MissingOperand,
    QuantityOperand,
    StringOperand,
    component_clauses,
)
from quanmin.records.index import parts_of
from quanmin.records.search.arm import Write
from quanmin.records.search.coded import id_term, near_term, token_term, typed_term, uri_term
from quanmin.records.search.linked import reference_term
from quanmin.records.search.reader import Reader
from quanmin.records.search.term import Scope, Term, always, either, is_present, never, pieces
from quanmin.records.search.timed import Units, date_term, dates_together, number_term, units_in_use
from quanmin.records.search.worded import asks_for_wordings, worded_term
from quanmin.records.words import needed_keys

_ALWAYS_THERE = {"_id", "_lastUpdated"}


async def terms_of(reader: Reader, scope: Scope, clauses: tuple[Clause, ...]) -> list[Term]:
    """The terms of a query, in its order. Raises NotSupported for a clause no type has an answer
    to.
    """
    asked = [part for clause in clauses for part in _apart(clause)]
    measured = {
        name
        for clause in asked
        for name in parts_of(scope.definitions[0], clause.param.name)
        if any(isinstance(operand, QuantityOperand) for operand in clause.operands)
    }
    units = await units_in_use(reader, scope, measured, asked) if measured else Units()
    terms = [
        await worded_term(reader, scope, group[0])
        if asks_for_wordings(group[0])
        else _term(scope, group, units)
        for group in dates_together(scope, asked)
    ]
    undecided = (clause for clause in clauses if clause.param.kind == "composite")
    return terms + [
        Term((clause,), is_exact=False) for clause in undecided if not _is_of_whole(clause)
    ]


def _apart(clause: Clause) -> tuple[Clause, ...]:
    """A composite by its components: each has its index, and together they leave little more."""
    return component_clauses(clause) if clause.param.kind == "composite" else (clause,)


def _is_of_whole(clause: Clause) -> bool:
    """Whether a record has one element only that the composite looks at, so that what each
    component finds is in the same.
    """
    return clause.param.expression == clause.param.type and len(clause.operands) == 1


def _term(scope: Scope, group: tuple[Clause, ...], units: Units) -> Term:
    clause = group[0]
    name = clause.param.name
    if not clause.param.is_custom and any(
        name not in definition.params for definition in scope.definitions
    ):
        raise NotSupported(
            Sentence(
                "%(name)s is not a parameter of every type: name one type to search by it",
                name=name,
            )
        )
    if clause.operands and isinstance(clause.operands[0], MissingOperand):
        return Term((clause,), row=_missing(scope, clause))
    if name == "_id":
        return id_term(scope, clause)
    match clause.param.kind:
        case "token" if clause.modifier == "of-type":
            return typed_term(scope, clause)
        case "token":
            return token_term(scope, clause)
        case "special":
            return near_term(scope, clause)
        case "uri":
            return uri_term(scope, clause)
        case "reference":
            return reference_term(scope, clause)
        case "date":
            return date_term(scope, group)
        case "number" | "quantity":
            return number_term(scope, clause, units)
        case "string":
            return _string_term(scope, clause)
        case kind:
            raise NotSupported(
                Sentence(
                    "parameters of kind %(kind)s (%(name)s) are not searched yet",
                    kind=kind,
                    name=name,
                )
            )


def _missing(scope: Scope, clause: Clause) -> Write:
    wanted = {operand.missing for operand in clause.operands if isinstance(operand, MissingOperand)}
    if len(wanted) > 1:
        return always
    is_missing = wanted.pop()
    if clause.param.name in _ALWAYS_THERE:
        return never if is_missing else always
    return is_present(scope, clause.param.name, is_missing=is_missing)


def _string_term(scope: Scope, clause: Clause) -> Term:
    """Candidates by pieces of the text; a text that no key narrows leaves all that have the
    parameter.
    """
    definition = scope.definitions[0]
    modifier = clause.modifier if clause.modifier in {"exact", "contains"} else None
    rows: list[Write] = []
    for operand in clause.operands:
        if isinstance(operand, StringOperand):
            needed = needed_keys(
                scope.context.keying, definition.name, clause.param.name, modifier, operand.text
            )
            present = is_present(scope, clause.param.name)
            rows.append(pieces("r.words", needed) if needed else present)
    return Term((clause,), row=either(*rows) if rows else never, is_exact=False)
