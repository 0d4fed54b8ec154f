"""Cases counted by day, week and area."""

from __future__ import annotations

from datetime import date

from quanmin.applications.epidemic_picture.counting import (
    Case,
    areas,
    begin_of,
    curve,
    spans,
    within,
)


def case(onset: date, reported: date | None = None, area: str = "580101", kind: str = "x") -> Case:
    return Case("t", "measles", onset, reported, area, kind, "confirmed")


def test_a_week_begins_on_monday_over_the_end_of_a_year() -> None:
    assert begin_of(date(2027, 1, 3), "week") == date(2026, 12, 28)
    assert begin_of(date(2027, 1, 4), "week") == date(2027, 1, 4)
    assert begin_of(date(2028, 2, 29), "day") == date(2028, 2, 29)
    assert spans(date(2026, 12, 31), date(2027, 1, 4), "week") == [
        date(2026, 12, 28), date(2027, 1, 4),
    ]  # fmt: skip
    assert len(spans(date(2028, 2, 28), date(2028, 3, 1), "day")) == 3


def test_days_without_a_case_stand_in_the_curve() -> None:
    days = spans(date(2026, 3, 1), date(2026, 3, 3), "day")
    found = [case(date(2026, 3, 1)), case(date(2026, 3, 3)), case(date(2026, 3, 3), kind="y")]
    assert curve(found, days, "day", "onset") == {"x": [1, 0, 1], "y": [0, 0, 1]}


def test_what_was_not_sent_yet_is_not_counted_by_its_report() -> None:
    sent, waiting = case(date(2026, 3, 1), date(2026, 3, 2)), case(date(2026, 3, 1))
    first, last = date(2026, 3, 1), date(2026, 3, 2)
    assert within([sent, waiting], first, last, "report") == [sent]
    assert within([sent, waiting], first, date(2026, 3, 1), "report") == []
    assert within([sent, waiting], first, first, "onset") == [sent, waiting]
    assert within([sent, waiting], date(2026, 3, 2), last, "onset") == []


def test_areas_are_those_of_residence() -> None:
    assert areas([case(date(2026, 3, 1)), case(date(2026, 3, 1), area="580102")]) == {
        "580101": 1, "580102": 1,
    }  # fmt: skip
