"""Clauses that ask by value sets and hierarchies: a terminology says which codes they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from quanmin.base.problems import NotSupported, Sentence, TooCostly
from quanmin.fhir.query import OF_TERMS, Clause, SimpleOperand, TokenOperand, UriOperand
from quanmin.fhir.values import is_mime_type
from quanmin.records.context import Terms
from quanmin.records.search.reader import Reader

# A question of so many codes is a few dozen pages of an index.
_CODES_MAX: Final = 10_000


async def in_codes(reader: Reader, clauses: Sequence[Clause]) -> tuple[Clause, ...]:
    """The clauses with codes instead of value sets and of concepts above or below another.

    Raises NotSupported where the node has no terminology, TooCostly for what means too many codes.
    """
    return tuple([await _in_codes(reader, clause) for clause in clauses])


async def _in_codes(reader: Reader, clause: Clause) -> Clause:
    name, modifier = clause.param.name, clause.modifier
    if modifier not in OF_TERMS or clause.param.kind != "token" or is_mime_type(clause.param):
        return clause
    terms = reader.terms()
    if terms is None:
        raise NotSupported(
            Sentence(
                "This node has no terminology to tell what %(name)s:%(modifier)s means: search"
                " by codes",
                name=name,
                modifier=modifier,
            )
        )
    codes: dict[TokenOperand, None] = {}
    for operand in clause.operands:
        if isinstance(operand, UriOperand | TokenOperand):
            meant = await _meant(terms, modifier, operand)
            codes |= dict.fromkeys(TokenOperand(system, code) for system, code in sorted(meant))
        if len(codes) > _CODES_MAX:
            raise TooCostly(
                Sentence(
                    "%(name)s:%(modifier)s means more than %(codes_max)s codes: name fewer",
                    name=name,
                    modifier=modifier,
                    codes_max=_CODES_MAX,
                )
            )
    plain = "not" if modifier == "not-in" else None
    return msgspec.structs.replace(clause, modifier=plain, operands=tuple(codes))


async def _meant(
    terms: Terms, modifier: str | None, operand: SimpleOperand
) -> frozenset[tuple[str, str]]:
    if isinstance(operand, UriOperand):
        return await terms.codes_in(operand.value)
    if isinstance(operand, TokenOperand):
        find = terms.descendants if modifier == "below" else terms.ancestors
        return await find(operand.system or "", operand.code or "")
    return frozenset()
