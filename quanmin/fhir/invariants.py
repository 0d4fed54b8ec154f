"""The rules of R4 that are written in FHIRPath, and which of them a record breaks.

They are evaluated where they are stated: on every element of the type, or of the path, that a
StructureDefinition of the release gives them to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path as File
from typing import Literal, get_args

import msgspec
import zstandard

from quanmin.fhir.json import Json
from quanmin.fhir.path import Environment, Node, Path, PathProblem, compile_path
from quanmin.fhir.path.nodes import children, root
from quanmin.fhir.path.types import fhir_type

_TABLE = File(__file__).resolve().parent.parent / "definitions" / "fhir_r4" / "invariants.json.zst"

_OPERATIONS = (
    "sourceId.exists() or (targetId.count() + url.count() + params.count() = 1) or"
    " (type.code.exists() and type.code in ('capabilities' | 'search' | 'transaction' | 'history'))"
)
_AMENDED = {
    # R4B corrects the type: an answer is a FHIR boolean and never System.Boolean.
    "que-7": "operator = 'exists' implies (answer is boolean)",
    # What is not there makes these empty, which breaks nothing, and their words say that it does.
    "eld-3": "empty() or $this = '*' or (toInteger().exists() and toInteger() >= 0)",
    "md-1": "max.empty() or max = '*' or (max.toInteger().exists() and max.toInteger() > 0)",
    "que-13": "(repeats.exists() and repeats = true) or initial.count() <= 1",
    "tst-7": _OPERATIONS,
    "tst-8": _OPERATIONS,
    "tst-9": _OPERATIONS,
    "vsd-9": "code.exists() or (abstract.exists() and abstract = true)",
}

DECIDED_BY_SHAPE = frozenset(
    {"dom-2", "dom-3", "dom-4", "dom-5", "ele-1", "ref-1", "txt-1", "txt-2"}
)
"""Rules that validation holds without FHIRPath: empty elements, contained records, narratives."""

# R4 wrote `as` for what ofType() does; references are not followed to judge one record.
_ENVIRONMENT = Environment(strictness="lenient", resolve=lambda _: None)

_OPERATOR = re.compile(r" (?:and|or) ")

Severity = Literal["error", "warning"]


class Invariant(msgspec.Struct, frozen=True):
    """One rule: where it is stated, its key, and what it says for people and in FHIRPath."""

    place: str
    key: str
    severity: Severity
    human: str
    expression: str

    @property
    def path(self) -> Path:
        """The expression, compiled."""
        return compile_path(self.expression)


@lru_cache(maxsize=1)
def invariants() -> tuple[Invariant, ...]:
    """Every rule of the release, in order of place and key."""
    packed = zstandard.ZstdDecompressor().decompress(_TABLE.read_bytes())
    rows = msgspec.json.decode(packed, type=list[tuple[str, str, Severity, str, str]])
    return tuple(
        Invariant(place, key, severity, human, _AMENDED.get(key, expression))
        for place, key, severity, human, expression in rows
        if expression
    )


@lru_cache(maxsize=1)
def _by_place() -> dict[str, list[Invariant]]:
    found: dict[str, list[Invariant]] = {}
    for rule in invariants():
        found.setdefault(rule.place, []).append(rule)
    return found


@lru_cache(maxsize=4096)
def _rules(type_name: str, owner: str, step: str) -> tuple[Invariant, ...]:
    """The rules of an element by its own type, and by its place in the type that holds it."""
    known = _by_place()
    names = sorted(name for name in fhir_type(type_name).names if not name.startswith("FHIR."))
    element = step.partition(".ofType(")[0]
    places = {f"{owner}.{element}", f"{owner}.{element}[x]"} - {type_name}
    # An extension within one has its rule from both its type and its place.
    found = {rule.key: rule for name in (*names, *sorted(places)) for rule in known.get(name, ())}
    return tuple(found.values())


def rules_of(node: Node) -> tuple[Invariant, ...]:
    """The rules that an element has to keep."""
    owner = node.parent.type.name if node.parent is not None else ""
    return _rules(node.type.name, owner, node.step)


def broken(
    resource: Json,
    *,
    severities: frozenset[Severity] = frozenset(get_args(Severity)),
    without: frozenset[str] = frozenset(),
) -> Iterator[tuple[Invariant, Node]]:
    """Each rule that the record breaks, and the element that breaks it; keys `without` left out.
    Where things must be distinct, that is the first that is there again.

    A rule that cannot be decided is not broken: it compares what cannot be compared, or asks for
    what is not at hand.
    """
    waiting = [root(resource)]
    while waiting:
        node = waiting.pop()
        for rule in rules_of(node):
            if rule.severity in severities and rule.key not in without and not _holds(rule, node):
                yield rule, _again(rule, node) or node
        waiting += reversed(children(node))


def _again(rule: Invariant, node: Node) -> Node | None:
    """The first element that a rule finds a second time; None where it is no rule of that kind."""
    compared = rule.expression.removesuffix(".isDistinct()")
    if compared == rule.expression:
        return None
    # Some rules ask for something else before it: (type = 'history') or entry...isDistinct().
    compared = _OPERATOR.split(compared)[-1]
    seen: set[str] = set()
    for found in compile_path(compared).evaluate(node, environment=_ENVIRONMENT):
        value = repr(found.value)
        if found.parent is not None and value in seen:
            return found
        seen.add(value)
    return None


def _holds(rule: Invariant, node: Node) -> bool:
    try:
        return rule.path.is_true(node, environment=_ENVIRONMENT) is not False
    except PathProblem:
        return True
