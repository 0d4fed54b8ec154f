"""Dates, times and their arithmetic as FHIRPath has them: with as much precision as is stated.

2012 is a year and not its first of January, so that a comparison which the missing parts would
decide has no answer.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Literal

import msgspec

from quanmin.fhir.path.problems import Unfit

Kind = Literal["Date", "DateTime", "Time"]
Part = int | Decimal

_DAY_PARTS = 3
_PARTS_MAX = {"Date": 3, "DateTime": 6, "Time": 3}
_ZONE_MINUTES_MIN, _ZONE_MINUTES_MAX = -12 * 60, 14 * 60
_TIME = (
    r"(?P<hour>[01]\d|2[0-3])(?::(?P<minute>[0-5]\d)(?::(?P<second>(?:[0-5]\d|60)(?:\.\d+)?))?)?"
)
_DATE = r"(?P<year>\d{4})(?:-(?P<month>0[1-9]|1[0-2])(?:-(?P<day>0[1-9]|[12]\d|3[01]))?)?"
_ZONE = r"(?P<zone>Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))"
_IS_TIME = re.compile(rf"T?{_TIME}\Z", re.ASCII)
_IS_DATE = re.compile(rf"{_DATE}(?P<t>T(?:{_TIME}{_ZONE}?)?)?\Z", re.ASCII)
# The digits that a value of so many parts shows: what precision() counts.
_DATE_DIGITS = (0, 4, 6, 8, 10, 12, 14)
_TIME_DIGITS = (0, 2, 4, 6)


class Moment(msgspec.Struct, frozen=True):
    """A date, a dateTime or a time; `parts` from the largest, seconds with their digits.

    `offset` is the zone in minutes, None where none is stated.
    """

    kind: Kind
    parts: tuple[Part, ...]
    offset: int | None = None

    def __str__(self) -> str:
        if self.kind == "Time":
            return _time_text(self.parts)
        text = _date_text(self.parts[:_DAY_PARTS])
        if len(self.parts) > _DAY_PARTS:
            text += "T" + _time_text(self.parts[_DAY_PARTS:])
        return text + _zone_text(self.offset)

    @property
    def digits(self) -> int:
        """How many digits of date and time are stated; milliseconds count three."""
        if self.kind == "Time":
            return _TIME_DIGITS[len(self.parts)] + self._fraction_digits(3)
        return _DATE_DIGITS[len(self.parts)] + self._fraction_digits(6)

    def _fraction_digits(self, full: int) -> int:
        second = self.parts[-1]
        if len(self.parts) < full or not isinstance(second, Decimal):
            return 0
        return 3 if "." in str(second) else 0

    @property
    def has_time(self) -> bool:
        """Whether at least the hour is stated."""
        return self.kind == "Time" or len(self.parts) > _DAY_PARTS

    def key(self) -> tuple[object, ...]:
        """Equal for two moments that are surely the same, and different for all others."""
        if self.kind == "Time":
            return ("time", self.parts)
        if self.offset is None or not self.has_time:
            return ("date", self.parts)
        return ("zoned", _shifted(self.parts, -self.offset))


def _two(part: Part) -> str:
    if isinstance(part, int):
        return f"{part:02d}"
    text = f"{part:f}"
    return text if part >= 10 else "0" + text


def _time_text(parts: tuple[Part, ...]) -> str:
    return ":".join(_two(part) for part in parts)


def _date_text(parts: tuple[Part, ...]) -> str:
    return "-".join((f"{parts[0]:04d}", *(_two(part) for part in parts[1:])))


def _zone_text(offset: int | None) -> str:
    if offset is None:
        return ""
    if offset == 0:
        return "Z"
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"


@lru_cache(maxsize=8192)
def read_date(text: str) -> Moment | None:
    """A date or dateTime as text; a T in it, even without a time, makes it a dateTime.

    None when it is no date of the calendar.
    """
    found = _IS_DATE.match(text)
    if found is None:
        return None
    parts = _parts(found, ("year", "month", "day", "hour", "minute", "second"))
    if found["t"] and found["hour"] and len(parts) < 4:
        return None
    if not _is_day(parts):
        return None
    offset = _offset(found["zone"])
    return Moment("DateTime" if found["t"] else "Date", parts, offset)


@lru_cache(maxsize=1024)
def read_time(text: str) -> Moment | None:
    """A time of day as text, with or without T; None when it is none."""
    found = _IS_TIME.match(text)
    return Moment("Time", _parts(found, ("hour", "minute", "second"))) if found else None


def _parts(found: re.Match[str], names: tuple[str, ...]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for name in names:
        text = found[name]
        if text is None:
            break
        if name == "second":
            # A leap second is read as the second before it: no calendar here has them.
            parts.append(Decimal("59" + text[2:] if text.startswith("60") else text))
        else:
            parts.append(int(text))
    return tuple(parts)


def _is_day(parts: tuple[Part, ...]) -> bool:
    year, month, day = (int(part) for part in (*parts[:_DAY_PARTS], 1, 1)[:_DAY_PARTS])
    try:
        datetime(year, month, day)  # noqa: DTZ001 - only asks whether the day exists
    except ValueError:
        return False
    return True


def _offset(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def from_clock(now: datetime) -> Moment:
    """The dateTime that a clock shows, to the millisecond; aware clocks give the zone."""
    shift = now.utcoffset()
    second = Decimal(now.second) + Decimal(now.microsecond // 1000).scaleb(-3)
    parts = (now.year, now.month, now.day, now.hour, now.minute, second)
    return Moment("DateTime", parts, None if shift is None else int(shift.total_seconds()) // 60)


def converted(moment: Moment, kind: Kind) -> Moment:
    """A date as a dateTime, or the date of a dateTime."""
    if kind == "Date":
        return Moment("Date", moment.parts[:_DAY_PARTS])
    return Moment("DateTime", moment.parts, moment.offset)


# ---- comparison ----------------------------------------------------------------------------------


def compare(left: Moment, right: Moment, zone: tzinfo | None) -> int | None:
    """-1, 0 or 1; None where precision or a missing zone leaves it open.

    What has no zone is read in `zone`. Without one, it is open as far as some zone on Earth would
    decide otherwise. Raises Unfit for a time and a date.
    """
    if (left.kind == "Time") != (right.kind == "Time"):
        raise Unfit("a time of day cannot be compared with a date")
    if left.offset == right.offset or not (left.has_time and right.has_time):
        return _compare_parts(left.parts, right.parts)
    if left.offset is not None and right.offset is not None:
        return _compare_parts(
            _shifted(left.parts, -left.offset), _shifted(right.parts, -right.offset)
        )
    if zone is not None:
        return compare(_placed(left, zone), _placed(right, zone), zone)
    answers = {
        compare(_anywhere(left, offset), _anywhere(right, offset), None)
        for offset in (_ZONE_MINUTES_MIN, _ZONE_MINUTES_MAX)
    }
    return answers.pop() if len(answers) == 1 else None


def _compare_parts(left: tuple[Part, ...], right: tuple[Part, ...]) -> int | None:
    for mine, other in zip(left, right, strict=False):
        if mine != other:
            return -1 if mine < other else 1
    return 0 if len(left) == len(right) else None


def _anywhere(moment: Moment, offset: int) -> Moment:
    return Moment(moment.kind, moment.parts, offset) if moment.offset is None else moment


def _placed(moment: Moment, zone: tzinfo) -> Moment:
    if moment.offset is not None:
        return moment
    shift = _start(moment.parts).replace(tzinfo=zone).utcoffset() or timedelta()
    return Moment(moment.kind, moment.parts, int(shift.total_seconds()) // 60)


def _start(parts: tuple[Part, ...]) -> datetime:
    year, month, day, hour, minute = (int(part) for part in (*parts, 1, 1, 0, 0)[:5])
    if len(parts) < _DAY_PARTS:
        year, month, day, hour, minute = int(parts[0]), int((*parts, 1)[1]), 1, 0, 0
    elif len(parts) < 5:
        hour, minute = int((*parts, 0)[3]), 0
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001 - zones are kept apart


def _shifted(parts: tuple[Part, ...], minutes: int) -> tuple[Part, ...]:
    """The parts `minutes` later, as precise as before; as they were at the calendar's ends."""
    try:
        moment = _start(parts) + timedelta(minutes=minutes)
    except OverflowError:
        return parts
    whole: tuple[Part, ...] = (moment.year, moment.month, moment.day, moment.hour, moment.minute)
    return (whole + parts[5:])[: len(parts)]


# ---- arithmetic ----------------------------------------------------------------------------------

_UNITS = ("year", "month", "day", "hour", "minute", "second")
_SECONDS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
_NEXT = {"year": 365, "month": 30}


def add(moment: Moment, value: Decimal, unit: str) -> Moment | None:
    """The moment a calendar duration later, as precise as it was.

    Of a duration finer than the moment only what makes whole steps counts; above seconds fractions
    are dropped. None where the calendar ends. Raises Unfit for a unit it cannot take.
    """
    if unit == "week":
        value, unit = Decimal(int(value)) * 7, "day"
    if unit == "millisecond":
        value, unit = value.scaleb(-3), "second"
    elif unit != "second":
        value = Decimal(int(value))
    if abs(value) > 10**12:
        return None
    if moment.kind == "Time":
        return _add_to_time(moment, value, unit)
    finest = _UNITS[len(moment.parts) - 1]
    if _UNITS.index(unit) > _UNITS.index(finest):
        value, unit = Decimal(int(_coarser(value, unit, finest))), finest
    try:
        if unit in {"year", "month"}:
            return _add_months(moment, int(value) * (12 if unit == "year" else 1))
        return _add_seconds(moment, value * _SECONDS[unit])
    except (OverflowError, ValueError):
        return None


def _coarser(value: Decimal, unit: str, target: str) -> Decimal:
    """A duration in a coarser unit; a month has thirty days here, a year 365 days or 12 months."""
    if unit == "month":
        return value / 12
    seconds = value * _SECONDS[unit]
    if target in _NEXT:
        return seconds / (_NEXT[target] * 86400)
    return seconds / _SECONDS[target]


def _add_months(moment: Moment, months: int) -> Moment:
    parts = moment.parts
    total = int(parts[0]) * 12 + int((*parts, 1)[1]) - 1 + months
    year, month = divmod(total, 12)
    first = datetime(year, month + 1, 1)  # noqa: DTZ001 - only asks whether the year exists
    made: tuple[Part, ...] = (first.year, first.month)
    if len(parts) >= _DAY_PARTS:
        after = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        last = (after - timedelta(days=1)).day
        made = (*made, min(int(parts[2]), last), *parts[3:])
    return Moment(moment.kind, made[: len(parts)], moment.offset)


def _add_seconds(moment: Moment, seconds: Decimal) -> Moment:
    parts = moment.parts
    second = Decimal((*parts, 0)[5]) if len(parts) == 6 else Decimal(0)
    total = second + seconds
    minutes = int(total // 60) - (1 if total % 60 < 0 else 0)
    start = _start(parts) + timedelta(minutes=minutes)
    whole: tuple[Part, ...] = (start.year, start.month, start.day, start.hour, start.minute)
    whole = (*whole, total - minutes * 60)
    return Moment(moment.kind, whole[: len(parts)], moment.offset)


def _add_to_time(moment: Moment, value: Decimal, unit: str) -> Moment:
    if unit not in {"hour", "minute", "second"}:
        raise Unfit("to a time only hours, minutes, seconds and milliseconds can be added")
    units = _UNITS[3:]
    finest = units[len(moment.parts) - 1]
    if units.index(unit) > units.index(finest):
        value, unit = Decimal(int(_coarser(value, unit, finest))), finest
    day = (2000, 1, 1, *moment.parts)
    moved = _add_seconds(Moment("DateTime", day), value * _SECONDS[unit])
    return Moment("Time", moved.parts[3:])


# ---- boundaries ----------------------------------------------------------------------------------

_PARTS_BY_DIGITS = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 6}
_TIME_PARTS_BY_DIGITS = {2: 1, 4: 2, 6: 3, 9: 3}


def boundary(moment: Moment, digits: int | None, *, is_low: bool) -> Moment | None:
    """The first or last moment that this one may stand for, to `digits` digits (17: milliseconds).

    Without a zone a dateTime may be anywhere on Earth. None for a precision that is none.
    """
    if moment.kind == "Time":
        wanted = 9 if digits is None else digits
        count = _TIME_PARTS_BY_DIGITS.get(wanted)
        fill: tuple[Part, ...] = (0, 0) if is_low else (23, 59)
    else:
        wanted = (8 if moment.kind == "Date" else 17) if digits is None else digits
        count = _PARTS_BY_DIGITS.get(wanted)
        fill = (1, 1, 1, 0, 0) if is_low else (1, 12, 31, 23, 59)
    if count is None:
        return None
    parts = moment.parts
    missing = (*fill, Decimal(0) if is_low else Decimal(59))[len(parts) : count]
    filled = _last_day((*parts, *missing)) if moment.kind != "Time" else (*parts, *missing)
    if wanted in {9, 17}:
        filled = (*filled[:-1], _milliseconds(Decimal(filled[-1]), parts, filled, is_low=is_low))
    filled = filled[:count]
    if moment.kind == "Time":
        return Moment("Time", filled)
    if count <= _DAY_PARTS:
        return Moment("Date" if moment.kind == "Date" else "DateTime", filled)
    anywhere = _ZONE_MINUTES_MAX if is_low else _ZONE_MINUTES_MIN
    return Moment("DateTime", filled, anywhere if moment.offset is None else moment.offset)


def _milliseconds(
    second: Decimal, stated: tuple[Part, ...], filled: tuple[Part, ...], *, is_low: bool
) -> Decimal:
    has_fraction = len(stated) == len(filled) and "." in str(second)
    if is_low or has_fraction:
        return second.quantize(Decimal("0.001"), rounding="ROUND_DOWN")
    return second + Decimal("0.999")


def _last_day(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    if len(parts) < _DAY_PARTS:
        return parts
    day = int(parts[2])
    while not _is_day((*parts[:2], day)):
        day -= 1
    return (*parts[:2], day, *parts[3:])
