"""The whole record to take away: for programs as FHIR, for people as a PDF."""

from __future__ import annotations

from starlette.responses import Response

from quanmin.applications.health_record.pages import portray, told
from quanmin.applications.health_record.reading import OWNERS, for_page, read_record
from quanmin.base.problems import Invalid, Sentence
from quanmin.trust import Part
from quanmin.trust.record_access import RecordAccess
from quanmin.web import DeclaredRecords, Page, Text, Visit, page
from quanmin.web.kinds import event_types
from quanmin.web.made import Made, Making, Piece, begin
from quanmin.web.pdf import pdf_of
from quanmin.web.taking_out import next_of_bundle
from quanmin.web.timeline import by_month, end_of, make_rows, since_year, years_of


@page("/person/{id}/download", access=OWNERS, methods=("GET", "POST"))
async def download(visit: Visit, records: DeclaredRecords) -> Response:
    """What there is to take away, and in which parts; by POST: have it made."""
    id_ = visit.path("id")
    records = await for_page(visit, records, "Patient", id_)
    record = await read_record(visit, records, id_)
    if visit.request.method == "POST":
        what, year = visit.sent.get("what", ""), visit.sent.get("year", "")
        end_of(visit, year)
        return await begin(visit, records, what, asked={"id": id_, "year": year}, about=year)
    return visit.page(
        "health_record/download.html",
        person=record.person,
        years=years_of(visit, record.visits, record.person.told.birth),
        rows_max=visit.pen.number(visit.house.settings.pages.record_paper_rows_max),
        kept_hours=visit.house.settings.pages.made_kept_hours,
    )


async def _bundle(making: Making) -> Piece:
    """All of it as a FHIR Bundle."""
    visit, records = making.visit, making.records
    if making.place is None:
        (first,) = await records.timelines(visit.path("id"), Part(types=event_types(), count=1))
        await records.desk(RecordAccess).note_taken_out(first.patients)
    return await next_of_bundle(making, visit.path("id"), event_types())


async def _paper(making: Making) -> Piece:
    """The front page and the lines of the timeline, of all or of a year, as a PDF. Raises Invalid
    for more lines than one may have.
    """
    visit, records = making.visit, making.records
    id_, year = visit.path("id"), visit.asked("year")
    limit = visit.house.settings.pages.record_paper_rows_max
    record, found = await portray(visit, records, id_, limit, before=end_of(visit, year))
    lines = record.parts[1]
    entries = since_year(visit, year, lines.entries)
    if len(entries) == len(lines.entries) and lines.next is not None:
        raise Invalid(
            Sentence(
                "a PDF has %(limit)s lines at most, and there are more: take one year at a time, "
                "or the file for programs, which has no limit",
                limit=limit,
            )
        )
    await records.desk(RecordAccess).note_taken_out(lines.patients)
    rows = await make_rows(visit, records, entries, record.visits)
    content = await pdf_of(
        visit,
        "health_record/paper.html",
        person=record.person,
        contributions=record.visits.contributions,
        are_all_counted=record.visits.is_whole,
        year=year,
        day=visit.today.isoformat(),
        months=by_month(visit, rows),
        **told(visit, record, found),
    )
    return Piece(content, len(entries))


MAKES = (
    Made(name="record", title=Text(zh="健康档案（FHIR）", en="Health record (FHIR)"), make=_bundle,
         file_name="health-record.json", media_type="application/fhir+json"),
    Made(name="paper", title=Text(zh="健康档案（PDF）", en="Health record (PDF)"), make=_paper,
         file_name="health-record.pdf", media_type="application/pdf"),
)  # fmt: skip
PAGES: tuple[Page, ...] = (download,)
