"""What the definition of a custom search parameter lets it take, and nothing else (R4
searchparameter.html): multipleOr, multipleAnd, comparator, modifier, chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from quanmin.base.problems import NotSupported, Sentence
from quanmin.fhir.kinds import modifiers_of
from quanmin.fhir.query import Clause
from quanmin.fhir.table import Table
from quanmin.fhir.values import SearchParameter

# As a definition names what a search writes otherwise.
_CODES: Final = {"of-type": "ofType"}
_COMPARABLE: Final = frozenset({"date", "number", "quantity"})


def modifiers_listed(param: SearchParameter) -> list[str]:
    """The modifiers that a parameter takes, by its kind and by its definition."""
    listed = None if param.custom is None else param.custom.modifiers
    served = ("missing", *modifiers_of(param))
    return [
        one
        for one in served
        if listed is None or _CODES.get(one, "type" if one == "[type]" else one) in listed
    ]


def refuse_unlisted_modifier(param: SearchParameter, modifier: str, table: Table) -> None:
    """Raises NotSupported for a modifier that the definition does not list."""
    listed = None if param.custom is None else param.custom.modifiers
    if not modifier or listed is None:
        return
    code = "type" if modifier in table.types else _CODES.get(modifier, modifier)
    if code not in listed:
        raise _refused(param, f":{modifier[:64]}", [f":{one}" for one in listed])


def refuse_unlisted_comparator(clause: Clause) -> None:
    """Raises NotSupported for a prefix that the definition does not list; equality needs none."""
    param = clause.param
    listed = None if param.custom is None else param.custom.comparators
    if listed is None or param.kind not in _COMPARABLE:
        return
    for operand in clause.operands:
        prefix = getattr(operand, "prefix", "eq")
        if prefix not in {"eq", *listed}:
            raise _refused(param, Sentence("the prefix %(prefix)s", prefix=prefix), listed)


def refuse_unlisted_chain(param: SearchParameter, rest: str) -> None:
    """Raises NotSupported for a chain to a parameter that the definition does not list."""
    listed = None if param.custom is None else param.custom.chains
    name = rest.partition(".")[0].partition(":")[0]
    if listed is not None and name not in listed:
        raise _refused(param, Sentence("the chain to %(name)s", name=name[:64]), listed)


def refuse_list(param: SearchParameter, values: Sequence[str]) -> None:
    """Raises NotSupported for several values where the definition says multipleOr is false."""
    if param.custom is not None and not param.custom.takes_lists and len(values) > 1:
        raise NotSupported(
            Sentence(
                "%(code)s takes one value: its definition has multipleOr false", code=param.code
            )
        )


def refuse_repetition(param: SearchParameter, clauses: Iterable[Clause]) -> None:
    """Raises NotSupported for a second condition where the definition says multipleAnd is false."""
    if param.custom is None or param.custom.repeats:
        return
    if any(clause.param.name == param.name for clause in clauses):
        raise NotSupported(
            Sentence(
                "%(code)s may be asked once: its definition has multipleAnd false", code=param.code
            )
        )


def _refused(param: SearchParameter, what: str, listed: Iterable[str]) -> NotSupported:
    known = ", ".join(sorted(listed)) or Sentence("none")
    return NotSupported(
        Sentence(
            "%(code)s does not take %(what)s; its definition lists %(known)s",
            code=param.code,
            what=what,
            known=known,
        )
    )
