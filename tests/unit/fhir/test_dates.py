"""Dates as intervals: precision, zones, and the days the calendar does not have."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from quanmin.fhir.dates import interval, local_text, row_text

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR = 3_600_000_000


def micros(year: int, month: int, day: int, *clock: int) -> int:
    hour, minute, second = (*clock, 0, 0, 0)[:3]
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2020", micros(2019, 12, 31, 16), micros(2020, 12, 31, 16)),
        ("2020-02", micros(2020, 1, 31, 16), micros(2020, 2, 29, 16)),
        ("2020-02-29", micros(2020, 2, 28, 16), micros(2020, 2, 29, 16)),
        ("2020-02-29T10:00", micros(2020, 2, 29, 2), micros(2020, 2, 29, 2, 1)),
        ("2020-02-29T10:00:00Z", micros(2020, 2, 29, 10), micros(2020, 2, 29, 10, 0, 1)),
        ("2020-02-29T10:00:00+08:00", micros(2020, 2, 29, 2), micros(2020, 2, 29, 2, 0, 1)),
        ("2016-12-31T23:59:60Z", micros(2017, 1, 1), micros(2017, 1, 1, 0, 0, 1)),
    ],
)
def test_a_date_covers_its_precision_in_its_zone(text: str, low: int, high: int) -> None:
    assert interval(text, SHANGHAI) == (low, high)


@pytest.mark.parametrize(
    ("text", "local", "row"),
    [
        ("2026-11-21T16:30:00Z", "2026-11-22T00:30:00+08:00", "2026-11-22 00:30"),
        ("2026-11-22T02:00:00.5+00:00", "2026-11-22T10:00:00+08:00", "2026-11-22 10:00"),
        ("2026-11-22T10:00:00+08:00", "2026-11-22T10:00:00+08:00", "2026-11-22 10:00"),
        *[
            (one, one, one)
            for one in ("2026-11-22", "2026", "Take it at 10", "", "9999-12-31T23:59:59Z")
        ],
    ],
)
def test_a_moment_is_told_by_the_clocks_of_the_zone(text: str, local: str, row: str) -> None:
    assert (local_text(text, SHANGHAI), row_text(text, SHANGHAI)) == (local, row)


def test_fractions_of_a_second_are_as_wide_as_their_last_digit() -> None:
    base = micros(2020, 1, 1)
    assert interval("2020-01-01T00:00:00.5Z", UTC) == (base + 500_000, base + 600_000)
    assert interval("2020-01-01T00:00:00.123Z", UTC) == (base + 123_000, base + 124_000)
    assert interval("2020-01-01T00:00:00.123456789Z", UTC) == (base + 123_456, base + 123_457)


def test_a_day_of_a_change_of_clocks_has_its_own_length() -> None:
    low, high = interval("2026-03-29", ZoneInfo("Europe/Berlin")) or (0, 0)
    assert high - low == 23 * HOUR


def test_the_ends_of_the_calendar_are_readable() -> None:
    for text in ("0001", "0001-01-01", "9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59Z"):
        low, high = interval(text, SHANGHAI) or (0, 0)
        assert low < high


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "20", "2020-", "2020-13", "2020-00", "2020-02-30", "2021-02-29", "0000"),
        *("2020-1-1", "20200101", "2020-01-01T25:00:00Z", "2020-01-01T10:00:00+25:00"),
        *("2020-01-01T10:00:00+08:60", "2020-01-01T10:00:00+14:30"),
        *("2020-01-01 10:00", "2020-01-01T10", "٢٠٢٠", "2020-W01-1", "2020-01-01T10:00:00ZZ"),
    ],
)
def test_what_is_no_date_of_the_calendar_has_no_interval(text: str) -> None:
    assert interval(text, SHANGHAI) is None
