"""Cases counted by the day or week of their onset or report, and by area: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Literal
from urllib.parse import urlencode

import msgspec

from quanmin.trust.case_counts import By, Group, Sought

Span = Literal["day", "week"]
WEEK = timedelta(days=7)


class Asked(msgspec.Struct, frozen=True):
    """What the address asks for."""

    disease: str
    area: str
    by: By
    span: Span
    since: date
    until: date

    @property
    def sought(self) -> Sought:
        """Which cases are meant."""
        return Sought(self.disease, self.area, self.by, self.since, self.until)

    def address(self, path: str, **changes: str) -> str:
        """The address of a page that asks for the same but for some changes."""
        own = {"disease": self.disease, "area": self.area, "by": self.by, "span": self.span,
               "since": f"{self.since}", "until": f"{self.until}", **changes}  # fmt: skip
        return f"{path}?{urlencode({name: text for name, text in own.items() if text})}"


def begin_of(day: date, span: Span) -> date:
    """The day that stands for a day: itself, or the Monday of its week."""
    return day if span == "day" else day - timedelta(days=day.weekday())


def spans(since: date, until: date, span: Span) -> list[date]:
    """Every day or week from one day to another, both included, empty ones too."""
    step = timedelta(days=1) if span == "day" else WEEK
    found, at = [], begin_of(since, span)
    while at <= until:
        found.append(at)
        at += step
    return found


def curve(groups: Iterable[Group], days: Sequence[date], span: Span) -> dict[str, list[int]]:
    """The numbers by class of case, one for each of the days."""
    counted: Counter[tuple[str, date]] = Counter()
    for one in groups:
        counted[one.case_class, begin_of(one.day, span)] += one.number
    classes = sorted({case_class for case_class, _ in counted})
    return {one: [counted[one, day] for day in days] for one in classes}


def areas(groups: Iterable[Group]) -> dict[str, int]:
    """The numbers by area of residence."""
    counted: Counter[str] = Counter()
    for one in groups:
        counted[one.area] += one.number
    return dict(counted)
