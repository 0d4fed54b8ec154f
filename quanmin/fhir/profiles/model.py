"""A compiled profile: a tree of rules, one for each element or slice that it says something of."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from quanmin.fhir.invariants import Severity
from quanmin.fhir.json import Json
from quanmin.fhir.path import Node, Path

Strength = Literal["required", "extensible", "preferred", "example"]
Openness = Literal["open", "closed", "openAtEnd"]
Discrimination = Literal["value", "pattern", "exists", "type", "profile"]

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"


class TypeRule(msgspec.Struct, frozen=True):
    """A type that an element may have here (R4 ElementDefinition.type).

    `profiles` are those of which the element keeps one, `targets` those of which what it refers to
    keeps one; none of either means any.
    """

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()
    versioning: str = "either"


class Constraint(msgspec.Struct, frozen=True):
    """A rule in FHIRPath (R4 ElementDefinition.constraint)."""

    key: str
    severity: Severity
    human: str
    path: Path


class Binding(msgspec.Struct, frozen=True):
    """Which codes an element takes (R4 ElementDefinition.binding)."""

    strength: Strength
    value_set: str
    value_set_max: str = ""


class Limit(msgspec.Struct, frozen=True):
    """A bound of a value: `of` is the element it was given as. `is_span` counts from now."""

    of: Node
    is_span: bool = False


class Step(msgspec.Struct, frozen=True):
    """One step of a discriminator's path."""

    kind: Literal["member", "extension", "resolve", "type"]
    name: str = ""


class Discriminator(msgspec.Struct, frozen=True):
    """What tells slices apart (R4 ElementDefinition.slicing.discriminator).

    `before` leads to the references that a path with resolve() follows.
    """

    kind: Discrimination
    path: Path
    steps: tuple[Step, ...]
    before: Path | None = None


class Slicing(msgspec.Struct, frozen=True):
    """How the items of an element are divided (R4 profiling.html#slicing)."""

    discriminators: tuple[Discriminator, ...]
    rules: Openness
    is_ordered: bool


class Rule(msgspec.Struct):
    """What is asked of an element or a slice. Not changed any more once its profile is made.

    `types` are those it may have, where these are fewer than in R4; `sorts` those it can have at
    all, to find its own elements by. `content` is the rule of the element whose definition it
    shares (contentReference). `max` None is unbounded.
    """

    id: str
    name: str
    sorts: tuple[str, ...] = ()
    min: int = 0
    max: int | None = None
    types: tuple[TypeRule, ...] = ()
    fixed: Json | UnsetType = UNSET
    pattern: Json | UnsetType = UNSET
    low: Limit | None = None
    high: Limit | None = None
    length_max: int | None = None
    constraints: tuple[Constraint, ...] = ()
    binding: Binding | None = None
    slicing: Slicing | None = None
    slices: dict[str, Rule] = {}
    children: dict[str, Rule] = {}
    content: Rule | None = None

    @property
    def elements(self) -> dict[str, Rule]:
        """The rules of its elements."""
        return self.content.children if self.content is not None else self.children


class Context(msgspec.Struct, frozen=True):
    """Where an extension may stand (R4 StructureDefinition.context)."""

    kind: Literal["element", "extension", "fhirpath"]
    expression: str
    path: Path | None = None


class Profile(msgspec.Struct, frozen=True):
    """A StructureDefinition, ready to be checked against. `type` is what it is a profile of."""

    url: str
    version: str
    type: str
    root: Rule
    is_modifier: bool = False
    contexts: tuple[Context, ...] = ()
    conditions: tuple[Path, ...] = ()


def same_json(one: Any, two: Any) -> bool:
    """Whether two pieces of JSON say exactly the same; true is not 1, and 1.0 is 1."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same_json(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same_json, one, two))
    return (type(one) is type(two) and one == two) or (_is_number(one) and one == two)


def _is_number(value: Any) -> bool:
    return not isinstance(value, str | dict | list) and value is not None


def holds_pattern(pattern: Any, value: Any) -> bool:
    """Whether the value has all that the pattern has, and perhaps more (R4 pattern[x]).

    Each item of a list in the pattern must be met by some item of the value's list.
    """
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and holds_pattern(pattern[key], value[key]) for key in pattern
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(holds_pattern(one, item) for item in value) for one in pattern
        )
    return same_json(pattern, value)
