"""Says of a search that cannot be served what made it expensive, and which index or condition would
serve it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import reduce
from typing import Final

from quanmin.base.problems import Sentence, either, listed
from quanmin.fhir.query import Chain, Has, MissingOperand, Query
from quanmin.fhir.table import TypeDefinition, load_table

# Enough for a sentence.
_NAMED_MAX: Final = 4
_ABSENT: Final = frozenset({"not", "not-in"})


def advice(query: Query) -> str:
    """What is costly in a query and what would serve it, in sentences without a value of it."""
    costly = list(dict.fromkeys(_costly(query)))
    helpful = list(dict.fromkeys(_helpful(query)))
    found: list[str] = []
    if costly:
        found.append(Sentence("Costly in it: %(known)s.", known=listed(costly[:_NAMED_MAX])))
    found += helpful[:_NAMED_MAX]
    return reduce(_then, found) if found else ""


def _then(said: str, one: str) -> Sentence:
    return Sentence("%(said)s %(one)s", said=said, one=one)


def _costly(query: Query) -> Iterator[str]:
    for part in query.parts or (query,):
        yield from _costly_of(part)
    if query.total == "accurate" or query.summary == "count":
        yield Sentence("a total that is counted exactly (leave it out, or ask for _total=estimate)")
    if any(key.param.name not in {"_id", "_lastUpdated"} for key in query.sort[:1]):
        definition = load_table().types.get(query.type or "")
        main = definition.time_params[:1] if definition is not None else ()
        if query.sort[0].param.name not in main:
            by = either(("_lastUpdated", "_id", *main))
            yield Sentence("an order that no index keeps (sort by %(by)s first)", by=by)


def _costly_of(query: Query) -> Iterator[str]:
    for clause in query.clauses:
        name = clause.param.code
        if clause.modifier in _ABSENT or any(
            getattr(one, "prefix", "") == "ne" for one in clause.operands
        ):
            yield Sentence(
                "%(name)s asks for what is not there (ask for what is wanted instead)", name=name
            )
        elif any(isinstance(one, MissingOperand) for one in clause.operands):
            yield Sentence("%(name)s:missing, for which there is no index", name=name)
        elif clause.modifier == "text":
            yield Sentence(
                "%(name)s:text, which is decided record by record (more of the text narrows it)",
                name=name,
            )
        elif clause.modifier == "contains":
            yield Sentence(
                "%(name)s:contains (a longer piece, or the beginning of a word, narrows it)",
                name=name,
            )
        elif clause.param.kind == "string":
            yield Sentence(
                "%(name)s, which is decided record by record (a longer text narrows it)", name=name
            )
        elif clause.param.kind in {"number", "quantity", "composite"}:
            yield Sentence("%(name)s, which very many may meet", name=name)
    if query.filters:
        yield Sentence(
            "what _filter asks beside plain conditions (ask for what all hits have by parameters)"
        )
    for link in query.links:
        yield Sentence("%(link)s, which leads over other records", link=_said(link))


def _said(link: Chain | Has) -> str:
    if isinstance(link, Has):
        return f"_has:{link.param.type}:{link.param.code}"
    return f"{link.param.code}.(...)"


def _helpful(query: Query) -> Iterator[str]:
    """A sentence for each thing that would help."""
    for part in query.parts or (query,):
        definition = load_table().types.get(part.type or "")
        if definition is None:
            yield Sentence(
                "Name the types that are meant with _type, and a parameter that they share."
            )
            continue
        asked = {clause.param.name for clause in part.clauses if clause.modifier is None}
        more = list(_indexed(definition, asked))
        if more:
            yield Sentence(
                "An index serves such a search that also has a condition on %(known)s or"
                " identifier.",
                known=reduce(_with, more[:3]),
            )
        kinds = {clause.param.kind for clause in part.clauses}
        if kinds & {"string", "composite"} or any(
            clause.modifier in _ABSENT for clause in part.clauses
        ):
            yield Sentence(
                "A SearchParameter of your own on %(name)s, whose expression picks what is meant,"
                " gives it an index of its own.",
                name=definition.name,
            )


def _with(said: str, one: str) -> Sentence:
    return Sentence("%(said)s, %(one)s", said=said, one=one)


def _indexed(definition: TypeDefinition, asked: Collection[str]) -> Iterator[str]:
    """The parameters that leave few records of a type, however many there are, and are not asked
    for.
    """
    owners = definition.patient_params
    if owners and not {*owners, "patient"} & {*asked}:
        yield "patient" if "patient" in definition.params else owners[0]
    yield from sorted(definition.keyed_params - {"identifier"} - {*asked})
    for name in definition.time_params[:1]:
        if name not in asked:
            yield Sentence("%(name)s (a short span)", name=name)
