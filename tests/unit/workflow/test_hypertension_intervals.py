"""The norm's follow-up of hypertension: when the next visit is, by the last two results."""

from __future__ import annotations

from datetime import timedelta

import pytest
from planning import day, facts, item_of, shipped

PLAN = shipped("hypertension-2017")
SERIES, VISIT = "hypertension-follow-up", "hypertension-visit"
DAY = timedelta(days=1)
STATE = ["hypertension 2025-01-01 -"]


def after_results(*results: str, last_on: str = "2026-11-30") -> list[str]:
    """Visits a month apart, the last on that day."""
    days = [day(last_on) - (len(results) - 1 - n) * 30 * DAY for n in range(len(results))]
    return [f"{VISIT} {on} {result}" for on, result in zip(days, results, strict=True)]


# The last results, the case, when the next visit is, and what else is called for.
CASES = [
    (("satisfied",), "satisfied", "2027-02-28", "continue"),
    (("unsatisfied", "satisfied"), "satisfied", "2027-02-28", "continue"),
    (("unsatisfied",), "once-unsatisfied", "2026-12-14", "adjust"),
    (("satisfied", "unsatisfied"), "once-unsatisfied", "2026-12-14", "adjust"),
    (("unsatisfied", "satisfied", "unsatisfied"), "once-unsatisfied", "2026-12-14", "adjust"),
    (("unsatisfied", "unsatisfied"), "twice-unsatisfied", "2026-12-14", "refer"),
    (("unsatisfied", "adverse-reaction"), "twice-unsatisfied", "2026-12-14", "refer"),
    (("crisis", "unsatisfied"), "twice-unsatisfied", "2026-12-14", "refer"),
    (("adverse-reaction",), "once-unsatisfied", "2026-12-14", "adjust"),
    (("satisfied", "complication"), "complication", "2026-12-14", "refer"),
    (("satisfied", "crisis"), "crisis", "2026-12-14", "refer"),
]


@pytest.mark.parametrize(("results", "case", "due", "measure"), CASES)
def test_the_next_visit_depends_on_the_last_results(
    results: tuple[str, ...], case: str, due: str, measure: str
) -> None:
    someone = facts("1960-05-01", *after_results(*results), states=STATE)
    for offset, status in ((-1, "planned"), (0, "due"), (1, "overdue")):
        item = item_of(PLAN, SERIES, someone, (day(due) + offset * DAY).isoformat())
        assert (item.turn, item.due, item.measure) == (case, day(due), measure)
        assert item.status == status
        assert item.because_on == day("2026-11-30")


def test_a_visit_without_result_is_repeated_within_two_weeks() -> None:
    someone = facts("1960-05-01", f"{VISIT} 2026-11-30", states=STATE)
    item = item_of(PLAN, SERIES, someone, "2026-12-01")
    assert (item.turn, item.measure, item.due) == ("no-result", "repeat", day("2026-12-14"))


@pytest.mark.parametrize(
    ("last", "due"),
    [("2023-11-30", "2024-02-29"), ("2025-11-30", "2026-02-28"), ("2024-02-29", "2024-05-29"),
     ("2025-12-31", "2026-03-31")],
)  # fmt: skip
def test_three_months_end_with_the_month(last: str, due: str) -> None:
    someone = facts("1960-05-01", f"{VISIT} {last} satisfied", states=["hypertension - -"])
    assert item_of(PLAN, SERIES, someone, due).due == day(due)


def test_the_first_visit_is_due_with_the_diagnosis() -> None:
    someone = facts("1960-05-01", f"{VISIT} 2024-12-31 satisfied", states=STATE)
    item = item_of(PLAN, SERIES, someone, "2025-01-01")
    assert (item.turn, item.status, item.due) == ("first", "due", day("2025-01-01"))
    assert item_of(PLAN, SERIES, someone, "2024-12-31").because == "not-begun"
    assert item_of(PLAN, SERIES, facts("1960-05-01"), "2026-01-01").because == "not-begun"


def test_what_stays_overdue_is_told_to_one_after_the_other() -> None:
    someone = facts("1960-05-01", f"{VISIT} 2026-01-01 unsatisfied", states=STATE)
    # Due on 15 January, overdue from the 16th; told after 14 days, and after a month.
    days = ("2026-01-29", "2026-01-30", "2026-02-15", "2026-02-16")
    items = [item_of(PLAN, SERIES, someone, on) for on in days]
    found = [(item.status, item.escalated_to) for item in items]
    assert found == [
        ("overdue", ""), ("escalated", "township-hospital"), ("escalated", "township-hospital"),
        ("escalated", "county-cdc"),
    ]  # fmt: skip


def test_pressure_is_taken_once_a_year_from_35_on() -> None:
    born = "1992-02-29"
    for on, status in (("2027-02-27", "planned"), ("2027-02-28", "due"), ("2027-03-01", "overdue")):
        assert item_of(PLAN, "blood-pressure", facts(born), on).status == status
    someone = facts(born, "blood-pressure 2028-02-29")
    for on, status in (("2029-02-27", "planned"), ("2029-02-28", "due"), ("2029-03-01", "overdue")):
        assert item_of(PLAN, "blood-pressure", someone, on).status == status
    patient = facts(born, states=["hypertension 2027-01-01 -"])
    assert item_of(PLAN, "blood-pressure", patient, "2028-01-01").status == "excluded"


def test_who_has_hypertension_is_examined_every_year() -> None:
    someone = facts("1960-05-01", "health-examination 2028-02-29", states=STATE)
    for on, status in (("2029-02-27", "planned"), ("2029-02-28", "due"), ("2029-03-01", "overdue")):
        assert item_of(PLAN, "hypertension-examination", someone, on).status == status


def test_a_visit_of_the_future_is_not_known_yet() -> None:
    someone = facts("1960-05-01", *after_results("unsatisfied", "unsatisfied"), states=STATE)
    item = item_of(PLAN, SERIES, someone, "2026-11-29")
    assert item.turn == "once-unsatisfied"
