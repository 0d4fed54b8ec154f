"""What the counties of a region are called, by the table of divisions (GB/T 2260)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


def counties_of(region: str) -> dict[str, str]:
    """The names of the counties in a division, by code; none for a division that is not in the
    table, such as one that is invented or new.
    """
    stem = region
    while stem.endswith("00"):  # a city or a province has all below it
        stem = stem.removesuffix("00")
    known = _names()
    return {
        code: name
        for code, name in known.items()
        if stem and code.startswith(stem) and not code.endswith("00")
    }


@cache
def _names() -> Mapping[str, str]:
    file = files("quanmin.definitions").joinpath("divisions", "divisions.csv")
    lines = file.read_text("utf-8").splitlines()
    return {row["code"]: row["name"] for row in csv.DictReader(lines)}
