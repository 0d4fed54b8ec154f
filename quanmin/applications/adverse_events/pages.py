"""Cases of adverse events: the report of one, and what is done with it."""

from __future__ import annotations

import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from starlette.responses import Response

from quanmin.base.problems import Invalid, NotFound
from quanmin.fhir.json import Json, decode
from quanmin.trust import Role
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.cases import asking, begin, open_case
from quanmin.web.filling import answered, entries_of, form_in
from quanmin.web.forms import Field, Sent, form_page
from quanmin.web.heads import read_person
from quanmin.web.institutions import code_of, own_name
from quanmin.web.route import Charge
from quanmin.web.stocks import name_of
from quanmin.web.uploads import file_page
from quanmin.workflow.forms.compiling import option_words
from quanmin.workflow.vaccination import is_given, moment_of, product_of

VACCINATORS: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
STAFF: Final = Access(VACCINATORS, Charge(frozenset({"immunization"}), VACCINATORS))
EVENTS: Final = "/adverse-events"
_HERE: Final = Path(__file__).parent
_CAUSES: Final = "https://quanmin.example/fhir/CodeSystem/aefi-cause"
_OUTCOMES: Final = "http://terminology.hl7.org/CodeSystem/adverse-event-outcome"


@cache
def words() -> dict[str, dict[str, dict[str, str]]]:
    """Causes and outcomes with their words."""
    return tomllib.loads((_HERE / "definitions" / "grades.toml").read_text("utf-8"))


def _choices(visit: Visit, kind: str) -> list[tuple[str, str]]:
    return [("", ""), *((code, told[visit.language]) for code, told in words()[kind].items())]


@page(f"{EVENTS}/of/{{patient}}", access=STAFF, methods=("GET", "POST"), takes_files=True)
async def report(visit: Visit, records: DeclaredRecords) -> Response:
    """Report one of a person who was vaccinated."""
    patient = visit.path("patient")
    times = await _given(records, patient)
    if not times:
        raise Invalid("no dose with its day is recorded of this person: record it first")
    form, back = form_in(_HERE, "adverse-event"), f"/vaccination/of/{patient}"
    sent, shown = await answered(visit, records, form, patient, back=back)
    if sent is None:
        return shown
    entries = entries_of(sent)
    event = entries[1]["resource"]
    began = datetime.fromisoformat(event["date"])
    given = max((at for at, _ in times if at <= began), default=min(times)[0])
    event["suspectEntity"] = [
        {"instance": {"reference": f"Immunization/{id_}"}}
        for at, id_ in times
        if at <= began and at.date() == given.date()
    ]
    is_urgent = visit.sent.get("urgent") == "true"
    person, actor = await read_person(visit, records, patient), (await asking(visit)).actor
    stored = await begin(
        visit,
        records,
        "report-urgently" if is_urgent else "report",
        facts={"given": given, "began": began},
        recorded=entries,
        head={
            "for": {"reference": f"Patient/{patient}", "display": person.told.name},
            "reasonCode": {"coding": event["event"].get("coding", [])},
            "requester": {
                "identifier": {"value": code_of(actor)},
                "display": await own_name(records, actor) or actor.name,
            },
        },
    )
    return visit.go(f"{EVENTS}/{stored.id}")


async def _given(records: DeclaredRecords, patient: str) -> list[tuple[datetime, str]]:
    """When a person was given which doses, by their ids."""
    found = (await records.whole_timeline(patient, "Immunization")).entries
    read = ((one.id, decode(one.body or b"{}")) for one in found)
    times = ((moment_of(dose, records.zone), id_) for id_, dose in read if is_given(dose))
    return [(at, id_) for at, id_ in times if at is not None]


async def _event(records: DeclaredRecords, task: Json) -> tuple[Json, int]:
    """The AdverseEvent of a case, and its version."""
    names = _recorded(task, "AdverseEvent")
    stored = await records.read("AdverseEvent", names[0] if names else "none")
    return decode(stored.body or b"{}"), stored.version


def _recorded(task: Json, type_: str) -> list[str]:
    """The ids of what a case has recorded of a type."""
    outputs = (one.get("valueReference", {}).get("reference", "") for one in task.get("output", []))
    return [one.partition("/")[2] for one in outputs if one.startswith(f"{type_}/")]


def chosen(visit: Visit, concept: Json) -> str:
    """What a form's option says, of the coding that was made of it."""
    return option_words(((concept or {}).get("coding") or [{}])[0]).told(visit.language)


def _grade(event: Json) -> str:
    for entity in event.get("suspectEntity", []):
        for one in entity.get("causality", []):
            return str(one.get("assessment", {}).get("coding", [{}])[0].get("code", ""))
    return ""


def _outcome(event: Json) -> str:
    return str(event.get("outcome", {}).get("coding", [{}])[0].get("code", ""))


@page(f"{EVENTS}/{{id}}", access=STAFF, methods=("GET", "POST"))
async def case(visit: Visit, records: DeclaredRecords) -> Response:
    """A case: what happened, what was done, and the steps that lead on."""
    task = decode((await records.read("Task", visit.path("id"))).body or b"{}")
    event, _ = await _event(records, task)
    grade, outcome = _grade(event), _outcome(event)
    one = await open_case(visit, records, visit.path("id"), grade=grade, outcome=outcome)
    if visit.request.method == "POST":
        await one.take(visit.sent.get("step", ""), words=visit.sent.get("words", ""))
        return visit.go(visit.request.url.path)
    patient = task["for"]["reference"].removeprefix("Patient/")
    doses = [
        decode((await records.read("Immunization", id_)).body or b"{}")
        for entity in event.get("suspectEntity", [])
        if (id_ := entity["instance"]["reference"].removeprefix("Immunization/"))
    ]
    return visit.page(
        "adverse_events/case.html",
        person=await read_person(visit, records, patient),
        case=one,
        what=chosen(visit, event.get("event")),
        said=event.get("event", {}).get("text", ""),
        began=visit.reader.date(event.get("date", "")),
        doses=[(name_of(visit, product_of(dose)), dose.get("lotNumber", "")) for dose in doses],
        papers=_recorded(task, "DocumentReference"),
        grade=words()["cause"].get(grade, {}).get(visit.language, ""),
        outcome=words()["outcome"].get(outcome, {}).get(visit.language, ""),
    )


@page(f"{EVENTS}/{{id}}/grade", access=STAFF, methods=("GET", "POST"))
async def grade(visit: Visit, records: DeclaredRecords) -> Response:
    """Say what caused it and how it ended; nobody grades what they have reported."""
    say, sent = visit.say, Sent(visit)
    back = f"{EVENTS}/{visit.path('id')}"
    fields = [
        Field("cause", say("Cause"), "select", choices=_choices(visit, "cause"), is_needed=True),
        Field("outcome", say("Outcome"), "select", choices=_choices(visit, "outcome"),
              is_needed=True),
        Field("words", say("On what ground"), is_needed=True, length_max=2000),
    ]  # fmt: skip
    one = await open_case(visit, records, visit.path("id"), grade="", outcome="")
    if visit.request.method == "GET":
        return form_page(visit, say("Classify"), fields, button=say("Classify"), back=back)
    cause = sent.choice("cause", words()["cause"], is_needed=True)
    outcome = sent.choice("outcome", words()["outcome"], is_needed=True)
    text = sent.text("words", is_needed=True, length_max=2000)
    if not sent.is_sound:
        return form_page(
            visit, say("Classify"), fields, button=say("Classify"), back=back, sent=sent
        )
    event, version = await _event(records, one.case.task)
    assessment = {
        "coding": [{"system": _CAUSES, "code": cause}],
        "text": words()["cause"][cause]["zh"],
    }
    for entity in event.get("suspectEntity", []):
        entity["causality"] = [{"assessment": assessment}]
    event["outcome"] = {"coding": [{"system": _OUTCOMES, "code": outcome}]}
    request = {"method": "PUT", "url": f"AdverseEvent/{event['id']}", "ifMatch": f'W/"{version}"'}
    await one.take("grade", recorded=[{"resource": event, "request": request}], words=text)
    return visit.go(back)


@page(f"{EVENTS}/{{id}}/papers/{{paper}}", access=STAFF)
async def paper(visit: Visit, records: DeclaredRecords) -> Response:
    """One of the pictures and papers of a case, to be saved."""
    task = await records.resource("Task", visit.path("id"))
    if visit.path("paper") not in _recorded(task, "DocumentReference"):
        raise NotFound("the case has no such paper")
    return await file_page(records, visit.path("paper"))


PAGES: Final[tuple[Page, ...]] = (report, grade, paper, case)
