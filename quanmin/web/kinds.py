"""The kinds by which records are told apart on a timeline, read from their definition."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from quanmin.web.text import Text


class Kind(msgspec.Struct, frozen=True):
    """One filter: its name in the address, its title and the resource types in it."""

    name: str
    title: Text
    types: tuple[str, ...]


@cache
def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order in which the filters stand."""
    file = files("quanmin.definitions").joinpath("record_kinds.toml")
    content = tomllib.loads(file.read_text("utf-8"))
    return msgspec.convert(content["kind"], tuple[Kind, ...])


@cache
def event_types() -> tuple[str, ...]:
    """The types of all kinds: what happened to somebody, and not who they are."""
    return tuple(type_ for kind in kinds() for type_ in kind.types)


def kind_named(name: str) -> Kind | None:
    """The kind with this name; None for any other word, which filters nothing."""
    return next((kind for kind in kinds() if kind.name == name), None)


def kind_of(type_: str) -> str:
    """The name of the kind a type belongs to; `document` for a type that no kind lists."""
    return next((kind.name for kind in kinds() if type_ in kind.types), "document")
