"""An independent answer to what a search must find.

The official SearchParameter resources say by FHIRPath which elements a parameter looks at; a
library that shares no code with the node (fhirpathpy) evaluates them over the plain JSON. What the
elements mean and how they are compared stands in `comparison`, written from R4's search page alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import fhirpathpy
from fhirpathpy.models import models
from shared import members

Resource = dict[str, Any]
Evaluate = Callable[..., list[Any]]

SIMPLE = {"token", "string", "date", "number", "quantity", "reference", "uri"}
_EXAMPLES = "hl7.fhir.r4.examples-4.0.1.tar.xz"
_OFFICIAL = "http://hl7.org/fhir/SearchParameter/"
_RESOLVED = re.compile(r"\.where\(resolve\(\) is (\w+)\)")
_TYPED = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}(?:/_history/[^/]+)?$")
_GENERAL = re.compile(r"^(?:Domain)?Resource\.")
_AS = re.compile(r"\(([\w.]+) as (\w+)\)")
_EVERYWHERE = {"Resource", "DomainResource"}


class Definition(NamedTuple):
    """An official search parameter as far as one type is concerned."""

    type: str
    name: str
    kind: str
    expression: str


def read_json(raw: bytes) -> Resource:
    """A resource with the digits of its decimals."""
    found: Resource = json.loads(raw, parse_float=Decimal)
    return found


@cache
def official() -> tuple[Resource, ...]:
    """Every SearchParameter of R4 itself, as the specification publishes them.

    Those of published extensions are not among the parameters of R4's types; when a record was
    updated only the node knows.
    """
    found = (
        json.loads(raw)
        for path, raw in members(_EXAMPLES)
        if path.rsplit("/", 1)[-1].startswith("SearchParameter-")
    )
    return tuple(
        each
        for each in found
        if each["url"].startswith(_OFFICIAL)
        and each.get("base")
        and each["code"] != "_lastUpdated"
        and "extension" not in each.get("expression", "extension").lower()
    )


@cache
def definitions(type_: str) -> tuple[Definition, ...]:
    """The parameters of simple kind of a type, by name."""
    found = {}
    for each in official():
        is_general = bool(_EVERYWHERE & set(each["base"]))
        if each["type"] in SIMPLE and (is_general or type_ in each["base"]):
            expression = _own_part(each["expression"], type_)
            found[each["code"]] = Definition(type_, each["code"], each["type"], expression)
    return tuple(found[name] for name in sorted(found))


def _own_part(expression: str, type_: str) -> str:
    """Of `A.x | B.y` what speaks of one type; the library does not take Resource for its types."""
    parts = [_GENERAL.sub(f"{type_}.", part.strip()) for part in expression.split(" | ")]
    own = (part for part in parts if re.match(rf"\(?({type_}\b|[a-z])", part))
    # R4 writes `as` where there may be several elements, which FHIRPath allows to ofType only.
    return " | ".join(_AS.sub(r"\1.ofType(\2)", part).replace(".as(", ".ofType(") for part in own)


@cache
def _finder(expression: str) -> Evaluate:
    evaluators = []
    for part in expression.split(" | "):
        wanted = _RESOLVED.search(part)
        plain = _RESOLVED.sub("", part)
        compiled: Evaluate = fhirpathpy.compile(plain, models["r4"])
        evaluators.append((compiled, wanted[1] if wanted else None))

    def find(resource: Resource) -> list[Any]:
        return [
            element
            for evaluate, target in evaluators
            for element in evaluate(resource)
            if target is None or _points_at(element, target)
        ]

    return find


def _points_at(element: Any, target: str) -> bool:
    """What `resolve() is Target` says as far as a reference tells without being followed."""
    if not isinstance(element, dict):
        return False
    found = _TYPED.search(element.get("reference", ""))
    return (found[1] if found else element.get("type")) == target


def elements(definition: Definition, resource: Resource) -> list[Any]:
    """What the parameter looks at in a resource: plain JSON elements."""
    if not definition.expression:
        return []
    return _finder(definition.expression)(resource)


class Evidence:
    """All resources, and for each parameter the elements that have something to say."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.by_type: dict[str, dict[str, Resource]] = {}
        for resource in resources:
            self.by_type.setdefault(resource["resourceType"], {})[resource["id"]] = resource
        self._found: dict[Definition, dict[str, list[Any]]] = {}

    def ids(self, type_: str) -> set[str]:
        """The ids of all resources of a type."""
        return set(self.by_type[type_])

    def found(self, definition: Definition) -> dict[str, list[Any]]:
        """The elements of each resource that has any, by id."""
        if definition not in self._found:
            self._found[definition] = {
                id_: several
                for id_, resource in self.by_type[definition.type].items()
                if (several := elements(definition, resource))
            }
        return self._found[definition]
