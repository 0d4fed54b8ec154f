"""The pages that open a record in an emergency, close it, and tell what was judged of one's own."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import NotFound, Problem
from quanmin.trust.deciding.glass import Opened, load_glass_rules
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.emergency_reviews import EmergencyReviews
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell
from quanmin.web.tables import Heading, Row, Table, place_numbers, table

OPENERS: Final = Access(frozenset({"doctor", "nurse"}))


@page("/emergency", access=OPENERS, methods=("GET", "POST"))
async def open_(visit: Visit, records: DeclaredRecords) -> Response:
    """The form, with a plain warning; after a POST the record, for a while."""
    desk = records.desk(Emergencies)
    if visit.request.method == "GET":
        return await _form(visit, records, {"patient": visit.asked("patient")})
    sent = {name: visit.sent.get(name, "").strip() for name in ("patient", "number", "reason")}
    try:
        patient = sent["patient"] or (sent["number"] and await desk.find(sent["number"]))
        if not patient:
            raise NotFound("nobody has this number, or several have: the number must be whole")
        await desk.open(patient, sent["reason"])
    except Problem as problem:
        if problem.status >= 500:
            raise
        return await _form(visit, records, sent, problem)
    return visit.go(f"/person/{patient}")


@page("/emergency/close", access=OPENERS, methods=("POST",))
async def close(visit: Visit, records: DeclaredRecords) -> Response:
    """End it before its time."""
    await records.desk(Emergencies).close(visit.sent.get("patient", ""))
    return visit.go("/emergency")


@table("/emergency/own", access=OPENERS, name="emergencies")
async def own(visit: Visit, records: DeclaredRecords) -> Table:
    """What one has opened, the newest first, and what was judged of it."""
    say = visit.say

    async def fetch(after: str, count: int) -> list[Row]:
        found = await records.desk(Emergencies).own(count, place_numbers(after))
        return [Row(_cells(visit, one), f"{one.at}.{one.glass}") for one in found]

    words = (say("When"), say("Until"), say("Reason"), say("Judged"), say("In words"))
    return Table(
        title=say("What you have opened"),
        headings=[Heading(one) for one in words],
        fetch=fetch,
        empty=say("Nothing so far."),
        actions=[(say("Open a record in an emergency"), "/emergency")],
    )


async def _form(
    visit: Visit,
    records: DeclaredRecords,
    sent: dict[str, str],
    problem: Problem | None = None,
) -> Response:
    rules = load_glass_rules()
    told: dict[str, Any] = {"number": "", "reason": "", **sent}
    return visit.page(
        "emergency/open.html",
        status=problem.status if problem else 200,
        asked=told,
        problem=problem,
        minutes=rules.minutes,
        letters=(rules.reason_letters_min, rules.reason_letters_max),
        is_reviewer=await records.desk(EmergencyReviews).is_charged(),
    )


def _cells(visit: Visit, one: Opened) -> list[Cell]:
    states = {
        "waiting": visit.say("not yet"),
        "justified": visit.say("justified"),
        "unjustified": visit.say("unjustified"),
    }
    return [
        Cell(visit.moment(one.at), is_number=True),
        Cell(visit.moment(one.until), is_number=True),
        Cell(one.reason),
        Cell(states[one.state]),
        Cell(one.opinion or ""),
    ]


PAGES: tuple[Page, ...] = (open_, close, *own)
