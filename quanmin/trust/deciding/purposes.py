"""The purposes for which records may be used (HL7 v3 PurposeOfUse)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

import msgspec


class Purposes(msgspec.Struct, frozen=True):
    """The definition file: words by code, and which purpose is part of which wider one."""

    default: str
    codes: dict[str, dict[str, str]]
    within: dict[str, str]


@cache
def purposes() -> Purposes:
    """The definition in force."""
    file = resources.files("quanmin") / "definitions" / "purposes_of_use.toml"
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), Purposes)


def purposes_known() -> tuple[str, ...]:
    """Their codes."""
    return tuple(purposes().codes)
