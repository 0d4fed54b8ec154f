"""A visit that was entered in error is taken back: its records say so, and what follows from the
others is worked out without it.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import Invalid
from quanmin.fhir.json import Json
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.cases import OpenCase, asking, open_case
from quanmin.web.chronic import HOME, STAFF, born_on
from quanmin.web.forms import Field, Sent, form_page
from quanmin.workflow import chronic
from quanmin.workflow.chronic import Seen, disease_of, visits_of, word
from quanmin.workflow.forms import answers

_REFERRING: Final = frozenset({"visit_and_refer", "refer"})
_ERROR: Final = "entered-in-error"


@page(f"{HOME}/case/{{id}}/error", access=STAFF, methods=("GET", "POST"))
async def take_back(visit: Visit, records: DeclaredRecords) -> Response:
    """Take back a visit, with the reason; a referral that rests on it as well."""
    id_, say = visit.path("id"), visit.say
    case, back = await open_case(visit, records, id_), f"{HOME}/case/{id_}"
    known = {one.on.isoformat(): one for one in visits_of(case.case.task)}
    words = [(day, f"{day} · {word('result', one.result, visit.language)}")
             for day, one in reversed(known.items())]  # fmt: skip
    fields = [
        Field("day", say("Visit"), "select", choices=[("", ""), *words], is_needed=True),
        Field("words", say("What was wrong"), is_needed=True, length_max=2000),
    ]
    title = case.workflow.steps["take_back"].told(visit.language)
    lead = say("It stays in the history and counts for nothing: what is due and the rates follow "
               "from the other visits.")  # fmt: skip
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=title, back=back, lead=lead)
    sent = Sent(visit)
    day = sent.choice("day", list(known), is_needed=True)
    text = sent.text("words", is_needed=True, length_max=2000)
    if not sent.is_sound:
        return form_page(visit, title, fields, button=title, back=back, sent=sent, lead=lead)
    taken = known[day]
    measure = await _measure(visit, records, case.case.task, taken)
    falls = _falls(case, measure)
    recorded = await _mistaken(records, case.case.task, taken)
    step = "take_back_referral" if falls else "take_back"
    head: dict[str, Json] = {"input": chronic.taking_back(case.case.task, taken, measure)}
    if falls:
        head["owner"] = None
    told = f"{day}: {text}"
    case = case.knowing(has_visit=True, falls=falls)
    await case.take(step, recorded=recorded, words=told, head=head)
    return visit.go(back)


async def _measure(visit: Visit, records: DeclaredRecords, task: Json, taken: Seen) -> str:
    """What is called for without a visit; "" where there is no other one."""
    left = [one for one in visits_of(task) if one != taken]
    if not left:
        return ""
    born = born_on(await records.resource("Patient", chronic.patient_of(task)))
    today = (await asking(visit)).moment.date()
    return chronic.follows(disease_of(task), task, born, left, today).measure


def _falls(case: OpenCase, measure: str) -> bool:
    """Whether the case was referred by visits that no longer call for it."""
    into = [one.step for one in case.case.history if one.step in _REFERRING]
    was_called = chronic.fact_of(case.case.task, "measure") == "refer"
    by_visit = case.state == "referred" and into[-1:] == ["visit_and_refer"]
    return by_visit and was_called and measure != "refer"


async def _mistaken(records: DeclaredRecords, task: Json, taken: Seen) -> list[Json]:
    """The entries that mark all records of a visit. Raises Invalid where its answers are gone."""
    for group in chronic.recorded_by(task):
        response = await records.resource(*group[0])
        is_asked = answers(response).get("day") == taken.on.isoformat()
        if is_asked and response["status"] != _ERROR:
            others = [await records.resource(*one) for one in group[1:]]
            return [_marked(one) for one in (response, *others)]
    raise Invalid("the answers of this visit are not there to be marked")


def _marked(resource: Json) -> Json:
    place = f"{resource['resourceType']}/{resource['id']}"
    request: dict[str, Any] = {"method": "PUT", "url": place}
    request["ifMatch"] = f'W/"{resource["meta"]["versionId"]}"'
    return {"resource": {**resource, "status": _ERROR}, "request": request}


PAGES: Final[tuple[Page, ...]] = (take_back,)
