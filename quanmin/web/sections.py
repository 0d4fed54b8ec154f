"""The fields of work that applications belong to, in the order in which they are shown."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from quanmin.web.text import Text

OTHER: Final = "other"


class Section(msgspec.Struct, frozen=True):
    """A field of work."""

    code: str
    title: Text


@cache
def sections() -> tuple[Section, ...]:
    """All of the definition, in its order."""
    file = files("quanmin.definitions").joinpath("sections.toml")
    found = tomllib.loads(file.read_text("utf-8"))["section"]
    return tuple(Section(one["code"], Text(zh=one["zh"], en=one["en"])) for one in found)


@cache
def section_codes() -> frozenset[str]:
    """Their codes."""
    return frozenset(one.code for one in sections())
