"""The reports of an event: the first, which the centre verifies, those of how it goes on, and the
one that closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.base.problems import NotFound
from quanmin.fhir.json import Json, decode
from quanmin.web import Access, DeclaredRecords, Visit, page
from quanmin.web.cases import asking, begin, labelled, open_case, refused, relabelled
from quanmin.web.filling import form_in
from quanmin.web.forms import read_number
from quanmin.web.institutions import as_owner, at_level, code_of, nearest, owner_of
from quanmin.web.pickers import with_codes
from quanmin.web.questionnaires import around, opened, questionnaire_page, taken, transaction
from quanmin.web.route import Charge
from quanmin.workflow.forms import Around, Form, answers, open_response
from quanmin.workflow.health_events import (
    Event,
    coding,
    hours,
    options,
    read_day,
    read_event,
    read_moment,
    reports_of,
)
from quanmin.workflow.notifiable import ADDRESSED, addressed_to, diseases

_DUTY: Final = Charge(frozenset({"infection_report", "head"}), frozenset({"public_health_worker"}))
STAFF: Final = Access(frozenset({"doctor", "nurse", "public_health_worker"}), _DUTY)
CENTRE: Final = Access(frozenset({"public_health_worker"}), _DUTY)
KIND: Final = "J"
"""The kind of institution that verifies events: disease control and prevention (WS 218)."""
REPORTS_MAX: Final = 100
_FOLDER: Final = Path(__file__).parent
FORMS: Final = {
    "report": form_in(_FOLDER, "first"),
    "verify": form_in(_FOLDER, "first"),
    "follow": form_in(_FOLDER, "progress"),
    "close": form_in(_FOLDER, "closing"),
}
_REPORT: Final = "urn:uuid:00000000-0000-4000-8000-000000000001"
# What may fill a form in.
_NAMES: Final = ("area", "kind", "disease", "level", "cases", "severe", "deaths")


@page("/events/new", access=STAFF, methods=("GET", "POST"))
async def report(visit: Visit, records: DeclaredRecords) -> Response:
    """The first report of an event; the address may say disease, area and number of cases."""
    asked = await asking(visit)
    actor, moment = asked.actor, asked.moment
    disease = diseases().get(visit.asked("disease"))
    within = _within(
        visit,
        area=visit.asked("area") or actor.place.region or [],
        cases=read_number(visit.asked("cases")) or [],
        **({"kind": coding("kind", "infectious"), "disease": disease.coding()} if disease else {}),
    )
    start = await opened(records, FORMS["report"], within, {})
    within = await with_codes(visit, records, start)
    if visit.request.method == "GET":
        return questionnaire_page(visit, start, back="/events")
    answered = taken(visit, FORMS["report"], within, start.response())
    response = {**answered.filling.response(), "status": "completed"}
    said = answers(response)
    event = read_event([said], records.zone)
    centre = await nearest(records, KIND, event.area)
    facts = {"has_centre": centre is not None, **_moments(event)}
    again = await refused(visit, records, answered, "report", facts, back="/events")
    if again is not None:
        return again
    security = labels([code_of(actor), *([centre.code] if centre else [])])
    (entry,) = transaction(answered.filling, {**response, "meta": {"security": security}})["entry"]
    head = {
        **_head(said, event, _REPORT, security),
        **({"owner": as_owner(centre)} if centre else {}),
    }
    task = await begin(
        visit,
        records,
        "report",
        facts=facts,
        recorded=[{**entry, "fullUrl": _REPORT}],
        head=head,
        clocks={"review": moment + timedelta(hours=hours("review"))},
    )
    return visit.go(f"/events/{task.id}")


@page("/events/{id}/{step}", access=CENTRE, methods=("GET", "POST"))
async def go_on(visit: Visit, records: DeclaredRecords) -> Response:
    """A report of the centre: the first one put right, how it goes on, the closing one."""
    step, id_, back = visit.path("step"), visit.path("id"), f"/events/{visit.path('id')}"
    if step not in FORMS or step == "report":
        raise NotFound("an event has no such report")
    form, case = FORMS[step], await open_case(visit, records, id_)
    reports = await read_reports(records, case.case.task)
    before = [answers(one) for one in reports]
    within = _within(visit, **_latest(before))
    held = reports[0] if step == "verify" else None
    start = open_response(form, within, held) if held else await opened(records, form, within, {})
    within = await with_codes(visit, records, start)
    if visit.request.method == "GET":
        return questionnaire_page(visit, start, back=back)
    answered = taken(visit, form, within, held or start.response())
    response = {
        **answered.filling.response(),
        "status": "completed",
        **({"id": held["id"]} if held else {}),
    }
    said = answers(response)
    event = read_event([said] if held else [*before, said], records.zone)
    facts = {
        "is_here": await is_here(visit, case.case.task),
        **facts_of(records, event, before, said),
    }
    again = await refused(visit, records, answered, step, facts, back=back, case=case.case)
    if again is not None:
        return again
    addressed = [*addressed_to(case.case.task), *await _above(records, event)]
    security = labels(addressed)
    response["meta"] = labelled(held or {}, security)
    (entry,) = transaction(answered.filling, response)["entry"]
    others = [one for one in reports if one is not held and set(addressed) - {*addressed_to(one)}]
    place = f"QuestionnaireResponse/{held['id']}" if held else _REPORT
    await case.knowing(**facts).take(
        step,
        recorded=[entry if held else {**entry, "fullUrl": _REPORT},
                  *(relabelled(one, security) for one in others)],
        head=_head(answers(reports[0]) | (said if held else {}), event, place, security),
        clocks=await clocks_of(visit, event),
    )  # fmt: skip
    return visit.go(back)


def facts_of(
    records: DeclaredRecords,
    event: Event,
    before: Sequence[Mapping[str, Any]],
    said: Mapping[str, Any],
) -> dict[str, Any]:
    """What the rules ask of an event and of a report that goes on with it; what is not said is left
    out, and so refused.
    """
    until = [read_moment(one.get("as-of") or one.get("noticed"), records.zone) for one in before]
    told = {
        "as_of": read_moment(said.get("as-of"), records.zone),
        "told_until": max(filter(None, until), default=None),
        "ended": read_day(said.get("ended")),
    }
    moments = {name: value for name, value in told.items() if value is not None}
    return {"is_graded": bool(event.level), **_moments(event), **moments}


async def is_here(visit: Visit, task: Json) -> bool:
    """Whether an event is with the visitor's institution."""
    return owner_of(task) == code_of((await asking(visit)).actor)


async def read_reports(records: DeclaredRecords, task: Json) -> list[Json]:
    """The reports of an event, the oldest first: the first one and the newest. Raises NotFound
    for a Task that has none.
    """
    ids = reports_of(task)
    wanted = [*ids[:1], *ids[1:][-REPORTS_MAX + 1 :]]
    if not wanted:
        raise NotFound("this Task is no public health event")
    pairs = ("_id", ",".join(wanted))
    hits = await records.find("QuestionnaireResponse", pairs, count=REPORTS_MAX)
    found = {stored.id: decode(stored.body or b"{}") for stored in hits.matches}
    if wanted[0] not in found:
        raise NotFound("the first report of this event is not there")
    return [found[id_] for id_ in wanted if id_ in found]


def form_of(response: Json) -> Form:
    """The form that a report answers."""
    url = str(response.get("questionnaire") or "").partition("|")[0]
    return next((form for form in FORMS.values() if form.url == url), FORMS["report"])


def labels(addressed: Iterable[str]) -> list[dict[str, str]]:
    """To whom a report and its case are addressed, as the guard knows it."""
    return [{"system": ADDRESSED, "code": code} for code in dict.fromkeys(addressed)]


def _within(visit: Visit, **variables: Any) -> Around:
    """What a form is opened with, and what may be chosen in it today."""
    usual: dict[str, Any] = {name: [] for name in _NAMES}
    usual["reporter"] = visit.actor.name if visit.actor else ""
    members = partial(options, day=visit.today)
    return msgspec.structs.replace(around(visit, **{**usual, **variables}), members=members)


def _latest(before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers and the grade of the newest report that says them."""
    said = {name: value for one in before for name, value in one.items() if value is not None}
    return {name: said.get(name, []) for name in ("level", "cases", "severe", "deaths")}


def _moments(event: Event) -> dict[str, Any]:
    said = {"began": event.began, "noticed": event.noticed}
    return {name: value for name, value in said.items() if value is not None}


def _head(
    said: Mapping[str, Any], event: Event, place: str, security: Sequence[Json]
) -> dict[str, Any]:
    """What of an event stands in its case: by what it is found, and who is to see it."""
    kinds = [one for one in (said.get("kind"), said.get("disease")) if one]
    return {
        "description": str(said.get("name") or ""),
        "reasonCode": {"coding": kinds},
        "focus": {"reference": place},
        "priority": "stat" if event.grade.told else "urgent",
        "meta": {"security": list(security)},
    }


async def _above(records: DeclaredRecords, event: Event) -> list[str]:
    """The centres above that are told of an event of this grade."""
    found = [await at_level(records, KIND, event.area, level) for level in event.grade.told]
    return [one.code for one in found if one is not None]


async def clocks_of(visit: Visit, event: Event) -> dict[str, datetime]:
    """By when the next report of an event of this grade is due."""
    now, after = (await asking(visit)).moment, event.grade.progress_hours
    return {"progress": now + timedelta(hours=after)}


PAGES: Final = (report, go_on)
