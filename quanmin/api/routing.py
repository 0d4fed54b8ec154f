"""Finds the interaction for a method and a path, from the table of interactions alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from quanmin.api.address import ID
from quanmin.base.problems import Malformed, NotFound

if TYPE_CHECKING:
    from quanmin.api.interactions import Interaction

_WORDS = frozenset({"_history", "_search", "_page", "_job", "metadata"})
_PARTS = ("[type]", "[id]", "[kind]", "[version]", "[more]")
_ADDRESSES = (
    "addresses are Type, Type/id, Type/id/_history, Type/id/_history/version, Type/_search, "
    "Patient/id/Type and metadata"
)


class Undeclared(Exception):  # noqa: N818 - it stops the program at its start, no one is told
    """An interaction says not who may use it."""


class Routes:
    """The interactions by shape and method. Refuses to be made of one without declared access."""

    def __init__(self, interactions: Iterable[Interaction], types: Collection[str]) -> None:
        self._types = types
        self._by_shape: dict[str, dict[str, Interaction]] = {}
        self._operations: dict[str, dict[str, dict[str, Interaction]]] = {}
        self._served: dict[str, list[str]] = {}
        for one in interactions:
            if one.access is None:
                raise Undeclared(f"{one.method} {one.shape} declares no access: say who may use it")
            for type_ in one.types or ("",):
                methods = self._methods(one, type_)
                methods[one.method] = one
                if one.method == "GET":
                    methods["HEAD"] = one

    def _methods(self, one: Interaction, type_: str) -> dict[str, Interaction]:
        if one.code != "operation":
            return self._by_shape.setdefault(one.shape, {})
        served = self._served.setdefault(one.shape.rpartition("/")[2], [])
        shape = one.shape.replace("[type]", type_ or "[type]")
        if shape not in served:
            served.append(shape)
        return self._operations.setdefault(one.shape, {}).setdefault(type_, {})

    def find(self, parts: list[str]) -> dict[str, Interaction]:
        """The interactions at a path, by method; NotFound or Malformed says what is wrong."""
        if parts and parts[-1].startswith("$"):
            return self._operation(parts)
        shape = "/".join([p if p in _WORDS else _PARTS[n] for n, p in enumerate(parts[:5])])
        methods = self._by_shape.get(shape)
        if methods is None or len(parts) > len(_PARTS):
            raise self._unknown(parts)
        if shape[:1] == "[":
            self._check(parts)
        return methods

    def _operation(self, parts: list[str]) -> dict[str, Interaction]:
        shape = "/".join([*_PARTS[: len(parts) - 1], parts[-1]])
        by_type = self._operations.get(shape, {})
        methods = by_type.get(parts[0]) or by_type.get("")
        if methods is None or len(parts) > len(_PARTS):
            raise self._unknown(parts)
        if len(parts) > 1:
            self._check(parts[:-1])
        return methods

    def _check(self, parts: list[str]) -> None:
        if parts[0] not in self._types:
            raise NotFound(f"{parts[0][:64]!r} is not a resource type of FHIR R4")
        if len(parts) > 1 and parts[1].startswith("$"):
            raise self._unknown(parts)
        if len(parts) > 1 and parts[1] not in _WORDS and not ID.fullmatch(parts[1]):
            raise Malformed("an id has 1 to 64 letters, digits, hyphens and dots, nothing else")
        kind = parts[2] if len(parts) > 2 else "*"
        if kind not in _WORDS and kind != "*" and kind not in self._types:
            raise NotFound(f"{kind[:64]!r} is not a resource type of FHIR R4")

    def _unknown(self, parts: list[str]) -> NotFound:
        served = self._served.get(parts[-1], [])
        if served:
            return NotFound(f"{parts[-1]} is not served here, but at {', '.join(served)}")
        if any(part.startswith("$") for part in parts):
            return NotFound("this node serves no such operation; metadata lists what it does")
        return NotFound(f"there is nothing at this address: {_ADDRESSES}")
