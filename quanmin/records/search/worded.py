"""Clauses that are answered by what is said along with codes, and by what lies below an address.

Texts and addresses repeat: a table of those in use tells which are meant, and each record has its
own by one key. So a record pays ten bytes for its text however long it is, a text is looked through
once however many records have it, and a record that says something else is never met.
"""

from __future__ import annotations

from quanmin.fhir.query import Clause, StringOperand, TokenOperand, UriOperand
from quanmin.fhir.values import is_mime_type, mime_base
from quanmin.records.index import parts_of
from quanmin.records.search.arm import Write
from quanmin.records.search.key_lists import keys_term
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Scope, Term, either, is_present, pieces
from quanmin.records.words import needed_keys


def asks_for_wordings(clause: Clause) -> bool:
    """Whether the table of texts and addresses in use tells what the clause means."""
    is_below = clause.modifier == "below"
    is_told = clause.param.kind == "uri" or is_mime_type(clause.param)
    return clause.modifier == "text" or (is_below and is_told)


async def worded_term(reader: Reader, scope: Scope, clause: Clause) -> Term:
    """The term of such a clause. Where more texts are meant than are asked for by key, or any may
    be, records are decided as they come: so many have one.
    """
    asked = _asked(scope, clause)
    limit = scope.context.limits.wordings_max
    rows = []
    if asked is not None:
        statement = Statement()
        where = either(*asked)(statement.bind)
        rows = await reader.rows(
            f"select w.key from records.wording w where {where}"
            f" limit {statement.bind(limit + 1)}::bigint",
            statement,
        )
    if asked is None or len(rows) > limit:
        return Term((clause,), row=is_present(scope, clause.param.name), is_exact=False)
    keys = {row["key"] for row in rows}
    number, is_text = scope.numbers[0], clause.modifier == "text"
    if not is_text:
        keys |= _themselves(scope, clause)
    return keys_term(number, (clause,), "tokens", keys, is_exact=not is_text)


def _asked(scope: Scope, clause: Clause) -> list[Write] | None:
    """What to ask of a row `w` of the table; None where no key narrows."""
    keying, type_ = scope.context.keying, scope.definitions[0].name
    asked: list[Write] = []
    tops: set[int] = set()
    for operand in clause.operands:
        if isinstance(operand, UriOperand):
            top = operand.value.removesuffix("/")
            tops.add(keying.above(type_, clause.param.name, top))
        elif isinstance(operand, TokenOperand):
            tops.add(keying.above(type_, clause.param.name, mime_base(operand.code or "")))
        elif isinstance(operand, StringOperand):
            for name in parts_of(scope.definitions[0], clause.param.name):
                needed = needed_keys(keying, type_, name, None, operand.text)
                if not needed:
                    return None
                asked.append(pieces("w.words", needed))
    if tops:
        asked.append(lambda bind: f"w.words && {bind(sorted(tops))}::bigint[]")
    return asked


def _themselves(scope: Scope, clause: Clause) -> set[int]:
    """The keys of the addresses asked for, which may be in use too."""
    type_, name = scope.definitions[0].name, clause.param.name
    return {
        scope.context.keying.uri(type_, name, operand.value)
        for operand in clause.operands
        if isinstance(operand, UriOperand)
    }
