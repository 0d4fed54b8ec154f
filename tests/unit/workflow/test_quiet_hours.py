"""From when to when nobody is woken, at the minutes where it changes."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from quanmin.workflow.notices.quiet import QuietHours, read_clock

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(read_clock("22:00"), read_clock("08:00"))
NOON = QuietHours(read_clock("12:30"), read_clock("14:00"))


def at(day: int, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, second, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("hours", "moment", "end"),
    [
        (NIGHT, at(1, 21, 59, 59), None),
        (NIGHT, at(1, 22, 0), at(2, 8, 0)),
        (NIGHT, at(1, 23, 59, 59), at(2, 8, 0)),
        (NIGHT, at(2, 0, 0), at(2, 8, 0)),
        (NIGHT, at(2, 7, 59, 59), at(2, 8, 0)),
        (NIGHT, at(2, 8, 0), None),
        (NIGHT, at(31, 22, 0), datetime(2026, 4, 1, 8, 0, tzinfo=SHANGHAI)),
        (NOON, at(1, 12, 29, 59), None),
        (NOON, at(1, 12, 30), at(1, 14, 0)),
        (NOON, at(1, 13, 59, 59), at(1, 14, 0)),
        (NOON, at(1, 14, 0), None),
    ],
)
def test_the_first_minute_is_quiet_and_the_last_is_not(
    hours: QuietHours, moment: datetime, end: datetime | None
) -> None:
    assert hours.end_of(moment, SHANGHAI) == end
    assert hours.end_of(moment.astimezone(UTC), SHANGHAI) == end, "whatever zone it is told in"


def test_the_same_minute_twice_is_never_quiet() -> None:
    none = QuietHours(600, 600)
    assert all(none.end_of(at(1, hour, 0), SHANGHAI) is None for hour in range(24))


def test_a_night_that_ends_at_midnight_ends_with_the_day() -> None:
    hours = QuietHours(read_clock("21:00"), 0)
    assert hours.end_of(at(1, 20, 59), SHANGHAI) is None
    assert hours.end_of(at(1, 23, 59), SHANGHAI) == at(2, 0, 0)
    assert hours.end_of(at(2, 0, 0), SHANGHAI) is None


def test_the_clock_of_the_zone_counts_where_it_is_put_on_or_back() -> None:
    # 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00.
    spring = NIGHT.end_of(datetime(2026, 3, 28, 23, 0, tzinfo=BERLIN), BERLIN)
    assert spring is not None
    assert spring.astimezone(UTC) == datetime(2026, 3, 29, 6, 0, tzinfo=UTC)
    short = QuietHours(read_clock("01:00"), read_clock("02:30"))
    first = datetime(2026, 10, 25, 0, 20, tzinfo=UTC)  # 02:20, for the first time
    end = short.end_of(first, BERLIN)
    assert end is not None
    assert end.timestamp() == datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    second = datetime(2026, 10, 25, 1, 20, tzinfo=UTC)  # 02:20, once more
    again = short.end_of(second, BERLIN)
    assert again is not None
    assert again.timestamp() == datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp()
