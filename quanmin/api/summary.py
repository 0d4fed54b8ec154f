"""Sends part of a record: `_summary` and `_elements`, applied to the bytes on their way out.

Only whole elements of the first level are left out; what stays is copied byte for byte, so no
number loses a digit. What was cut carries the tag SUBSETTED, so that nobody stores it as whole.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from quanmin.base.problems import Malformed
from quanmin.fhir.meta import meta_of_a_part
from quanmin.fhir.table import load_table

if TYPE_CHECKING:
    from quanmin.api.address import Pairs
    from quanmin.api.bundles import Subset

SUMMARIES = ("true", "text", "data", "count", "false")
_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


@cache
def _summary_elements() -> dict[str, frozenset[str]]:
    text = files("quanmin.definitions").joinpath("summary_elements.toml").read_text("utf-8")
    return {type_: frozenset(names) for type_, names in tomllib.loads(text)["elements"].items()}


@cache
def _choices(type_: str) -> tuple[str, ...]:
    return tuple(
        element.name for element in load_table().types[type_].elements if element.is_choice
    )


def _element_of(type_: str, key: str) -> str:
    """The element that a JSON name belongs to: as `_birthDate` and `valueQuantity` do."""
    name = key.removeprefix("_")
    for choice in _choices(type_):
        if name.startswith(choice) and name[len(choice) : len(choice) + 1].isupper():
            return choice
    return name


@lru_cache(maxsize=256)
def _named(type_: str, names: tuple[str, ...]) -> frozenset[str]:
    """The elements of the type that these names mean: `value`, `valueQuantity`, `Type.value`."""
    by_name = load_table().types[type_].element_by_name
    found = (by_name.get(name.removeprefix(f"{type_}.")) for name in names)
    return frozenset(name for name in found if name is not None)


def check_elements(name: str) -> str | None:
    """What is wrong with one name of `_elements` of an export: it is `element` or `Type.element`,
    and elements of the first level only (Bulk Data export.html#query-parameters).
    """
    types = load_table().types
    type_, _, element = name.rpartition(".")
    if not _NAME.fullmatch(element) or "." in type_:
        return "names are those of elements of the first level, as in name or Patient.name"
    if type_ and type_ not in types:
        return f"{type_[:64]!r} is no resource type of FHIR R4"
    if type_:
        known = element in types[type_].element_by_name
    else:
        known = any(element in one.element_by_name for one in types.values())
    return None if known else f"no such resource has an element {element!r}"


def _mandatory(type_: str) -> frozenset[str]:
    return frozenset(load_table().types[type_].mandatory)


def _cut(type_: str, body: bytes, kept: frozenset[str] | None, dropped: frozenset[str]) -> bytes:
    members = _DECODER.decode(body)
    left: dict[str, Any] = {}
    for key, value in members.items():
        name = _element_of(type_, key)
        if name not in dropped and (kept is None or name in kept):
            left[key] = value
    if len(left) == len(members):
        return body
    left["meta"] = meta_of_a_part(members)
    return msgspec.json.encode(left)


def subset(summary: str | None, elements: tuple[str, ...]) -> Subset | None:
    """What makes the asked part of a record out of the whole; None when the whole was asked for.

    `_elements` wins over `_summary`; elements that must be there are always kept (R4 search.html).
    """
    if elements:
        return lambda type_, body: _cut(
            type_, body, _named(type_, elements) | _mandatory(type_) | _ALWAYS, frozenset()
        )
    if summary == "true":
        return lambda type_, body: _cut(
            type_, body, _summary_elements()[type_] | _mandatory(type_) | _ALWAYS, frozenset()
        )
    if summary == "text":
        text = _ALWAYS | {"text"}
        return lambda type_, body: _cut(type_, body, text | _mandatory(type_), frozenset())
    if summary == "data":
        return lambda type_, body: _cut(type_, body, None, frozenset({"text"}))
    return None


def subset_asked_for(pairs: Pairs) -> Subset | None:
    """The same from the parameters of a read or a history; others of them do not matter here."""
    summary: str | None = None
    elements: list[str] = []
    for name, value in pairs:
        if name == "_summary":
            summary = value
        elif name == "_elements":
            elements.extend(part.strip() for part in value.split(",") if part.strip())
    if summary not in {None, "true", "text", "data", "false"}:
        raise Malformed("_summary on a read must be one of true, text, data, false")
    if not all(_NAME.fullmatch(part) for name in elements for part in name.split(".")):
        raise Malformed("_elements must list names of elements, separated by commas")
    return subset(summary, tuple(elements))
