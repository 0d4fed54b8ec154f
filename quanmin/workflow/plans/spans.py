"""Spans of time as schedules count them, and the one rule of month ends and leap days."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

# A year of a calendar has twelve months; UCUM's codes, as FHIR's Age and Duration demand them.
_UNITS: Mapping[str, tuple[int, int]] = {"d": (0, 1), "wk": (0, 7), "mo": (1, 0), "a": (12, 0)}
COUNT_MAX = 100_000


class Span(msgspec.Struct, frozen=True):
    """So many calendar months, or so many days; one of the two is 0."""

    months: int = 0
    days: int = 0


def span_of(count: int, unit: str) -> Span | None:
    """The span of a count of `d`, `wk`, `mo` or `a`; None for another unit or no such count."""
    if unit not in _UNITS or not 0 <= count <= COUNT_MAX:
        return None
    months, days = _UNITS[unit]
    return Span(months * count, days * count)


def after(day: date, span: Span) -> date:
    """The day so long after another: the same day of a later month, and where that month has no
    such day its last one, as FHIRPath adds months (FHIRPath 2.0, 6.6.7). So who is born on 31
    August is half a year old on the last of February, who is born on 29 February has birthday on
    the 28th in common years, and an age in days is the days between. Beyond the calendar's end the
    calendar's last day.
    """
    try:
        if not span.months:
            return day + timedelta(days=span.days)
        whole = day.year * 12 + day.month - 1 + span.months
        year, month = divmod(whole, 12)
        length = calendar.monthrange(year, month + 1)[1]
        return date(year, month + 1, min(day.day, length))
    except (OverflowError, ValueError):
        return date.max
