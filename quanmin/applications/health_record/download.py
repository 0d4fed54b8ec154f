"""The whole record to take away: for programs as FHIR, for people as a PDF."""

from __future__ import annotations

from datetime import date

from starlette.responses import Response

from quanmin.applications.health_record.pages import portray, told
from quanmin.applications.health_record.reading import OWNERS, for_page, read_record
from quanmin.base.problems import Invalid
from quanmin.trust import Part
from quanmin.trust.record_access import RecordAccess
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.kinds import event_types
from quanmin.web.pdf import pdf_page
from quanmin.web.taking_out import BATCH, bundle_of
from quanmin.web.timeline import by_month, end_of, make_rows, years_of


@page("/person/{id}/download", access=OWNERS)
async def download(visit: Visit, records: DeclaredRecords) -> Response:
    """What there is to take away, and in which parts."""
    records = await for_page(visit, records, "Patient", visit.path("id"))
    record = await read_record(visit, records, visit.path("id"))
    return visit.page(
        "health_record/download.html",
        person=record.person,
        years=years_of(visit, record.visits),
        rows_max=visit.pen.number(visit.house.settings.pages.record_paper_rows_max),
    )


@page("/person/{id}/record.json", access=OWNERS)
async def as_bundle(visit: Visit, records: DeclaredRecords) -> Response:
    """All of it as a FHIR Bundle."""
    id_, types = visit.path("id"), event_types()
    records = await for_page(visit, records, "Patient", id_)
    (first,) = await records.timelines(id_, Part(types=types, count=BATCH))
    await records.desk(RecordAccess).note_taken_out(first.patients)
    return bundle_of(records, id_, first, types, "health-record")


@page("/person/{id}/record.pdf", access=OWNERS)
async def as_pdf(visit: Visit, records: DeclaredRecords) -> Response:
    """The front page and the lines of the timeline, of all or of a year, as a PDF. Raises Invalid
    for more lines than one may have.
    """
    id_, year = visit.path("id"), visit.asked("year")
    limit = visit.house.settings.pages.record_paper_rows_max
    records = await for_page(visit, records, "Patient", id_)
    record, found = await portray(visit, records, id_, limit, before=end_of(visit, year))
    lines = record.parts[1]
    if year:
        begins = visit.midnight(date(int(year[:4]), 1, 1))
        entries = [one for one in lines.entries if one.facts.time and one.facts.time >= begins]
    else:
        entries = list(lines.entries)
    if len(entries) == len(lines.entries) and lines.next is not None:
        raise Invalid(
            f"a PDF has {limit} lines at most, and there are more: take one year at a time, or the"
            " file for programs, which has no limit"
        )
    await records.desk(RecordAccess).note_taken_out(lines.patients)
    rows = await make_rows(visit, records, entries, record.visits)
    return await pdf_page(
        visit,
        "health_record/paper.html",
        file_name="health-record",
        person=record.person,
        contributions=record.visits.contributions,
        year=year,
        day=visit.today.isoformat(),
        months=by_month(visit, rows),
        **told(visit, record, found),
    )


PAGES: tuple[Page, ...] = (download, as_bundle, as_pdf)
