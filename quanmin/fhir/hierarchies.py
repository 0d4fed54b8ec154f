"""Which records of a type are parts of others of the same type (R4 search 3.1.1.4.14)."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from quanmin.fhir.table import load_table
from quanmin.fhir.values import SearchParameter

_FILE = Path(__file__).resolve().parent.parent / "definitions" / "search" / "hierarchies.toml"


@cache
def parents() -> dict[str, SearchParameter]:
    """For each type with a hierarchy the parameter by which a record names what it is part of."""
    named = tomllib.loads(_FILE.read_text("utf-8"))["parents"]
    types = load_table().types
    return {type_: types[type_].params[name] for type_, name in named.items()}


def types_with_parts(param: SearchParameter) -> tuple[str, ...]:
    """The types with a hierarchy that a reference parameter may point at."""
    return tuple(sorted(type_ for type_ in parents() if type_ in (param.targets or parents())))
