"""One line of a timeline out of a record; the same for the page and the sheet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from quanmin.applications.person_record.kinds import kind_of
from quanmin.applications.person_record.visits import Visits
from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.dates import from_micros, short_fhir
from quanmin.web.gist import flag_of, place_of, time_of, title_of, value_of
from quanmin.web.institutions import institution_names
from quanmin.web.labels import Label, tell_type
from quanmin.web.reading import Value


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    `time` is a FHIR date as sent, `day` what is shown of it, `month` its (year, month).
    `place` names the institution, `organization` is its id; each is empty when nothing says it.
    """

    type: str
    id: str
    kind: str
    type_label: Label
    title: Value
    value: str
    flag: Value | None
    time: str
    day: str
    month: tuple[int, int] | None
    organization: str
    place: str


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
        time=time,
        day=day,
        month=_month(day, stored, visit),
        organization=organization or visits.organizations.get(_encounter(resource), ""),
        place=place,
    )


def _encounter(resource: dict[str, Any]) -> str:
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
