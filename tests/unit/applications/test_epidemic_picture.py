"""Cases counted by day, week and area."""

from __future__ import annotations

from datetime import date, timedelta
from math import exp, factorial

import pytest

from quanmin.applications.epidemic_picture.counting import (
    areas,
    begin_of,
    curve,
    spans,
)
from quanmin.applications.epidemic_picture.signals import signals_of
from quanmin.trust.case_counts import Group
from quanmin.workflow.notifiable.unusual import chance_of, numbers


def group(day: date, area: str = "580101", kind: str = "x", number: int = 1) -> Group:
    return Group("measles", kind, area, day, number)


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
    found = [group(date(2026, 3, 1)), group(date(2026, 3, 3)), group(date(2026, 3, 3), kind="y")]
    assert curve(found, days, "day") == {"x": [1, 0, 1], "y": [0, 0, 1]}


def test_areas_are_those_of_residence() -> None:
    found = [group(date(2026, 3, 1), number=2), group(date(2026, 3, 1), area="580102")]
    assert areas([*found, group(date(2026, 3, 2))]) == {"580101": 3, "580102": 1}


# ---- more than usual -----------------------------------------------------------------------------

TODAY, DAY = date(2026, 3, 31), timedelta(days=1)


def reported(*days_ago: int, disease: str = "measles", area: str = "580101") -> list[Group]:
    return [Group(disease, "confirmed", area, TODAY - one * DAY, 1) for one in days_ago]


def test_the_chance_is_that_of_the_binomial_distribution() -> None:
    assert chance_of(0, 5, 8) == pytest.approx(1)
    assert chance_of(1, 0, 8) == pytest.approx(1 / 9)
    assert chance_of(2, 1, 8) == pytest.approx(3 * (1 / 9) ** 2 * 8 / 9 + (1 / 9) ** 3)
    assert chance_of(3000, 24000, 8) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0, 3.0])
def test_there_is_no_more_false_alarm_than_is_said(rate: float) -> None:
    by = numbers()

    def poisson(mean: float, n: int) -> float:
        return exp(-mean) * mean**n / factorial(n)

    alarms = sum(
        poisson(rate, now) * poisson(rate * by.times, before)
        for now in range(1, 25)
        for before in range(70)
        if chance_of(now, before, by.times) <= by.false_alarms
    )
    assert 0 < alarms <= by.false_alarms


def test_the_days_that_are_compared_are_the_last_week_and_eight_before_the_one_between() -> None:
    by = numbers()
    found, compared = signals_of(reported(0, 3, 6), TODAY, by)
    assert [(one.number, one.usual, compared) for one in found] == [(3, 0.0, 1)]
    for elsewhere in (7, 13, 70):  # the week between, and before all that is compared
        assert signals_of(reported(0, 3, elsewhere), TODAY, by) == ([], 1)
    for usual in (14, 69):
        (one,), _ = signals_of(reported(0, 1, 3, 6, usual), TODAY, by)
        assert (one.number, one.usual) == (4, 1 / 8)
    two = [*reported(0, 3, 6), *reported(0, 3, area="580102")]
    assert [one.area for one in signals_of(two, TODAY, by)[0]] == ["580101"]


def test_one_case_under_the_measures_of_class_a_is_a_signal() -> None:
    found, _ = signals_of([*reported(0), *reported(6, disease="cholera")], TODAY, numbers())
    assert [(one.disease, one.chance) for one in found] == [("cholera", 0.0)]
    of_its_subtype = {("anthrax", "580102")}
    two = [
        one for area in ("580101", "580102") for one in reported(0, disease="anthrax", area=area)
    ]
    found, _ = signals_of(two, TODAY, numbers(), of_its_subtype)
    assert [(one.area, one.chance) for one in found] == [("580102", 0.0)]
