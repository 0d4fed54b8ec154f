"""The directory: institutions, their places, services and staff, which every actor may look up.

Who may not see such a record whole is shown the elements that are of the directory, and finds it by
these alone: a search by what is left out would tell it.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from quanmin.fhir.json import without_member
from quanmin.fhir.meta import meta_of_a_part
from quanmin.fhir.query import EVERY_TYPE, Query, asked_of
from quanmin.fhir.values import SearchParameter
from quanmin.records.model import Stored

_FILE: Final = Path(__file__).resolve().parent.parent / "definitions" / "directory.toml"
_ALWAYS: Final = frozenset({"resourceType", "id", "meta", "implicitRules", "language"})
_NOTHING: Final = msgspec.Raw(b"{}")
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@cache
def directory() -> dict[str, frozenset[str]]:
    """The types of the directory, each with the elements of it that are shown."""
    elements = tomllib.loads(_FILE.read_text(encoding="utf-8"))["elements"]
    return {type_: frozenset(names) | _ALWAYS for type_, names in elements.items()}


def directory_form(stored: Stored) -> Stored:
    """The record with what the directory shows of it, every byte of that as it was.

    What was cut carries the tag SUBSETTED, so that nobody stores it as whole.
    """
    if stored.body is None:
        return stored
    members = _MEMBERS.decode(stored.body)
    shown = directory()[stored.type]
    left: dict[str, Any] = {
        name: _part(name, value)
        for name, value in members.items()
        if name.removeprefix("_") in shown
    }
    left = {name: value for name, value in left.items() if value != _NOTHING}
    if left == members:
        return stored
    left["meta"] = meta_of_a_part(members)
    return msgspec.structs.replace(stored, body=msgspec.json.encode(left))


def _part(name: str, value: msgspec.Raw) -> msgspec.Raw:
    """What is shown of an element. The numbers of an institution are; those of its staff stand
    deeper, within a reference to them or with a qualification, and are not.
    """
    return value if name == "identifier" else msgspec.Raw(without_member(value, "identifier"))


def asks_for_hidden(query: Query) -> bool:
    """Whether the query finds or sorts records of the directory by what is not shown of them, here
    or at the end of a reference.
    """
    return any(
        modifier == "identifier" or not _is_shown(type_, param)
        for type_, param, modifier in asked_of(query)
        if type_ in directory() or (type_ == EVERY_TYPE and param.is_custom)
    )


def _is_shown(type_: str, param: SearchParameter) -> bool:
    if param.is_custom:  # its expression may look at anything, by any way
        return False
    elements = re.findall(rf"\b{type_}\.(\w+)", param.expression)
    return bool(elements) and directory()[type_].issuperset(elements)
