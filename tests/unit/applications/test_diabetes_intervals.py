"""The norm's follow-up of type-2 diabetes: when the next visit and the next glucose test are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from planning import day, facts, item_of, shipped

PLAN = shipped("diabetes-2017")
DAY = timedelta(days=1)
STATE = ["diabetes 2025-01-01 -"]


@pytest.mark.parametrize(("results", "due"), [
    (("satisfied",), "2027-02-28"),
    (("unsatisfied",), "2026-12-14"),
    (("unsatisfied", "unsatisfied"), "2026-12-14"),
    (("satisfied", "complication"), "2026-12-14"),
    (("satisfied", "crisis"), "2026-12-14"),
    (("",), "2026-12-14"),
])  # fmt: skip
def test_the_next_visit_is_due_by_what_the_last_ones_found(
    results: tuple[str, ...], due: str
) -> None:
    days = [day("2026-11-30") - (len(results) - 1 - at) * 30 * DAY for at in range(len(results))]
    visits = [f"diabetes-visit {on} {one}".strip() for on, one in zip(days, results, strict=True)]
    someone = facts("1960-05-01", *visits, states=STATE)
    for offset, status in ((-1, "planned"), (0, "due"), (1, "overdue")):
        item = item_of(PLAN, "diabetes-follow-up", someone, str(day(due) + offset * DAY))
        assert (item.due, item.status) == (day(due), status)


@pytest.mark.parametrize(("series", "last", "due"), [
    ("diabetes-glucose", "fasting-glucose 2025-11-30", "2026-02-28"),
    ("diabetes-examination", "health-examination 2028-02-29", "2029-02-28"),
])  # fmt: skip
def test_glucose_is_tested_every_three_months_and_who_has_it_examined_every_year(
    series: str, last: str, due: str
) -> None:
    someone = facts("1960-05-01", last, states=STATE)
    for offset, status in ((-1, "planned"), (0, "due"), (1, "overdue")):
        item = item_of(PLAN, series, someone, str(day(due) + offset * DAY))
        assert (item.due, item.status) == (day(due), status)


def test_what_stays_overdue_is_told_to_one_after_the_other() -> None:
    someone = facts("1960-05-01", "diabetes-visit 2026-01-01 unsatisfied", states=STATE)
    # Due on 15 January, overdue from the 16th; told after 14 days, and after a month.
    days = ("2026-01-29", "2026-01-30", "2026-02-15", "2026-02-16")
    found = [item_of(PLAN, "diabetes-follow-up", someone, on).escalated_to for on in days]
    assert found == ["", "township-hospital", "township-hospital", "county-cdc"]
