"""Public health events against the standards from which they are reported."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from quanmin.workflow.health_events import Event, known, read_event, standards
from quanmin.workflow.notifiable import diseases

MEASLES = {"kind": "infectious", "disease": "measles", "setting": "school"}


@pytest.mark.parametrize(
    ("said", "reached"),
    [
        ({"kind": "food", "setting": "school", "cases": 5}, [False, True]),
        ({"kind": "food", "setting": "canteen", "cases": 29}, [False]),
        ({"kind": "food", "setting": "canteen", "cases": 30}, [True]),
        ({"kind": "food", "setting": "canteen", "cases": 1, "deaths": 1}, [True]),
        ({"kind": "infectious", "disease": "plague", "setting": "other", "cases": 1}, [True]),
        ({"kind": "lost-strain", "cases": 0}, [True]),
        ({**MEASLES, "cases": 9}, [False]),
        ({**MEASLES, "cases": 10}, [True]),
        ({**MEASLES, "cases": 50, "setting": "household"}, []),
        ({**MEASLES, "disease": "typhoid", "cases": 4, "deaths": 1}, [False]),
        ({**MEASLES, "disease": "typhoid", "cases": 4, "deaths": 2}, [True]),
    ],
)
def test_an_event_is_held_against_the_standards_of_its_kind(
    said: dict[str, Any], reached: list[bool]
) -> None:
    assert [is_reached for _, is_reached in Event(**said).standards()] == reached


@pytest.mark.parametrize(
    ("began", "newest", "days"),
    [
        (datetime(2026, 3, 1, 23, 59, tzinfo=UTC), date(2026, 3, 7), 7),
        (datetime(2026, 3, 1, tzinfo=UTC), date(2026, 3, 8), 8),
        (datetime(2028, 2, 25, tzinfo=UTC), date(2028, 3, 2), 7),  # over the leap day
        (datetime(2026, 2, 25, tzinfo=UTC), date(2026, 3, 4), 8),
    ],
)
def test_cases_of_seven_days_are_counted_with_the_first_and_the_last(
    began: datetime, newest: date, days: int
) -> None:
    at_school = Event(kind="infectious", disease="measles", setting="school", cases=10)
    event = msgspec.structs.replace(at_school, began=began, newest=newest)
    assert event.days == days
    assert [is_reached for _, is_reached in event.standards()] == [days <= 7]


def test_standards_name_kinds_diseases_and_settings_that_there_are() -> None:
    for one in standards():
        assert one.kind in known("kind")
        assert one.disease in {"", *diseases()}
        assert known("setting").keys() >= set(one.settings)


def test_a_later_report_says_more() -> None:
    first = {"kind": {"code": "food"}, "cases": 3, "deaths": 0, "level": None}
    later = {"cases": 7, "deaths": None, "level": {"code": "4"}}
    event = read_event([first, later], UTC)
    assert (event.kind, event.cases, event.deaths, event.level) == ("food", 7, 0, "4")
    hours = [known("level")[code].progress_hours for code in ("1", "2", "3", "4")]
    assert all(one <= two for one, two in pairwise(hours))
