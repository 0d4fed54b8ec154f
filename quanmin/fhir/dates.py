"""Dates and times as FHIR writes them, read as the interval they cover.

2020 covers the whole year, 2020-05-01T10:00:00Z one second. What has no zone is read in the node's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_YEAR_MAX = 9999
_DAY_LENGTH = len("2020-05-01")
_MINUTE_LENGTH = len("2020-05-01T10:00")
_SECOND_LENGTH = len("2020-05-01T10:00:00")
# The zones that R4's dateTime allows; the library would take 08:60 for 09:00.
_OFFSET = r"Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)"
_ZONE = re.compile(rf"({_OFFSET})\Z")
_FORM = re.compile(rf"\d{{4}}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?({_OFFSET})?)?)?)?\Z", re.ASCII)


def interval(text: str, zone: tzinfo) -> tuple[int, int] | None:
    """The half-open interval [low, high) that a date or time covers, in microseconds since 1970.

    None when `text` is not a date of the calendar in FHIR's form (minutes may stand without
    seconds, as in searches). A leap second is read as the end of the second before it.
    """
    if len(text) <= _DAY_LENGTH:
        return _day(text, zone)
    return _moment(text, zone)


# What was found or done at a visit carries the moment of the visit.
@lru_cache(maxsize=16384)
def _moment(text: str, zone: tzinfo) -> tuple[int, int] | None:
    if not _FORM.match(text):
        return None
    found = _ZONE.search(text)
    local = text[: found.start()] if found else text
    leap = local[17:19] == "60"
    if leap:
        text = text[:17] + "59" + text[19:]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    low = (moment - _EPOCH) // _MICROSECOND + (1_000_000 if leap else 0)
    return low, low + _width(local)


def _width(local: str) -> int:
    if len(local) == _MINUTE_LENGTH:
        return 60_000_000
    digits = len(local) - _SECOND_LENGTH - 1
    return int(10 ** (6 - min(digits, 6))) if digits > 0 else 1_000_000


def tells_day(text: str) -> bool:
    """Whether a date or time says which day it is, and not a year or month alone."""
    return len(text) >= _DAY_LENGTH


def on_clock(microseconds: int, zone: tzinfo) -> datetime | None:
    """A moment, counted from 1970, by the clock of a zone; None for one beyond the first and last
    day that there are there.
    """
    try:
        return (_EPOCH + microseconds * _MICROSECOND).astimezone(zone)
    except OverflowError:
        return None


def local_text(text: str, zone: tzinfo) -> str:
    """A date or time with the day and hour of a zone, `2026-11-22T10:00:00+08:00`: what senders
    write in another zone is on another day for half of the hours. What names no time of day, or is
    none, comes back as it is.
    """
    moment = _local(text, zone)
    return text if moment is None else moment.isoformat(timespec="seconds")


def row_text(text: str, zone: tzinfo) -> str:
    """The same for rows, to the minute: `2026-11-22 10:00`."""
    moment = _local(text, zone)
    return text if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _local(text: str, zone: tzinfo) -> datetime | None:
    found = _moment(text, zone) if len(text) >= _MINUTE_LENGTH else None
    return None if found is None else on_clock(found[0], zone)


# Days repeat (birth dates, visits of one day) and cost a look into the zone's history each.
@lru_cache(maxsize=16384)
def _day(text: str, zone: tzinfo) -> tuple[int, int] | None:
    if not _FORM.match(text):
        return None
    year, month, day = int(text[:4]), int(text[5:7] or 1), int(text[8:10] or 1)
    try:
        start = datetime(year, month, day, tzinfo=zone)
    except ValueError:
        return None
    if len(text) == _DAY_LENGTH:
        return _micros(start), _next_midnight(start)
    if len(text) == len("2020") or month == 12:
        return _micros(start), _new_year(year + 1, zone)
    return _micros(start), _micros(start.replace(month=month + 1))


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _next_midnight(start: datetime) -> int:
    if start.year == _YEAR_MAX and start.month == 12 and start.day == 31:
        return _new_year(_YEAR_MAX + 1, start.tzinfo or UTC)
    return _micros((start.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=start.tzinfo))


def _new_year(year: int, zone: tzinfo) -> int:
    if year <= _YEAR_MAX:
        return _micros(datetime(year, 1, 1, tzinfo=zone))
    # The calendar of the library ends here; the year after is not needed to the minute.
    return _micros(datetime(_YEAR_MAX, 12, 31, tzinfo=zone)) + 86_400_000_000
