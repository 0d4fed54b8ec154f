"""A visit of a chronic disease, on its page and offline: which step it is, what it records,
who is taken along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from quanmin.base.problems import Gone, NotFound, PreconditionFailed
from quanmin.fhir.json import Json
from quanmin.web.cases import OpenCase, asking, faults_of_step, labelled, open_case
from quanmin.web.chronic import HOME, STAFF, Visited, born_on, visited
from quanmin.web.chronic_cases import LEAD, Assigned, assigned, due_soon
from quanmin.web.institutions import as_owner, nearest
from quanmin.web.offline import Carried, Offline
from quanmin.web.questionnaires import Answered
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit
from quanmin.workflow import chronic
from quanmin.workflow.chronic import Disease, disease_of
from quanmin.workflow.forms import Fault, Form, label, words_of
from quanmin.workflow.notifiable import ADDRESSED

_HOSPITAL: Final = "A"
"""The kind of institution to which people are referred: hospitals (WS 218)."""
_REFERS: Final = frozenset({"refer", "visit_and_refer"})
_KEEPS: Final = frozenset({"check", "see"})
"""The steps of a case that is referred and stays so."""
PLACES: Final = dict.fromkeys(
    ("in-the-future", "before-birth", "before-enrolment", "told-already"), "day"
)
"""Beside which question of its form a reason against a visit stands."""


def step_of(case: OpenCase, measure: str) -> str:
    """The step that a visit is."""
    if case.state == "referred":
        return "check"
    return "visit_and_refer" if measure == "refer" else "visit"


def facts_of_case(task: Json) -> dict[str, Any]:
    """What the rules ask of a case whatever is done with it."""
    return {"enrolled": chronic.day_of(task, "enrolled") or date.min}


def facts_of_visit(task: Json, born: date, made: Visited) -> dict[str, Any]:
    """What they ask of a visit."""
    return {
        **facts_of_case(task),
        "born": born,
        "measure": made.measure,
        "on": made.on,
        "is_told": any(one.on == made.on for one in chronic.visits_of(task)),
    }


async def head_of(
    visit: Visit, records: DeclaredRecords, step: str
) -> tuple[dict[str, Any], list[Json]]:
    """Who has a case from a step on. To whom a referral goes: the nearest hospital of the register,
    if there is one, is told. A step that ends a referral takes the case from the hospital.
    """
    if step not in _REFERS:
        return ({} if step in _KEEPS else {"owner": None}), []
    actor = (await asking(visit)).actor
    hospital = await nearest(records, _HOSPITAL, actor.place.region)
    if hospital is None:
        return {"owner": None}, []
    labels: list[Json] = [{"system": ADDRESSED, "code": hospital.code}]
    return {"owner": as_owner(hospital), "meta": {"security": labels}}, labels


async def record(
    visit: Visit, records: DeclaredRecords, case: OpenCase, step: str, made: Visited
) -> None:
    """Store a visit, by the step that it is."""
    head, labels = await head_of(visit, records, step)
    head["input"] = made.held
    for entry in made.recorded:
        entry["resource"]["meta"] = labelled(entry["resource"], labels)
    await case.take(step, recorded=made.recorded, head=head)


async def last_response(records: DeclaredRecords, task: Json) -> Json | None:
    """What was filled in at the last visit that was not entered in error; None where there was
    none that may be seen.
    """
    for group in reversed(chronic.recorded_by(task)):
        try:
            response = await records.resource(*group[0])
        except (NotFound, Gone):
            continue
        if response["status"] != "entered-in-error":
            return response
    return None


async def last_answers(
    visit: Visit, records: DeclaredRecords, form: Form, task: Json
) -> list[tuple[str, str]]:
    """The answers of the last visit that the visitor may see, each with its question."""
    response = await last_response(records, task)
    if response is None:
        return []
    said = words_of(form, response, visit.language, visit.house.settings.zone)
    return [(label(form, link, visit.language), text) for link, text in said.items()]


# ---- offline -------------------------------------------------------------------------------------


def taken_along(forms: Mapping[Disease, Form]) -> Offline:
    """Whoever is due for a visit soon, with the form of it."""

    async def listed(visit: Visit, records: DeclaredRecords, most: int) -> Sequence[Carried]:
        return [_carried(found, forms) for found in await due_soon(visit, records, most)]

    async def one(visit: Visit, records: DeclaredRecords, case: str) -> Carried:
        found = await assigned(visit, records, case)
        last = await last_response(records, found.task)
        return msgspec.structs.replace(_carried(found, forms), last=last)

    return Offline(
        path=f"{HOME}/offline",
        access=STAFF,
        lead=LEAD,
        forms=tuple(forms.values()),
        listed=listed,
        one=one,
        take=_take,
    )


def _carried(found: Assigned, forms: Mapping[Disease, Form]) -> Carried:
    return Carried(
        case=str(found.task["id"]),
        version=found.version,
        patient=str(found.patient["id"]),
        form=forms[disease_of(found.task)],
        name=found.name,
        facts=found.facts,
        held=found,
    )


async def _take(
    visit: Visit, records: DeclaredRecords, carried: Carried, sent: Answered
) -> Sequence[Fault]:
    """Store a visit, or say what speaks against it."""
    case, known = await open_case(visit, records, carried.case), carried.held
    task = case.case.task
    if task["meta"]["versionId"] != known.task["meta"]["versionId"]:
        raise PreconditionFailed("the case has moved on")
    born = born_on(known.patient)
    made = visited(sent, task, born, (await asking(visit)).moment.date())
    step, facts = step_of(case, made.measure), facts_of_visit(task, born, made)
    against = await faults_of_step(visit, records, step, facts, case=case.case, places=PLACES)
    if not against:
        await record(visit, records, case.knowing(**facts), step, made)
    return against
