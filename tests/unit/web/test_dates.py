from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import cast
from zoneinfo import ZoneInfo

import pytest

from quanmin.fhir.dates import interval
from quanmin.web.dates import from_micros, short_fhir, tell_age, tell_fhir
from quanmin.web.visit import Visit

CHINA = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("text", "chinese", "english"),
    [
        ("2020", "2020年", "2020"),
        ("2020-05", "2020年5月", "May 2020"),
        ("2020-05-03", "2020年5月3日", "3 May 2020"),
        ("2020-05-03T23:30:00Z", "2020年5月4日 07:30", "4 May 2020 07:30"),
        ("2020-05-03T10:20:30.123+08:00", "2020年5月3日 10:20", "3 May 2020 10:20"),
        ("2020-13", "2020-13", "2020-13"),
        ("2020-02-30", "2020-02-30", "2020-02-30"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("yesterday", "yesterday", "yesterday"),
    ],
)
def test_a_date_is_told_as_precisely_as_it_was_given(text: str, chinese: str, english: str) -> None:
    assert tell_fhir(text, "zh", CHINA) == chinese
    assert tell_fhir(text, "en", CHINA) == english


@pytest.mark.parametrize(
    ("text", "year"),
    [("0001", 1), ("0001-01-01T00:00:00+14:00", 1), ("9999-12-31T23:59:59.999-12:00", 9999)],
)
def test_the_first_and_the_last_moment_of_records_are_told_in_every_zone(
    text: str, year: int
) -> None:
    found = interval(text, CHINA)
    assert found is not None
    assert from_micros(found[0], CHINA).year == year


def test_a_visit_tells_every_moment_of_records() -> None:
    house = SimpleNamespace(settings=SimpleNamespace(zone=CHINA))
    visit = cast("Visit", SimpleNamespace(house=house))
    found = interval("0001-01-01", CHINA)
    assert found is not None
    assert Visit.moment(visit, found[0]).endswith("1-01-01 00:00")
    assert Visit.moment(visit, 1_000_000) == "1970-01-01 08:00"


def test_the_day_of_a_time_is_its_day_in_the_nodes_zone() -> None:
    assert short_fhir("2020-05-03T23:30:00Z", CHINA) == "2020-05-04"
    assert short_fhir("2020-05", CHINA) == "2020-05"
    assert short_fhir("2020-05-03Tmorning", CHINA) == "2020-05-03"


@pytest.mark.parametrize(
    ("birth", "chinese", "english"),
    [
        ("2026-11-22", "0天", "0 days"),
        ("2026-11-21", "1天", "1 day"),
        ("2026-10-26", "27天", "27 days"),
        ("2026-10-22", "1个月", "1 month"),
        ("2025-01-23", "21个月", "21 months"),
        ("2023-11-22", "3岁", "3 years"),
        ("2023-11-23", "35个月", "35 months"),
        ("1980-11-23", "45岁", "45 years"),
        ("1980-11", "46岁", "46 years"),
        ("1980", "46岁", "46 years"),
        ("2027-01-01", "", ""),
        ("2027", "", ""),
        ("unknown", "", ""),
        ("2026-11-00", "", ""),
        ("", "", ""),
    ],
)
def test_an_age_is_told_in_the_unit_of_that_age(birth: str, chinese: str, english: str) -> None:
    today = date(2026, 11, 22)
    assert tell_age(birth, today, "zh") == chinese
    assert tell_age(birth, today, "en") == english


@pytest.mark.parametrize(
    ("birth", "day", "told"),
    [
        ("2026-10-23", "2026-11-22", "30 days"),
        ("2025-12-31", "2026-01-30", "30 days"),
        ("2025-12-31", "2026-01-31", "1 month"),
        ("2025-12-31", "2026-02-27", "1 month"),
        ("2025-12-31", "2026-02-28", "2 months"),
        ("2026-01-31", "2026-02-28", "1 month"),
        ("2024-02-29", "2025-02-27", "11 months"),
        ("2024-02-29", "2025-02-28", "12 months"),
        ("1990-02-28", "2025-02-28", "35 years"),
        ("1990-02-29", "2025-02-28", ""),
        ("1992-02-29", "2027-02-28", "35 years"),
        ("1992-02-29", "2028-02-28", "35 years"),
        ("1992-02-29", "2028-02-29", "36 years"),
    ],
)
def test_an_age_is_full_on_the_day_on_which_schedules_have_it(
    birth: str, day: str, told: str
) -> None:
    assert tell_age(birth, date.fromisoformat(day), "en") == told


def test_a_moment_of_the_store_keeps_its_microseconds() -> None:
    moment = from_micros(1_790_000_000_123_457, CHINA)
    assert moment.microsecond == 123_457
    assert moment.isoformat().startswith("2026-09-21T22:13:20.123457+08:00")
