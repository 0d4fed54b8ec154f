"""The pages of a person's record.

Find a person, read their timeline, and the sheets of both lists.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import groupby
from typing import Any

from starlette.responses import Response

from quanmin.applications.person_record.finding import TERM_LENGTH_MAX, searches, tidied
from quanmin.applications.person_record.kinds import kind_named, kinds
from quanmin.applications.person_record.record_pages import RECORD_PAGES
from quanmin.applications.person_record.rows import make_rows
from quanmin.applications.person_record.visits import read_visits
from quanmin.base.problems import Malformed
from quanmin.trust import Hits
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.dates import tell_month
from quanmin.web.emergency import in_emergency
from quanmin.web.heads import Registration, read_person, tell_registrations
from quanmin.web.route import READERS
from quanmin.web.sheet import sheet

SEARCHERS = (READERS.roles or frozenset()) - {"resident", "guardian"}
_HITS, _ROWS = 20, 50
_SHEET_ROWS = 500


@page("/people", access=READERS, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """The box, and after a POST the hits; what is searched never stands in an address."""
    if visit.request.method == "GET":
        if visit.actor is not None and visit.actor.role not in SEARCHERS:
            own = await records.find("Patient", count=1)
            if own.matches:
                return visit.go(f"/person/{own.matches[0].id}")
        return visit.page("person_record/find.html", term="", hits=None, more=None)
    state = _state(visit)
    hits, step = await _search(records, state)
    rows = await _hit_rows(visit, records, hits)
    more = visit.keep({**state, "step": step, "cursor": hits.next}) if hits.next else None
    return visit.page(
        "person_record/find.html", term=state["term"], hits=rows, more=more, again=visit.keep(state)
    )


@page("/people.csv", access=READERS, methods=("POST",))
async def hits_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """Every hit of a search as a sheet."""
    state = {**visit.kept(visit.sent.get("state", "")), "step": 0, "cursor": None}
    hits, step = await _search(records, state)

    async def rows() -> AsyncIterator[list[str]]:
        batch, at = hits, step
        while True:
            for one, count in await _hit_rows(visit, records, batch):
                sex = one.told.sex.text if one.told.sex else ""
                yield [one.told.name, sex, one.told.birth, one.told.identity, one.told.division,
                       one.institution, str(count), f"/person/{one.id}"]  # fmt: skip
            if batch.next is None:
                return
            batch, at = await _search(records, {**state, "step": at, "cursor": batch.next})

    say = visit.say
    heading = [say("Name"), say("Sex"), say("Born"), say("Identity number"), say("Division"),
               say("Registered at"), say("Registrations"), say("Address of the page")]  # fmt: skip
    return sheet("people", heading, rows())


@page("/person/{id}", access=READERS)
async def timeline(visit: Visit, records: DeclaredRecords) -> Response:
    """One person over all institutions, newest first."""
    id_ = visit.path("id")
    kind = kind_named(visit.asked("kind"))
    types = kind.types if kind else ()
    cursor = visit.kept(visit.asked("from"))["cursor"] if visit.asked("from") else None
    records = await in_emergency(visit, records, "Patient", id_)
    person = await read_person(visit, records, id_)
    found = await records.timeline(id_, types=types, count=_ROWS, cursor=cursor)
    visits = await read_visits(visit, records, id_)
    rows = await make_rows(visit, records, found.entries, visits)
    months = [
        (_tell(visit, month), list(group)) for month, group in groupby(rows, key=lambda r: r.month)
    ]
    return visit.page(
        "person_record/timeline.html",
        person=person,
        months=months,
        kinds=kinds(),
        kind=kind,
        more=visit.keep({"cursor": found.next}) if found.next else None,
        is_first=cursor is None,
        contributions=visits.contributions,
        is_whole=visits.is_whole,
    )


@page("/person/{id}/timeline.csv", access=READERS)
async def timeline_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The whole timeline, or one kind of it, as a sheet."""
    id_ = visit.path("id")
    kind = kind_named(visit.asked("kind"))
    types = kind.types if kind else ()
    records = await in_emergency(visit, records, "Patient", id_)
    # The first batch is read before anything is sent, so that a refusal is a page and not half a
    # sheet.
    first = await records.timeline(id_, types=types, count=_SHEET_ROWS)
    visits = await read_visits(visit, records, id_)

    async def rows() -> AsyncIterator[list[str]]:
        batch = first
        while True:
            for row in await make_rows(visit, records, batch.entries, visits):
                yield [row.time, row.type_label.text, row.title.text, row.title.detail, row.value,
                       row.place, f"/record/{row.type}/{row.id}"]  # fmt: skip
            if batch.next is None:
                return
            batch = await records.timeline(id_, types=types, count=_SHEET_ROWS, cursor=batch.next)

    say = visit.say
    heading = [say("When"), say("Kind"), say("What"), say("Code"), say("Value"), say("Where"),
               say("Address of the page")]  # fmt: skip
    return sheet("timeline", heading, rows())


def _tell(visit: Visit, month: tuple[int, int] | None) -> str:
    return tell_month(*month, language=visit.language) if month else visit.say("Without a date")


def _state(visit: Visit) -> dict[str, Any]:
    if visit.sent.get("state"):
        return visit.kept(visit.sent["state"])
    term = tidied(visit.sent.get("term", ""))
    if len(term) > TERM_LENGTH_MAX:
        raise Malformed(f"a search takes {TERM_LENGTH_MAX} characters at most")
    return {"term": term, "step": 0, "cursor": None}


async def _search(records: DeclaredRecords, state: dict[str, Any]) -> tuple[Hits, int]:
    steps = searches(state["term"])
    for step in range(state["step"], len(steps)):
        hits = await records.find("Patient", *steps[step], count=_HITS, cursor=state["cursor"])
        if hits.matches or state["cursor"]:
            return hits, step
    return Hits(matches=()), 0


async def _hit_rows(
    visit: Visit, records: DeclaredRecords, hits: Hits
) -> list[tuple[Registration, int]]:
    told = await tell_registrations(visit, records, hits.matches)
    counts = await records.registrations(hits.matches)
    return [(one, counts[one.id]) for one in told]


PAGES: tuple[Page, ...] = (
    find,
    hits_sheet,
    timeline,
    timeline_sheet,
    *RECORD_PAGES,
)
