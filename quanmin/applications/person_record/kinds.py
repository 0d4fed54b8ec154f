"""The kinds a timeline is filtered by, read from their definition."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from quanmin.web import Text

_FILE = Path(__file__).parent / "definitions" / "kinds.toml"


class Kind(msgspec.Struct, frozen=True):
    """One filter: its name in the address, its title and the resource types in it."""

    name: str
    title: Text
    types: tuple[str, ...]


@cache
def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order in which the filters stand."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return msgspec.convert(content["kind"], tuple[Kind, ...])


def kind_named(name: str) -> Kind | None:
    """The kind with this name; None for any other word, which filters nothing."""
    return next((kind for kind in kinds() if kind.name == name), None)


def kind_of(type_: str) -> str:
    """The name of the kind a type belongs to; `document` for a type that no kind lists."""
    return next((kind.name for kind in kinds() if type_ in kind.types), "document")
