"""Dates and times as people read them: as precise as they were given, in the node's zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from quanmin.fhir.dates import local_text
from quanmin.web.text import Language
from quanmin.workflow.plans.spans import Span, after

_DATE = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?(T.*)?")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MONTHS_OF_AN_INFANT = 36


def from_micros(micros: int, zone: ZoneInfo) -> datetime:
    """A moment of the store (microseconds since 1970-01-01T00:00Z) in a zone.

    Exact, never through a float. A moment before the first day there is, or after the last, is
    told as the first or the last moment: records may speak of either in any zone.
    """
    seconds, rest = divmod(micros, 1_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).astimezone(zone)
    except (ValueError, OverflowError):
        if micros < 0:
            return datetime.min.replace(tzinfo=zone)
        return datetime.max.replace(tzinfo=zone)


def tell_month(year: int, month: int, language: Language) -> str:
    """`2026年11月`, `November 2026`."""
    return f"{year}年{month}月" if language == "zh" else f"{_MONTHS[month - 1]} {year}"


def tell_date(day: date, language: Language) -> str:
    """`2026年11月22日`, `22 November 2026`."""
    if language == "zh":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def tell_moment(moment: datetime, language: Language) -> str:
    """A date and the time of day to the minute."""
    return f"{tell_date(moment.date(), language)} {moment:%H:%M}"


def tell_fhir(text: str, language: Language, zone: ZoneInfo) -> str:
    """A FHIR date, dateTime or instant with the precision it has.

    What is not one comes back as it is.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return text
    year, month, day, time = found.groups()
    try:
        if time:
            return tell_moment(datetime.fromisoformat(text).astimezone(zone), language)
        if day:
            return tell_date(date(int(year), int(month), int(day)), language)
        if month:
            date(int(year), int(month), 1)  # raises when there is no such month
            return tell_month(int(year), int(month), language)
    except (ValueError, IndexError, OverflowError):
        return text
    return f"{year}年" if language == "zh" else year


def short_fhir(text: str, zone: ZoneInfo) -> str:
    """For rows.

    `2026-11-22`, or less when less is known; the day of a time is its day in the zone.
    """
    found = _DATE.fullmatch(text)
    if found is None or not found[4]:
        return text
    return local_text(text, zone)[:10]


def tell_age(birth: str, on: date, language: Language) -> str:
    """The age on a day: days until the first month is full, months for an infant, then years, each
    full on the day that schedules count by (`after`); empty if unknown.

    A birth date with a year only gives the age reached in the course of that year.
    """
    found = _DATE.fullmatch(birth)
    if found is None:
        return ""
    year, month = int(found[1]), int(found[2] or 1)
    try:
        born = date(year, month, int(found[3] or 1))
    except ValueError:
        return ""
    months = (on.year - year) * 12 + on.month - month
    if after(born, Span(months=max(months, 0))) > on:
        months -= 1
    if months < 0 or not found[2]:
        years = on.year - year
        return _years(years, language) if years >= 0 else ""
    if months >= _MONTHS_OF_AN_INFANT or not found[3]:
        return _years(months // 12, language)
    if not months:
        days = (on - born).days
        return f"{days}天" if language == "zh" else _counted(days, "day")
    return f"{months}个月" if language == "zh" else _counted(months, "month")


def _years(years: int, language: Language) -> str:
    return f"{years}岁" if language == "zh" else _counted(years, "year")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
