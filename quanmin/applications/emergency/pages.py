"""The pages that open a record in an emergency, close it, and tell what was judged of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import NotFound, Problem
from quanmin.trust.deciding.glass import Opened, load_glass_rules
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.emergency_reviews import EmergencyReviews
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.sheet import sheet

OPENERS: Final = Access(frozenset({"doctor", "nurse"}))
_OWN_MAX: Final = 200


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


@page("/emergency/own.csv", access=OPENERS)
async def own_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """What one has opened as a sheet."""
    opened = await records.desk(Emergencies).own(_OWN_MAX)

    async def rows() -> AsyncIterator[list[str]]:
        for one in opened:
            yield _row(visit, one)

    return sheet("emergencies", _heading(visit), rows())


async def _form(
    visit: Visit,
    records: DeclaredRecords,
    sent: dict[str, str],
    problem: Problem | None = None,
) -> Response:
    rules = load_glass_rules()
    rows = [_row(visit, one) for one in await records.desk(Emergencies).own(_OWN_MAX)]
    told: dict[str, Any] = {"number": "", "reason": "", **sent}
    return visit.page(
        "emergency/open.html",
        status=problem.status if problem else 200,
        asked=told,
        problem=problem,
        minutes=rules.minutes,
        letters=(rules.reason_letters_min, rules.reason_letters_max),
        heading=_heading(visit),
        rows=rows,
        is_reviewer=await records.desk(EmergencyReviews).is_charged(),
    )


def _heading(visit: Visit) -> list[str]:
    say = visit.say
    return [say("When"), say("Until"), say("Reason"), say("Judged"), say("In words")]


def _row(visit: Visit, one: Opened) -> list[str]:
    states = {
        "waiting": visit.say("not yet"),
        "justified": visit.say("justified"),
        "unjustified": visit.say("unjustified"),
    }
    return [
        visit.moment(one.at),
        visit.moment(one.until),
        one.reason,
        states[one.state],
        one.opinion or "",
    ]


PAGES: tuple[Page, ...] = (open_, close, own_sheet)
