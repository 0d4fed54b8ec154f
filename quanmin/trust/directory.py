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

from quanmin.fhir.query import Query
from quanmin.fhir.values import SearchParameter
from quanmin.records.model import Stored

_FILE: Final = Path(__file__).resolve().parent.parent / "definitions" / "directory.toml"
_ALWAYS: Final = frozenset({"resourceType", "id", "meta", "implicitRules", "language"})
_SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
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
        name: value for name, value in members.items() if name.removeprefix("_") in shown
    }
    if len(left) == len(members):
        return stored
    meta = msgspec.json.decode(members["meta"]) if "meta" in members else {}
    left["meta"] = meta | {"tag": [*meta.get("tag", ()), _SUBSETTED]}
    return msgspec.structs.replace(stored, body=msgspec.json.encode(left))


def asks_for_hidden(query: Query) -> bool:
    """Whether the query finds or sorts records of the directory by what is not shown of them."""
    if query.type not in directory():
        return False
    params = [clause.param for clause in query.clauses] + [key.param for key in query.sort]
    return not all(_is_shown(query.type, param) for param in params)


def _is_shown(type_: str, param: SearchParameter) -> bool:
    elements = re.findall(rf"\b{type_}\.(\w+)", param.expression)
    return bool(elements) and directory()[type_].issuperset(elements)
