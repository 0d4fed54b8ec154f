"""The pages that find a person, and the sheet of who was found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response

from quanmin.applications.person_record.finding import TERM_LENGTH_MAX, searches, tidied
from quanmin.applications.person_record.record_pages import RECORD_PAGES
from quanmin.base.problems import Malformed, Sentence
from quanmin.trust import Hits
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.heads import Registration, tell_registrations
from quanmin.web.route import READERS
from quanmin.web.sheet import sheet

# A resident has one record and searches for nobody.
SEARCHERS = Access((READERS.roles or frozenset()) - {"resident", "guardian"})
_HITS = 20


@page("/people", access=SEARCHERS, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """The box, and after a POST the hits; what is searched never stands in an address."""
    if visit.request.method == "GET":
        return visit.page("person_record/find.html", term="", hits=None, more=None)
    state = _state(visit)
    hits, step = await _search(records, state)
    rows = await _hit_rows(visit, records, hits)
    more = visit.keep("found", {**state, "step": step, "cursor": hits.next}) if hits.next else None
    return visit.page(
        "person_record/find.html",
        term=state["term"],
        hits=rows,
        more=more,
        again=visit.keep("found", state),
    )


@page("/people.csv", access=SEARCHERS, methods=("POST",), is_taken_once=False)
async def hits_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """Every hit of a search as a sheet."""
    state = {**visit.kept("found", visit.sent.get("state", "")), "step": 0, "cursor": None}
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


def _state(visit: Visit) -> dict[str, Any]:
    if visit.sent.get("state"):
        return visit.kept("found", visit.sent["state"])
    term = tidied(visit.sent.get("term", ""))
    if len(term) > TERM_LENGTH_MAX:
        raise Malformed(
            Sentence(
                "a search takes %(term_length_max)s characters at most",
                term_length_max=TERM_LENGTH_MAX,
            )
        )
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
    *RECORD_PAGES,
)
