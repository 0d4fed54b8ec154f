"""Cases counted by the day or week of their onset or report, and by area: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Literal
from urllib.parse import urlencode

import msgspec

By = Literal["onset", "report"]
Span = Literal["day", "week"]
_WEEK = timedelta(days=7)


class Case(msgspec.Struct, frozen=True):
    """A reported case as it is counted; `reported` is None before it was sent."""

    id: str
    disease: str
    onset: date
    reported: date | None
    area: str
    case_class: str
    state: str

    def day(self, by: By) -> date | None:
        """The day by which it is counted."""
        return self.onset if by == "onset" else self.reported


class Asked(msgspec.Struct, frozen=True):
    """What the address asks for."""

    disease: str
    area: str
    by: By
    span: Span
    since: date
    until: date

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
    step = timedelta(days=1) if span == "day" else _WEEK
    found, at = [], begin_of(since, span)
    while at <= until:
        found.append(at)
        at += step
    return found


def within(cases: Iterable[Case], since: date, until: date, by: By) -> list[Case]:
    """The cases whose day lies from one day to another, both included."""
    return [case for case in cases if (day := case.day(by)) and since <= day <= until]


def curve(cases: Iterable[Case], days: Sequence[date], span: Span, by: By) -> dict[str, list[int]]:
    """The numbers by class of case, one for each of the days."""
    counted = Counter(
        (case.case_class, begin_of(day, span)) for case in cases if (day := case.day(by))
    )
    classes = sorted({case_class for case_class, _ in counted})
    return {one: [counted[one, day] for day in days] for one in classes}


def areas(cases: Iterable[Case]) -> dict[str, int]:
    """The numbers by area of residence."""
    return dict(Counter(case.area for case in cases))
