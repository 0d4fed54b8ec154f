"""What happened to one person, over all institutions: the lines of a timeline, the same for the
page and the sheet, its months, and what each institution contributed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import groupby
from typing import Any, Final

import msgspec

from quanmin.base.problems import Malformed
from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.web.dates import from_micros, short_fhir, tell_month
from quanmin.web.gist import flag_of, place_of, time_of, title_of, value_of
from quanmin.web.institutions import institution_names
from quanmin.web.kinds import kind_of
from quanmin.web.labels import Label, tell_type
from quanmin.web.reading import Value
from quanmin.web.records import DeclaredRecords
from quanmin.web.validity import Mark, mark_of
from quanmin.web.visit import Visit

_DECEMBER: Final = 12
# As long as people live; records from before are found by going on.
_YEARS_OFFERED: Final = 120
UNDATED: Final = "undated"
"""What is asked for in the place of a year: what has no date."""
_BEFORE_ALL: Final = -(2**62)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    `time` is a FHIR date as sent, `day` what is shown of it, `month` its (year, month).
    `place` names the institution, `organization` is its id; each is empty when nothing says it.
    `mark` says of a record that was taken back, or otherwise does not simply stand, why not.
    """

    type: str
    id: str
    kind: str
    type_label: Label
    title: Value
    value: str
    flag: Value | None
    mark: Mark | None
    time: str
    day: str
    month: tuple[int, int] | None
    organization: str
    place: str


class Contribution(msgspec.Struct, frozen=True):
    """What one institution gave: how many visits, from which day to which."""

    institution: str
    organization: str
    visits: int
    first: str
    last: str


class Visits(msgspec.Struct, frozen=True):
    """What each institution contributed, the latest first, and whether all visits were counted.

    `organizations` tells for the id of each Encounter the id of its institution, `names` for that
    id the name.
    """

    contributions: tuple[Contribution, ...]
    is_whole: bool
    organizations: dict[str, str]
    names: dict[str, str]


async def read_visits(
    visit: Visit,
    records: DeclaredRecords,
    encounters: Iterable[Stored],
    *,
    is_whole: bool,
    also: Iterable[str] = (),
) -> Visits:
    """These visits of a person by institution; `also` are ids of Organizations to be named too.
    The application must read Organization.
    """
    days: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    organizations: dict[str, str] = {}
    for stored in encounters:
        resource = decode(stored.body or b"{}")
        organization, words = place_of(resource)
        day = short_fhir(time_of(resource), visit.house.settings.zone)
        days.setdefault(organization, []).append(day)
        organizations[stored.id] = organization
        if words:
            names[organization] = words
    names |= await institution_names(records, {*days, *also} - names.keys())
    told = [
        Contribution(names.get(one, ""), one, len(dates), min(dates), max(dates))
        for one, dates in days.items()
    ]
    told.sort(key=lambda one: one.last, reverse=True)
    return Visits(tuple(told), is_whole, organizations, names)


async def make_rows(
    visit: Visit, records: DeclaredRecords, entries: Iterable[Stored], visits: Visits
) -> list[Row]:
    """The lines of records, each with its institution: its own, else that of its visit."""
    rows = [_row(stored, visit, visits) for stored in entries]
    unnamed = {row.organization for row in rows if not row.place} - visits.names.keys()
    names = visits.names | await institution_names(records, unnamed)
    return [
        row if row.place else msgspec.structs.replace(row, place=names.get(row.organization, ""))
        for row in rows
    ]


def by_month(visit: Visit, rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Lines that are in order under the months they are of, in words."""
    return [
        (_tell(visit, month), list(group)) for month, group in groupby(rows, key=lambda r: r.month)
    ]


def sheet_heading(visit: Visit) -> list[str]:
    """What the columns of the sheet are called."""
    say = visit.say
    return [say("When"), say("Kind"), say("What"), say("Code"), say("Value"), say("Where"),
            say("Address of the page"), say("Status")]  # fmt: skip


def sheet_row(row: Row) -> list[str]:
    """A line as a row of the sheet."""
    status = row.mark.text if row.mark else ""
    return [row.time, row.type_label.text, row.title.text, row.title.detail, row.value,
            row.place, f"/record/{row.type}/{row.id}", status]  # fmt: skip


def _tell(visit: Visit, month: tuple[int, int] | None) -> str:
    return tell_month(*month, language=visit.language) if month else visit.say("Without a date")


def _row(stored: Stored, visit: Visit, visits: Visits) -> Row:
    resource = decode(stored.body or b"{}")
    time = time_of(resource)
    day = short_fhir(time, visit.house.settings.zone)
    organization, place = place_of(resource)
    return Row(
        type=stored.type,
        id=stored.id,
        kind=kind_of(stored.type),
        type_label=tell_type(stored.type, visit.language),
        title=title_of(resource, visit.reader),
        value=value_of(resource, visit.reader),
        flag=flag_of(resource, visit.reader),
        mark=mark_of(resource, visit.reader),
        time=time,
        day=day,
        month=_month(day, stored, visit),
        organization=organization or visits.organizations.get(encounter_of(resource), ""),
        place=place,
    )


def encounter_of(resource: dict[str, Any]) -> str:
    """The id of the Encounter that a record names; "" for none."""
    reference = resource.get("encounter") or resource.get("context")
    target = str(reference.get("reference") or "") if isinstance(reference, dict) else ""
    return target.removeprefix("Encounter/")


def _month(day: str, stored: Stored, visit: Visit) -> tuple[int, int] | None:
    if len(day) >= len("2026-11"):
        return int(day[:4]), int(day[5:7])
    if stored.facts.time is None:
        return None
    moment = from_micros(stored.facts.time, visit.house.settings.zone)
    return moment.year, moment.month


def years_of(visit: Visit, visits: Visits, birth: str) -> list[str]:
    """The years from now back to the birth, a FHIR date, or to the first visit that is known, if
    that is earlier; without either back as far as is offered.
    """
    this = visit.today.year
    known = [one.first[:4] for one in visits.contributions if one.first] + [birth[:4]]
    first = min((int(year) for year in known if year), default=0) if birth else 0
    since = max(first, this - _YEARS_OFFERED)
    return [str(year) for year in range(this, since - 1, -1)]


def since_year(visit: Visit, text: str, entries: Iterable[Stored]) -> list[Stored]:
    """Those that are not of an earlier year than the one that a time names; all for none."""
    if not text:
        return list(entries)
    if text == UNDATED:
        return [one for one in entries if one.facts.time is None]
    begins = visit.midnight(date(int(text[:4]), 1, 1))
    return [one for one in entries if one.facts.time is not None and one.facts.time >= begins]


def end_of(visit: Visit, text: str) -> int | None:
    """The moment at which a year (2024) or a month (2024-05) is over, and before all moments for
    what has no date; None for none. Raises Malformed for what is none of these.
    """
    if not text:
        return None
    if text == UNDATED:
        return _BEFORE_ALL
    year, _, month = text.partition("-")
    try:
        last = date(int(year), int(month or _DECEMBER), 1)
        is_december = last.month == _DECEMBER
        following = date(last.year + is_december, 1 if is_december else last.month + 1, 1)
        return visit.midnight(following)
    except (ValueError, OverflowError):
        raise Malformed("a time is written as a year, 2024, or as a month, 2024-05") from None
