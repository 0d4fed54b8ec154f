"""Results: the newest of each examination, and one of them with what it means and how it went."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response

from quanmin.applications.health_record.reading import (
    Record,
    cursor_of,
    for_page,
    is_own,
    leading,
    purposes,
    read_record,
)
from quanmin.base.problems import NotFound
from quanmin.trust import Hits, Part
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell
from quanmin.web.results import (
    Result,
    find_alike,
    headings,
    newest_of_each,
    place_in,
    sheet_headings,
    sheet_rows,
    tell_result,
    tell_results,
    trend,
)
from quanmin.web.route import READERS
from quanmin.web.sheet import sheet

_TYPES: Final = ("Observation",)


@page("/person/{id}/results", access=READERS)
async def results(visit: Visit, records: DeclaredRecords) -> Response:
    """The newest result of each examination."""
    id_, limit = visit.path("id"), visit.house.settings.pages.record_results_max
    part = Part(types=_TYPES, count=limit, cursor=cursor_of(visit))
    records = await for_page(visit, records, "Patient", id_)
    record = await read_record(visit, records, id_, part)
    (found,), gender = record.parts, record.person.told.gender
    to, say = leading(visit), visit.say
    rows = [
        [
            Cell(one.name.text, to(f"/result/{one.id}")),
            Cell(one.value),
            Cell(one.words, tag=say("look at it") if one.is_marked else "", is_warning=True),
            Cell(one.day, is_number=True),
            Cell(place_in(one, record.visits)),
            Cell(str(number - 1), is_number=True),
        ]
        for one, number in newest_of_each(tell_results(visit, found.entries, gender))
    ]
    return visit.page(
        "health_record/results.html",
        person=record.person,
        is_own=is_own(visit),
        headings=[*headings(visit), say("Earlier ones")],
        rows=rows,
        more=visit.keep("timeline", {"cursor": found.next}) if found.next else None,
        purpose=purposes(visit),
        to=to,
    )


@page("/person/{id}/results.csv", access=READERS)
async def results_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """Every result as a sheet."""
    id_, limit = visit.path("id"), visit.house.settings.pages.record_results_max
    records = await for_page(visit, records, "Patient", id_)
    record = await read_record(visit, records, id_, Part(types=_TYPES, count=limit))

    async def rows() -> AsyncIterator[list[str]]:
        (batch,), gender = record.parts, record.person.told.gender
        while True:
            for row in sheet_rows(tell_results(visit, batch.entries, gender), record.visits):
                yield row
            if batch.next is None:
                return
            part = Part(types=_TYPES, count=limit, cursor=batch.next)
            (batch,) = await records.timelines(id_, part)

    return sheet("results", sheet_headings(visit), rows())


@page("/result/{id}", access=READERS)
async def result(visit: Visit, records: DeclaredRecords) -> Response:
    """One result in plain words, with its range, what to do next, and those before it."""
    records = await for_page(visit, records, "Observation", visit.path("id"))
    one, record, found = await _read(visit, records, visit.path("id"))
    others = tell_results(visit, found.matches, record.person.told.gender)
    return visit.page(
        "health_record/result.html",
        person=record.person,
        one=one,
        sides={part.standing.side for part in one.parts},
        is_critical=any(part.standing.is_critical for part in one.parts),
        place=place_in(one, record.visits),
        trend=trend(visit, "trend", others, one.name.text),
        number=len(others),
        are_more=found.next is not None,
        is_own=is_own(visit),
        purpose=purposes(visit),
        to=leading(visit),
    )


@page("/result/{id}/trend.csv", access=READERS)
async def trend_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """All results of the same examination as a sheet, the newest first."""
    records = await for_page(visit, records, "Observation", visit.path("id"))
    one, record, found = await _read(visit, records, visit.path("id"))

    async def rows() -> AsyncIterator[list[str]]:
        batch, gender = found, record.person.told.gender
        while True:
            for row in sheet_rows(tell_results(visit, batch.matches, gender), record.visits):
                yield row
            if batch.next is None:
                return
            batch = await _alike(visit, records, one, record, batch.next)

    return sheet("trend", sheet_headings(visit), rows())


async def _read(visit: Visit, records: DeclaredRecords, id_: str) -> tuple[Result, Record, Hits]:
    """A result, its person, and the newest of the same examination. Raises NotFound, Gone."""
    stored = await records.read("Observation", id_)
    one = tell_result(visit, stored)
    if one is None or not one.patient:
        raise NotFound("this record is no result of anybody, or was taken back")
    record = await read_record(visit, records, one.patient)
    one = tell_result(visit, stored, record.person.told.gender) or one
    if not one.key:
        return one, record, Hits((stored,))
    return one, record, await _alike(visit, records, one, record)


async def _alike(
    visit: Visit, records: DeclaredRecords, one: Result, record: Record, cursor: str | None = None
) -> Hits:
    count = visit.house.settings.pages.record_results_max
    return await find_alike(records, one, record.patient_ids, count=count, cursor=cursor)


PAGES: tuple[Page, ...] = (results, results_sheet, result, trend_sheet)
