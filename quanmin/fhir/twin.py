"""A record under a FHIRPath Patch: decoded and as bytes, both changed alike."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import msgspec

from quanmin.fhir.json import decode, decode_any
from quanmin.fhir.patch_value import Value
from quanmin.fhir.patched import OpenDocument, is_raw, opened
from quanmin.fhir.path import Node
from quanmin.fhir.validation.fields import Member, elements_of

Tokens = tuple[str | int, ...]
_NULL = msgspec.Raw(b"null")


class Place(msgspec.Struct, frozen=True):
    """Where an element is written: the object that holds it and its shape, the member, and in a
    list the index.
    """

    holder: Tokens
    shape: str
    member: Member
    index: int = -1

    @property
    def inner(self) -> Tokens:
        """The object that holds its own elements: of a primitive, the one beside the value."""
        name = self.member.name
        key = "_" + name if self.member.is_primitive else name
        return (*self.holder, key) if self.index < 0 else (*self.holder, key, self.index)

    @property
    def ways(self) -> tuple[Member, ...]:
        """All ways to write the element: a choice has several."""
        element = self.member.element
        return next(ways for known, ways in elements_of(self.shape) if known is element)


def shape_of(node: Node) -> str:
    """The shape whose elements a node can have."""
    return "Element" if node.type.is_primitive or node.type.is_system else node.type.name


def inner_of(node: Node) -> Tokens:
    """The object that holds the elements of a node."""
    return () if node.parent is None else place_of(node, node.parent).inner


def place_of(node: Node, parent: Node) -> Place:
    """Where an element of a record is written."""
    shape = shape_of(parent)
    name, _, kind = node.step.removesuffix(")").partition(".ofType(")
    ways = next(ways for element, ways in elements_of(shape) if element.name == name)
    member = next(way for way in ways if not kind or way.type.code == kind)
    return Place(inner_of(parent), shape, member, node.index)


class Twin(OpenDocument):
    """A record decoded, and as bytes that are opened where steps go."""

    def __init__(self, body: bytes, bytes_max: int) -> None:
        super().__init__(body, bytes_max)
        self.decoded = decode(body)

    def write(self) -> bytes:
        """The record as it is now, without the objects and lists that were emptied."""
        _prune(self.root)
        return super().write()

    def has(self, place: Place) -> bool:
        """Whether a member is there."""
        _, plain = self._holder(place.holder)
        return any(key in plain for key in _keys(place.member))

    def count(self, place: Place) -> int:
        """How many items the list of a member has."""
        _, plain = self._holder(place.holder)
        return max(len(plain.get(key, ())) for key in _keys(place.member))

    def put(self, place: Place, value: Value) -> None:
        """Write a member that does not repeat."""
        for holder, is_plain in self._both(place):
            for key, raw in _written(value):
                if raw is None:
                    holder.pop(key, None)
                else:
                    holder[key] = decode_any(raw) if is_plain else raw

    def remove(self, place: Place) -> None:
        """Take an element out."""
        for holder, _ in self._both(place):
            for key in _keys(place.member):
                if place.index < 0:
                    holder.pop(key, None)
                elif place.index < len(holder.get(key, ())):
                    del holder[key][place.index]

    def insert(self, place: Place, index: int, value: Value) -> None:
        """Put an item into the list of a member, which is made where there is none."""
        for listed, item in self._lists(place, value):
            listed.insert(index, item)

    def set_item(self, place: Place, value: Value) -> None:
        """Put another item where one is."""
        for listed, item in self._lists(place, value):
            listed[place.index] = item

    def move(self, place: Place, source: int, destination: int) -> None:
        """Take an item of a list and put it in where `destination` is after that."""
        for listed, _ in self._lists(place, Value(place.member, None)):
            listed.insert(destination, listed.pop(source))

    def _lists(self, place: Place, value: Value) -> list[tuple[list[Any], Any]]:
        """The lists that a member is written in, all of one length, and their part of the value."""
        count = self.count(place)
        found = []
        for holder, is_plain in self._both(place):
            for key, raw in _written(value):
                if key not in holder and raw is None:
                    continue
                listed = holder.setdefault(key, [])
                nothing = None if is_plain else _NULL
                listed += [nothing] * (count - len(listed))
                item = nothing if raw is None else decode_any(raw) if is_plain else raw
                found.append((listed, item))
        return found

    def _both(self, place: Place) -> tuple[tuple[Any, bool], tuple[Any, bool]]:
        """The object that holds a place, as bytes and decoded, its lists opened."""
        raw, plain = self._holder(place.holder)
        for key in _keys(place.member):
            if place.member.element.is_list and key in raw:
                raw[key] = opened(raw[key])
        return (raw, False), (plain, True)

    def _holder(self, tokens: Tokens) -> tuple[Any, Any]:
        """An object, as bytes opened and decoded; it is made where a primitive has none beside."""
        raw, plain = opened(self.root), self.decoded
        self.root = raw
        at: Any = plain
        for token, following in zip_longest(tokens, tokens[1:]):
            if isinstance(token, int):
                missing = token - len(at) + 1
                raw += [_NULL] * missing
                at += [None] * missing
            is_there = at[token] is not None if isinstance(token, int) else token in at
            if is_there:
                raw[token] = opened(raw[token])
            else:
                is_list = isinstance(following, int)
                raw[token], at[token] = ([], []) if is_list else ({}, {})
            raw, at = raw[token], at[token]
        return raw, at


def _keys(member: Member) -> tuple[str, ...]:
    """The keys that a member is written under: a primitive has two."""
    return (member.name, "_" + member.name) if member.is_primitive else (member.name,)


def _written(value: Value) -> list[tuple[str, msgspec.Raw | None]]:
    return list(zip(_keys(value.member), (value.raw, value.under), strict=False))


def _prune(node: Any) -> bool:
    """Take out what steps have emptied; whether something is left of the node itself."""
    if is_raw(node):
        return bytes(node).strip() != b"null"
    if isinstance(node, dict):
        for key in list(node):
            if key.startswith("_") and isinstance(node[key], list):
                # Items beside primitives stand at the index of theirs.
                node[key] = [item if _prune(item) else _NULL for item in node[key]]
            elif isinstance(node[key], list):
                node[key] = [item for item in node[key] if is_raw(item) or _prune(item)]
            if not _prune(node[key]):
                del node[key]
        return bool(node)
    return any(_prune(item) for item in node)
