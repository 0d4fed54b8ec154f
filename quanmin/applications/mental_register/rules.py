"""Whether somebody is visited as often as the norm asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from quanmin.base.decision import Decision


def has_visits_enough(*, visits: Sequence[date], since: date, day: date, least: int) -> Decision:
    """Four visits in the year up to a day; of who is registered for less than a year nothing is
    said (norm, third edition: at least four follow-up visits a year).
    """
    begin = _year_before(day)
    held = [one for one in visits if begin < one <= day]
    is_few = since <= begin and len(held) < least
    return Decision(not is_few, ("too-few",) if is_few else ())


def _year_before(day: date) -> date:
    try:
        return day.replace(year=day.year - 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year - 1, day=28)
