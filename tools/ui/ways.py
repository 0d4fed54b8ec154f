"""The ways to pages to which no link leads: what somebody fills in before they are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ui.visitor import Visitor

_FILE: Final = Path(__file__).parent / "ways.toml"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step: to an address, by the first link of the page in which this regular expression is
    found, or by filling in and sending a form. `{name}` is what is known.
    """

    go: str = ""
    link: str = ""
    fill: dict[str, str] = {}
    button: str = ""
    keep: dict[str, str] = {}


class Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps of one account ("": nobody) to a page."""

    account: str
    to: str
    steps: tuple[Step, ...]


def ways() -> tuple[Way, ...]:
    """All ways, in the order in which they are gone."""
    told: Any = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(msgspec.convert(one, Way) for one in told["way"])


def go(visitor: Visitor, way: Way, known: dict[str, str]) -> str:
    """Go a way, adding to what is known; the address to which it leads. Raises LookupError where it
    does not lead on.
    """
    for step in way.steps:
        _step(visitor, way, step, known)
        for name, pattern in step.keep.items():
            found = re.search(pattern, visitor.page.address)
            if found is None:
                raise LookupError(f"{way.to}: {visitor.page.address} does not tell the {name}")
            known[name] = found[1]
    return _inner(visitor.page.address)


def _inner(address: str) -> str:
    there = urlsplit(address)
    return there.path + (f"?{there.query}" if there.query else "")


def _step(visitor: Visitor, way: Way, step: Step, known: dict[str, str]) -> None:
    if step.go:
        visitor.get(step.go.format(**known))
    elif step.link:
        links = [one for one in visitor.page.links if re.search(step.link, _inner(one))]
        if not links:
            raise LookupError(f"{way.to}: {visitor.page.address} has no link {step.link}")
        visitor.get(links[0])
    else:
        filled = {name: value.format(**known) for name, value in step.fill.items()}
        visitor.send(filled, button=step.button)
    if visitor.status >= 400:
        raise LookupError(f"{way.to}: {visitor.page.address} answers {visitor.status}")
