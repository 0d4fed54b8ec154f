"""Reads the elements of a definition, and notes each fault with its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from quanmin.base.problems import Issue
from quanmin.fhir.json import Json
from quanmin.workflow.plans.extensions import BASE
from quanmin.workflow.plans.spans import Span, span_of

_UCUM = "http://unitsofmeasure.org"


class Elements:
    """What both a plan and its parts are read with; `issues` are the faults so far."""

    issues: list[Issue]

    def blame(self, text: str, place: str) -> None:
        """Note a fault."""
        self.issues.append(Issue("error", "invalid", text, place))

    def refuse_foreign(self, one: Json, taken: Collection[str], place: str) -> None:
        """Blame an extension of this node's that means nothing there, and every modifier."""
        for url, where in ((str(found.get("url")), at) for found, at in pick(one, place=place)):
            if url.startswith(BASE) and url not in taken:
                self.blame("this extension means nothing here", where)
        if one.get("modifierExtension"):
            self.blame("no modifier is known here", f"{place}.modifierExtension")

    def amount(self, found: Any, place: str) -> Span | None:
        """The span of an Age or a Duration; None where there is none."""
        if found is None:
            return None
        quantity = found if isinstance(found, dict) else {}
        value, code = quantity.get("value"), quantity.get("code")
        is_whole = isinstance(value, int | Decimal) and value == int(value)
        span = (
            span_of(int(value), str(code))
            if isinstance(value, int | Decimal) and is_whole
            else None
        )
        if span is None or quantity.get("system") != _UCUM or "comparator" in quantity:
            self.blame("give a whole number of d, wk, mo or a (UCUM)", place)
        return span

    def span(self, one: Json, url: str, place: str) -> Span | None:
        """The span that an extension gives; None where there is none."""
        for found, at in pick(one, url, place=place):
            span = self.amount(_value(found), at)
            if span is None:
                self.blame("give an Age or a Duration", at)
            return span
        return None

    def codes(self, one: Json, url: str, place: str) -> frozenset[str]:
        """The codes that extensions of one address give."""
        found = set()
        for extension, at in pick(one, url, place=place):
            if not isinstance(_value(extension), str):
                self.blame("give a code", at)
            found.add(str(_value(extension)))
        return frozenset(found)

    def code(self, one: Json, url: str, place: str) -> str:
        """The code that an extension gives, "" where there is none."""
        found = self.codes(one, url, place)
        if len(found) > 1:
            self.blame(f"{url.removeprefix(BASE)} is said once", place)
        return min(found, default="")

    def choice(self, one: Json, url: str, among: Collection[str], default: str, place: str) -> str:
        """The code that an extension gives, one of these."""
        found = self.code(one, url, place) or default
        if found not in among:
            self.blame(f"one of {', '.join(sorted(among))}", place)
        return found

    def day(self, text: Any, place: str) -> date | None:
        """A whole date; None where there is none."""
        if text is None:
            return None
        try:
            return date.fromisoformat(str(text))
        except ValueError:
            self.blame("give a whole date", place)
            return None


def listed(one: Any, name: str, place: str) -> Iterator[tuple[Json, str]]:
    """The objects of a list, each with its place."""
    held = one.get(name) if isinstance(one, dict) else None
    for number, found in enumerate(held if isinstance(held, list) else ()):
        if isinstance(found, dict):
            yield found, f"{place}.{name}[{number}]"


def pick(one: Any, *urls: str, place: str = "") -> Iterator[tuple[Json, str]]:
    """The extensions with one of these addresses, or all, each with its place."""
    for found, at in listed(one, "extension", place):
        if not urls or found.get("url") in urls:
            yield found, at


def canonical(resource: Json) -> str:
    """What others name a definition by."""
    url, version = resource.get("url", ""), resource.get("version", "")
    return f"{url}|{version}" if version else str(url)


def _value(extension: Json) -> Any:
    return next((extension[name] for name in extension if name.startswith("value")), None)
