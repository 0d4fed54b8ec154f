"""The front page of a record, and its timeline."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.applications.health_record.reading import (
    OWNERS,
    Record,
    cursor_of,
    for_page,
    is_own,
    leading,
    purposes,
    read_record,
)
from quanmin.base.problems import NotFound
from quanmin.fhir.json import decode
from quanmin.fhir.portrait import Definitions, Fact, Found, Whose, derive
from quanmin.trust import Part, Stored
from quanmin.web import DeclaredRecords, Page, Text, Visit, page
from quanmin.web.basics import Field, known_of, observation_codes, record_types, tell_basics
from quanmin.web.dates import short_fhir
from quanmin.web.gist import time_of
from quanmin.web.kinds import event_types, kind_named, kinds
from quanmin.web.persons import first_stated
from quanmin.web.route import READERS
from quanmin.web.sheet import sheet
from quanmin.web.timeline import by_month, end_of, make_rows, sheet_heading, sheet_row, years_of

_FILE: Final = Path(__file__).parent / "definitions" / "identifiers.toml"
_NEWEST, _ROWS, _SHEET_ROWS, _MEASURED = 15, 50, 500, 20


@cache
def definitions() -> Definitions:
    """What identifiers are made of."""
    return msgspec.convert(tomllib.loads(_FILE.read_text("utf-8")), Definitions, strict=False)


@page("/my-record", access=OWNERS)
async def own(visit: Visit, records: DeclaredRecords) -> Response:
    """Whoever asks is led to their own record, or to that of whom they act for."""
    found = await records.stating("PATRQT").find("Patient", count=1)
    if not found.matches:
        raise NotFound("no institution of this node has registered you yet")
    return visit.go(f"/person/{found.matches[0].id}")


@page("/person/{id}", access=READERS)
async def front(visit: Visit, records: DeclaredRecords) -> Response:
    """Identifiers, basic information, services: the front page, over all institutions."""
    id_ = visit.path("id")
    records = await for_page(visit, records, "Patient", id_)
    record, found = await portray(visit, records, id_, _NEWEST)
    rows = await make_rows(visit, records, record.parts[1].entries, record.visits)
    return visit.page(
        "health_record/front.html",
        months=by_month(visit, rows),
        offered={one.home for one in visit.offered},
        kinds=kinds(),
        **_head(visit, record),
        **told(visit, record, found),
    )


async def portray(
    visit: Visit, records: DeclaredRecords, id_: str, newest: int, **more: Any
) -> tuple[Record, tuple[Found, ...]]:
    """A person's record with its diagnoses and so many of its newest lines (`more` as in a Part),
    and the identifiers that follow from it.
    """
    limits, by = visit.house.settings.pages, definitions()
    diagnoses = Part(types=("Condition",), count=limits.record_diagnoses_max)
    lines = Part(types=event_types(), count=newest, **more)
    beside = [one for one in record_types() if one not in diagnoses.types]
    more_parts = [Part(types=(one,), count=_MEASURED) for one in beside]
    record = await read_record(visit, records, id_, diagnoses, lines, *more_parts)
    results: list[Stored] = []
    every, *apart = by.observation_codes
    # All at once where there are few; else apart, so that whoever is weighed daily keeps a height
    # and a blood type.
    for codes in ((*every, *observation_codes()), *apart, observation_codes()):
        asked = (("patient", record.patient_ids), ("code", ",".join(codes)), ("_sort", "-date"))
        found = await records.find("Observation", *asked, count=_MEASURED)
        is_whole = found.next is None and not results
        results += found.matches
        if is_whole:
            break
    record = msgspec.structs.replace(record, results=results)
    if record.person.told.deceased:
        return record, ()
    patients = [decode(one.body or b"{}") for one in record.parts[0].patients]
    whose = Whose(first_stated(patients, "birthDate"), first_stated(patients, "gender"))
    facts = [_fact(visit, one) for one in (*record.parts[0].entries, *results)]
    return record, derive(by, whose, facts, visit.today)


def _fact(visit: Visit, stored: Stored) -> Fact:
    body = decode(stored.body or b"{}")
    day = short_fhir(str(body.get("recordedDate") or time_of(body)), visit.house.settings.zone)
    parts = [*day.split("-"), "01", "01"][:3]
    try:
        on = date.fromisoformat("-".join(parts))
    except ValueError:
        on = None
    return Fact(stored.type, stored.id, body, on)


def told(visit: Visit, record: Record, found: tuple[Found, ...]) -> dict[str, Any]:
    """The three parts of the front page for a template."""
    by = definitions()
    groups = [
        (getattr(group, visit.language), [one for one in found if one.group == group.code])
        for group in by.group
    ]
    seen = {one.organization: one for one in record.visits.contributions}
    nothing = [
        one
        for one in record.person.registrations
        if one.organization and one.organization not in seen
    ]
    return {
        "groups": groups,
        "version": by.definition["version"],
        "is_whole": record.parts[0].next is None,
        "basics": _basics(visit, record),
        "nothing": list({one.organization: one for one in nothing}.values()),
    }


def _basics(visit: Visit, record: Record) -> list[tuple[Text, list[Field]]]:
    diagnoses, _, *beside = record.parts
    known = known_of(record.person, (diagnoses, *beside), record.results)
    return tell_basics(visit, known, is_own=is_own(visit))


def _head(visit: Visit, record: Record) -> dict[str, Any]:
    return {
        "person": record.person,
        "contributions": record.visits.contributions,
        "are_all_counted": record.visits.is_whole,
        "is_own": is_own(visit),
        "purpose": purposes(visit),
        "to": leading(visit),
    }


@page("/person/{id}/timeline", access=READERS)
async def timeline(visit: Visit, records: DeclaredRecords) -> Response:
    """All that is recorded, newest first by month; of one kind, or up to a time, if asked."""
    id_ = visit.path("id")
    part, kind = _asked(visit, _ROWS), kind_named(visit.asked("kind"))
    records = await for_page(visit, records, "Patient", id_)
    record = await read_record(visit, records, id_, part)
    (found,) = record.parts
    rows = await make_rows(visit, records, found.entries, record.visits)
    return visit.page(
        "health_record/timeline.html",
        months=by_month(visit, rows),
        kinds=kinds(),
        kind=kind.name if kind else "",
        until=visit.asked("until"),
        years=years_of(visit, record.visits, record.person.told.birth),
        more=visit.keep("timeline", {"cursor": found.next}) if found.next else None,
        is_first=part.cursor is None,
        **_head(visit, record),
    )


@page("/person/{id}/timeline.csv", access=READERS)
async def timeline_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """All of it that the address asks for, as a sheet."""
    id_, part = visit.path("id"), _asked(visit, _SHEET_ROWS)
    records = await for_page(visit, records, "Patient", id_)
    # The first batch is read before anything is sent, so that a refusal is a page and not half a
    # sheet.
    record = await read_record(visit, records, id_, part)

    async def rows() -> AsyncIterator[list[str]]:
        (batch,) = record.parts
        while True:
            for row in await make_rows(visit, records, batch.entries, record.visits):
                yield sheet_row(row)
            if batch.next is None:
                return
            going_on = Part(types=part.types, count=_SHEET_ROWS, cursor=batch.next)
            (batch,) = await records.timelines(id_, going_on)

    return sheet("timeline", sheet_heading(visit), rows())


def _asked(visit: Visit, count: int) -> Part:
    """The part of the timeline that the address asks for."""
    kind = kind_named(visit.asked("kind"))
    types = kind.types if kind else event_types()
    before = end_of(visit, visit.asked("until"))
    return Part(types=types, count=count, cursor=cursor_of(visit), before=before)


PAGES: tuple[Page, ...] = (own, front, timeline, timeline_sheet)
