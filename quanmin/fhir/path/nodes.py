"""The items of a collection: an element of a record with its type and place, or a System value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from quanmin.fhir.json import Json
from quanmin.fhir.path.amounts import Amount
from quanmin.fhir.path.moments import Moment
from quanmin.fhir.path.types import BOOLEAN, RESOURCE, UNKNOWN, Type, Way, fhir_type, type_of


class Node(msgspec.Struct, gc=False):
    """One item. `value` is the JSON as it was decoded, or a System value.

    None stands for a primitive that has no value, only what `extra` (its `_name` sibling) holds.
    `parent`, `step` and `index` say where it stands; a computed value has no parent. Nodes are
    compared by the operators, never by Python's.
    """

    value: Json
    type: Type
    extra: dict[str, Json] | None = None
    parent: Node | None = None
    step: str = ""
    index: int = -1

    @property
    def location(self) -> str:
        """Where in the resource it stands: Patient.name[0].given[1]; empty if computed."""
        steps = []
        node: Node | None = self
        while node is not None:
            steps.append(node.step if node.index < 0 else f"{node.step}[{node.index}]")
            node = node.parent
        return ".".join(reversed(steps))

    @property
    def plain(self) -> Any:
        """The System value, where there is one; else the JSON object."""
        convert = self.type.convert
        return self.value if convert is None else convert(self.value)


Collection = list[Node]
"""An ordered collection. Never changed once it is handed on."""

EMPTY: Collection = []
YES = [Node(True, BOOLEAN)]  # noqa: FBT003 - the value of a struct, not a switch
NO = [Node(False, BOOLEAN)]  # noqa: FBT003 - the same


def computed(value: Any) -> Collection:
    """A computed value as a collection; None is the empty one."""
    if value is True:
        return YES
    if value is False:
        return NO
    return EMPTY if value is None else [Node(value, type_of(value))]


def root(resource: Json, type_name: str = "") -> Node:
    """A resource, or an element of the type named, as the start of a path."""
    name = type_name
    if not name and isinstance(resource, dict):
        stated = resource.get("resourceType")
        name = stated if isinstance(stated, str) else ""
    kind = fhir_type(name) if name else UNKNOWN
    if kind is UNKNOWN and not isinstance(resource, dict):
        kind = type_of(resource)
    return Node(resource, kind, step=name)


def _resource_type(value: Json, stated: Type) -> Type:
    if stated is not RESOURCE or type(value) is not dict:
        return stated
    name = value.get("resourceType")
    found = fhir_type(name) if type(name) is str else UNKNOWN
    return found if found.is_resource else UNKNOWN


def add_member(node: Node, name: str, found: Collection) -> None:
    """Append the elements of this name; none where the type has none."""
    kind = node.type
    ways = kind.ways
    if ways is None:
        _add_undefined(node, name, found)
        return
    held = node.extra if kind.is_primitive else node.value
    if type(held) is dict:
        for way in ways.get(name, ()):
            if way.json in held or (way.under and way.under in held):
                _add_way(node, held, way, found)


def _add_way(node: Node, held: dict[str, Json], way: Way, found: Collection) -> None:
    value = held.get(way.json)
    extra = held.get(way.under) if way.under else None
    kind = way.type
    if extra is None and kind is not RESOURCE:
        # Nearly every element: nothing beside the value, and its type known beforehand.
        step = way.step
        if type(value) is list:
            for index, item in enumerate(value):
                if item is not None:
                    found.append(Node(item, kind, None, node, step, index))
        elif value is not None:
            found.append(Node(value, kind, None, node, step))
        return
    _add_beside(node, value, extra, way, found)


def _add_beside(node: Node, value: Json, extra: Json, way: Way, found: Collection) -> None:
    """Append elements that have something beside their value, or their type in themselves."""
    for item, beside, index in _paired(value, extra):
        found.append(Node(item, _resource_type(item, way.type), beside, node, way.step, index))


def _add_undefined(node: Node, name: str, found: Collection) -> None:
    if type(node.value) is Amount and name in {"value", "unit"}:
        found += computed(getattr(node.value, name))
    held = node.value if type(node.value) is dict else node.extra
    if type(held) is not dict:
        return
    for item, beside, index in _paired(held.get(name), held.get("_" + name)):
        found.append(Node(item, _undefined_type(item), beside, node, name, index))


def _paired(value: Json, extra: Json) -> Iterator[tuple[Json, dict[str, Json] | None, int]]:
    """Each item of an element with what stands beside it, and its index in a list, else -1."""
    values = value if type(value) is list else [value]
    extras = extra if type(extra) is list else [extra]
    is_list = type(value) is list or type(extra) is list
    for index in range(max(len(values), len(extras))):
        item = values[index] if index < len(values) else None
        beside = extras[index] if index < len(extras) else None
        beside = beside if type(beside) is dict else None
        if item is not None or beside is not None:
            yield item, beside, index if is_list else -1


def _undefined_type(value: Json) -> Type:
    if type(value) is dict:
        name = value.get("resourceType")
        return fhir_type(name) if type(name) is str else UNKNOWN
    return UNKNOWN if value is None else type_of(value)


def children(node: Node) -> Collection:
    """Every element of a node, in the order of its definition."""
    found: Collection = []
    kind = node.type
    held = node.extra if kind.is_primitive or kind.is_system else node.value
    if type(held) is not dict:
        return found
    if kind.ways is None:
        for name in held:
            if name != "resourceType" and not (name.startswith("_") and name[1:] in held):
                _add_undefined(node, name.removeprefix("_"), found)
        return found
    for ways in kind.ways.values():
        for way in ways:
            if way.json in held or (way.under and way.under in held):
                _add_way(node, held, way, found)
    return found


def text_of(value: Any) -> Any:
    """A System value as JSON has it: dates and quantities as text."""
    return str(value) if isinstance(value, Moment | Amount) else value
