"""The part of FHIRPath that search parameters of R4 are written in, read into typed paths.

Not a general evaluator: paths, unions, `as`, `ofType`, `where` on a member or on the type of a
reference, one index, `extension(url)`, and "exists and is not false". Each union part becomes one
path for each JSON name it can take, since choice elements are named by their type.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from quanmin.fhir.table import Table


class Field(msgspec.Struct, frozen=True):
    """A member of the object by its JSON name."""

    name: str


class Where(msgspec.Struct, frozen=True):
    """Goes on only where a member equals a text."""

    name: str
    value: str


class Index(msgspec.Struct, frozen=True):
    """Goes on with one item of the list that the member before holds."""

    at: int


Step = Field | Where | Index


class Path(msgspec.Struct, frozen=True):
    """A way from a resource to values of FHIR type `type`.

    `resolved` limits references to those of one type. `shape` "presence" asks not for the values
    but whether there is one other than false.
    """

    steps: tuple[Step, ...]
    type: str
    resolved: str | None = None
    shape: Literal["values", "presence"] = "values"


class UnreadableError(ValueError):
    """The expression is outside the part of FHIRPath that is read here; the text says where."""


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<resolve>\.where\(\s*resolve\(\)\s+is\s+(?P<resolved>\w+)\s*\))
    | (?P<where>\.where\(\s*(?P<member>\w+)\s*=\s*'(?P<value>[^']*)'\s*\))
    | (?P<extension>\.?extension\('(?P<url>[^']*)'\))
    | (?P<as>\.(?:as|ofType)\(\s*(?P<type>\w+)\s*\))
    | (?P<cast>as\s+(?P<cast_type>\w+))
    | (?P<index>\[(?P<at>\d+)\])
    | \.?(?P<name>[A-Za-z]\w*)
    )""",
    re.VERBOSE,
)
_PRESENCE = re.compile(r"([\w.]+)\.exists\(\) and \1 != false")


def read(expression: str, type_name: str, table: Table) -> tuple[Path, ...]:
    """Every path of the expression from a resource of this type. Raises UnreadableError."""
    presence = _PRESENCE.fullmatch(expression)
    if presence:
        paths = _read_part(presence[1], type_name, table)
        return tuple(Path(path.steps, path.type, None, "presence") for path in paths)
    return tuple(
        path
        for part in expression.split("|")
        for path in _read_part(part.strip(), type_name, table)
    )


def _read_part(part: str, type_name: str, table: Table) -> list[Path]:
    # The one bracketed form is "(path as Type)", perhaps with members after it.
    text = part.replace("(", "", 1).replace(")", "", 1) if part.startswith("(") else part
    paths = [Path((), type_name)]
    at, is_first = 0, True
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise UnreadableError(f"{part!r} from {text[at:]!r}")
        if not (is_first and found["name"] == type_name):
            paths = [new for path in paths for new in _extend(path, found, table)]
        at, is_first = found.end(), False
    if not paths:
        raise UnreadableError(f"{part!r} leads to no element")
    return paths


def _extend(path: Path, found: re.Match[str], table: Table) -> list[Path]:
    """The paths that one more token makes of `path`; none where its type does not fit."""
    if found["resolve"]:
        return [Path(path.steps, path.type, found["resolved"])]
    if found["where"]:
        return [Path((*path.steps, Where(found["member"], found["value"])), path.type)]
    if found["extension"]:
        steps = (*path.steps, Field("extension"), Where("url", found["url"]))
        return [Path(steps, "Extension")]
    if found["index"]:
        return [Path((*path.steps, Index(int(found["at"]))), path.type)]
    cast = found["type"] or found["cast_type"]
    if cast:
        # Composites of R4 write DateTime for dateTime.
        return [path] if path.type.lower() == cast.lower() else []
    return _members(path, found["name"], table)


def _members(path: Path, name: str, table: Table) -> list[Path]:
    for element in table.shapes.get(path.type, ()):
        if element.name == name and not element.is_choice:
            return [Path((*path.steps, Field(name)), element.types[0].code)]
        if element.name == name:
            return [
                Path((*path.steps, Field(name + kind.code[0].upper() + kind.code[1:])), kind.code)
                for kind in element.types
            ]
    return []
