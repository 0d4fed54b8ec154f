"""A StructureDefinition as it is compiled: what of it makes rules, without texts for readers."""

from __future__ import annotations

from typing import Any

import msgspec

from quanmin.fhir.json import Json, decode
from quanmin.fhir.profiles.model import STRUCTURE
from quanmin.fhir.table import load_table

# For readers, and by far the larger part of a definition.
_FOR_READERS = frozenset(
    {
        *("short", "definition", "comment", "requirements", "alias", "mapping", "example"),
        *("label", "code", "isSummary", "mustSupport", "isModifierReason", "meaningWhenMissing"),
        *("orderMeaning", "condition", "base", "representation", "_short", "_definition"),
        *("_comment", "_requirements"),
    }
)
_KEPT = frozenset(
    {
        *("resourceType", "url", "version", "kind", "type", "derivation", "baseDefinition"),
        *("abstract", "context", "contextInvariant"),
    }
)
_BASES = ("Resource", "DomainResource", "Element", "BackboneElement")


class Definition(msgspec.Struct, frozen=True):
    """A StructureDefinition, decoded. `part` names the elements that `elements` were taken from."""

    head: dict[str, Any]
    elements: tuple[dict[str, Any], ...]
    part: str

    @property
    def url(self) -> str:
        """Its canonical address."""
        return str(self.head.get("url") or "")

    @property
    def version(self) -> str:
        """Its version, "" without one."""
        return str(self.head.get("version") or "")

    @property
    def type(self) -> str:
        """The type it constrains."""
        return str(self.head.get("type") or "")

    @property
    def is_profile(self) -> bool:
        """Whether it constrains a type of R4, and so can be kept or broken by a record."""
        return self.head.get("derivation") == "constraint" and self.head.get("kind") != "logical"

    @property
    def base(self) -> str | None:
        """The profile that has to be known to compile it; None when it needs none.

        Only a differential needs its base, and not when that is a type of R4, whose rules every
        record keeps anyway.
        """
        if self.part != "differential":
            return None
        base = str(self.head.get("baseDefinition") or "")
        return None if is_base_type(base) else base


def is_base_type(url: str) -> bool:
    """Whether a canonical address names a type that R4 itself defines."""
    name = url.partition("|")[0].removeprefix(STRUCTURE)
    if name == url.partition("|")[0]:
        return False
    table = load_table()
    return name in table.types or name in _BASES or name in table.primitives or _is_shape(name)


def _is_shape(name: str) -> bool:
    return "." not in name and name in load_table().shapes


def read_definition(raw: bytes) -> Definition:
    """The definition in the JSON of a StructureDefinition, which is valid R4."""
    return definition_of(decode(raw))


def definition_of(resource: dict[str, Json]) -> Definition:
    """The same of a decoded StructureDefinition."""
    head = {name: value for name, value in resource.items() if name in _KEPT}
    for part in ("snapshot", "differential"):
        held: Any = resource.get(part)
        if isinstance(held, dict) and held.get("element"):
            elements = tuple(_slim(element) for element in held["element"])
            return Definition(head, elements, part)
    return Definition(head, (), "")


def _slim(element: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in element.items() if name not in _FOR_READERS}


def slimmed(definition: Definition) -> dict[str, Any]:
    """A StructureDefinition with no more than is compiled, to be read again by `definition_of`."""
    if not definition.part:
        return dict(definition.head)
    return {**definition.head, definition.part: {"element": list(definition.elements)}}
