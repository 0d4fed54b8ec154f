"""What an expression may ask of the world: variables, the clock, and ports handed in by others.

Nothing here reads or fetches anything. A port answers from what its owner loaded beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Context
from typing import Any, Literal, Protocol

import msgspec

from quanmin.fhir.json import Json
from quanmin.fhir.path.moments import Moment, from_clock
from quanmin.fhir.path.nodes import EMPTY, Collection, Node, computed, root
from quanmin.fhir.path.problems import PathProblem, Unfit
from quanmin.fhir.path.types import EXPONENT_MAX

ITEMS_MAX = 1_000_000
"""How many items one evaluation may touch in loops."""

TEXT_LENGTH_MAX = 4_000_000
"""How long a text made by an expression may be."""

ARITHMETIC = Context(prec=34, Emax=EXPONENT_MAX, Emin=-EXPONENT_MAX, traps=[])
"""Decimals are exact to 34 digits; what is beyond is no number, and so empty."""

Strictness = Literal["lenient", "standard", "checked"]


class Terminology(Protocol):
    """Codes, as whoever holds the code systems knows them; None is "not known here"."""

    def is_member(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether the code is in the value set. Without a system any system of the set counts."""

    def subsumes(self, system: str, general: str, special: str) -> bool | None:
        """Whether `general` is `special` or an ancestor of it."""


class Environment(msgspec.Struct, frozen=True):
    """Everything an evaluation may use beside the record.

    `variables` are found as %name. `now` is the moment of now(), today() and timeOfDay(); `zone` is
    where dates and times without a zone are read, None for "not known". `resolve` gives the
    resource a reference leads to, None where there is none. `conforms` says whether a resource
    fits a profile, None for a profile it does not know; `in_slice` whether an element is in the
    slice of this name of a structure, None for what it does not know. `trace` is told of trace().
    `meter` is told of items touched, to bound several evaluations together; it raises Unfit to end
    one.

    `strictness`: "standard" is the specification. "lenient" lets `as` filter several items, as the
    search parameters of R4 expect. "checked" refuses what no record of the type can have.
    """

    variables: Mapping[str, Any] = {}
    now: datetime | None = None
    zone: tzinfo | None = None
    strictness: Strictness = "standard"
    resolve: Callable[[str], Json | None] | None = None
    terminology: Terminology | None = None
    conforms: Callable[[Json, str], bool | None] | None = None
    in_slice: Callable[[Node, str, str], bool | None] | None = None
    trace: Callable[[str, Collection], None] | None = None
    meter: Callable[[int], None] | None = None


STANDARD = Environment()
LENIENT = Environment(strictness="lenient")

CONSTANTS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}
RESERVED = frozenset({"context", "resource", "rootResource", *CONSTANTS})
"""Variables that mean something always, so that none may be defined under their name."""


class Scope:
    """One evaluation: its environment, its context and what it has spent."""

    __slots__ = ("_now", "context", "defined", "environment", "index", "spent", "total", "zone")

    def __init__(self, environment: Environment, context: Node, defined: int) -> None:
        self.environment = environment
        self.zone = environment.zone
        self.context = context
        self.defined: list[Collection] = [EMPTY] * defined
        self.index = 0
        self.total: Collection = EMPTY
        self.spent = 0
        self._now: Moment | None = None

    def spend(self, items: int) -> None:
        """Count items touched. Raises Unfit when they are too many."""
        self.spent += items
        if self.spent > ITEMS_MAX:
            raise Unfit(f"this touches more than {ITEMS_MAX} items: narrow it down first")
        if self.environment.meter is not None:
            self.environment.meter(items)

    @property
    def now(self) -> Moment:
        """The moment of this evaluation, the same throughout."""
        if self._now is None:
            given = self.environment.now or datetime.now(self.zone or UTC)
            self._now = from_clock(given)
        return self._now

    def constant(self, name: str) -> Collection | None:
        """What %name stands for; None where nothing does."""
        if name == "context":
            return [self.context]
        if name in {"resource", "rootResource"}:
            return [container(self.context, is_outermost=name == "rootResource")]
        if name in CONSTANTS:
            return computed(CONSTANTS[name])
        variables = self.environment.variables
        if name in variables:
            return collected(variables[name])
        for prefix, url in _PREFIXES.items():
            if name.startswith(prefix):
                return computed(url + name[len(prefix) :])
        return None


def collected(value: Any) -> Collection:
    """A value handed in from outside, as a collection: nodes, JSON or System values."""
    if value is None:
        return EMPTY
    if isinstance(value, Node):
        return [value]
    if isinstance(value, list | tuple):
        return [node for item in value for node in collected(item)]
    return [root(value)] if isinstance(value, dict) else computed(value)


def container(node: Node, *, is_outermost: bool) -> Node:
    """The resource a node stands in: the nearest, or that which contains it (R4 fhirpath.html)."""
    found: Node | None = None
    at: Node | None = node
    last = node
    while at is not None:
        last = at
        if at.type.is_resource:
            if not is_outermost:
                return at
            if found is not None and found.step != "contained":
                return found
            found = at
        at = at.parent
    return found or last


def fitting(text: str) -> str:
    """The text. Raises Unfit when it is longer than TEXT_LENGTH_MAX."""
    if len(text) > TEXT_LENGTH_MAX:
        raise Unfit(f"this makes a text of more than {TEXT_LENGTH_MAX} characters")
    return text


def missing(expression: str, at: int, name: str) -> PathProblem:
    """The problem of a variable that nobody gave."""
    text = f"there is no variable %{name}: hand it in, or define it by defineVariable()"
    return PathProblem(text, expression=expression, at=at, fault="execution")
