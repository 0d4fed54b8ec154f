"""The members that a JSON object of a shape may have, seen from the JSON side."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from quanmin.fhir.json import json_names
from quanmin.fhir.table import Element, ElementType, load_table


class Member(msgspec.Struct, frozen=True):
    """One way to write an element: its JSON name and the type that the name says."""

    name: str
    element: Element
    type: ElementType
    is_primitive: bool


@lru_cache(maxsize=1024)
def members_of(shape: str) -> dict[str, Member]:
    """JSON name -> member, without the `_name` siblings, which every primitive member has."""
    table = load_table()
    return {
        name: Member(name, element, kind, kind.code in table.primitives)
        for element in table.shapes[shape]
        for (name, _), kind in zip(json_names(element), element.types, strict=False)
    }


@lru_cache(maxsize=1024)
def elements_of(shape: str) -> tuple[tuple[Element, tuple[Member, ...]], ...]:
    """Each element of a shape with the ways to write it: one for each type of a choice."""
    ways: dict[str, list[Member]] = {}
    for member in members_of(shape).values():
        ways.setdefault(member.element.name, []).append(member)
    return tuple((found[0].element, tuple(found)) for found in ways.values())
