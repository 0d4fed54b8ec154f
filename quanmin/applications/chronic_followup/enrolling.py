"""How a case begins and ends: somebody is enrolled; they moved away, died or were lost."""

from __future__ import annotations

from datetime import date, tzinfo
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.chronic_followup.rules import may_close, may_enrol
from quanmin.base.decision import Decision
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.cases import asking, begin, open_case
from quanmin.web.chronic import HOME, STAFF, Known, born_on, ending, read_known
from quanmin.web.forms import Field, Sent, form_page
from quanmin.workflow import chronic
from quanmin.workflow.chronic import DISEASES, Disease, word

CLOSING: Final = ("move", "die", "lose")


@page(f"{HOME}/of/{{patient}}/enrolment", access=STAFF, methods=("GET", "POST"))
async def enrol(visit: Visit, records: DeclaredRecords) -> Response:
    """Begin to follow somebody up, with a diagnosis or a pressure that was high often enough."""
    say, patient = visit.say, visit.path("patient")
    known = await read_known(visit, records, patient)
    words = [(one, word("disease", one, visit.language)) for one in DISEASES]
    beside = [(one, word("beside", one, visit.language)) for one in chronic.codes("beside")]
    fields = [
        Field("disease", say("Disease"), "select", choices=words, is_needed=True),
        Field("enrolled", say("Enrolled on"), "date", visit.today.isoformat(), is_needed=True),
        Field("beside", say("What adds to the risk (hypertension)"), "select",
              choices=[("", ""), *beside]),
    ]  # fmt: skip
    title, back = say("Enrol"), f"{HOME}/of/{patient}"
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=title, back=back)
    sent = Sent(visit)
    disease = next((one for one in DISEASES if one == sent.choice("disease", DISEASES)), None)
    enrolled, chosen = sent.day("enrolled", is_needed=True), sent.choice(
        "beside", chronic.codes("beside")
    )  # fmt: skip
    if disease is None:
        sent.faults.setdefault("disease", say("Fill this in."))
    if not sent.is_sound or disease is None or enrolled is None:
        return form_page(visit, title, fields, button=title, back=back, sent=sent)
    asked = _of_enrolment(known, disease, enrolled, records.zone)
    facts = {**asked, "is_doctor": _is_doctor(visit)}
    decision = may_enrol(**facts, moment=(await asking(visit)).moment)
    if not decision.allowed:
        _tell(visit, records, sent, decision)
        return form_page(visit, title, fields, button=title, back=back, sent=sent)
    name = known.person.told.name
    before = sum(chronic.disease_of(one) == disease for one in known.cases)
    who = chronic.Enrolling(known.person.id, name, before, known.results, known.diagnoses)
    recorded, head = chronic.enrolment(disease, who, enrolled, chosen)
    task = await begin(visit, records, "enrol", facts=facts, recorded=recorded, head=head)
    return visit.go(f"{HOME}/case/{task.id}")


def _of_enrolment(known: Known, disease: Disease, enrolled: date, zone: tzinfo) -> dict[str, Any]:
    """What the rule of an enrolment asks. Raises Invalid without a whole date of birth."""
    limits = chronic.limits()
    return {
        "age": chronic.age_on(born_on(known.patient), enrolled),
        "age_min": limits["enrolment"]["age"],
        "diagnosed": any(chronic.is_diagnosis(one, disease) for one in known.diagnoses),
        "high_days": chronic.high_days(known.results, zone),
        "days_needed": limits["pressure"]["days"] if disease == "hypertension" else 0,
        "has_case": known.open_case(disease) is not None,
        "enrolled": enrolled,
    }


def _is_doctor(visit: Visit) -> bool:
    return visit.actor is not None and visit.actor.role == "doctor"


def _tell(visit: Visit, records: DeclaredRecords, sent: Sent, decision: Decision) -> None:
    told = (records.workflow.told(one, visit.language) for one in decision.reasons)
    sent.general = visit.semicolon.join(told)


@page(f"{HOME}/case/{{id}}/closing", access=STAFF, methods=("GET", "POST"))
async def close(visit: Visit, records: DeclaredRecords) -> Response:
    """Close a case: the person moved away, died or was lost. Nothing is due from then on."""
    id_, say, workflow = visit.path("id"), visit.say, records.workflow
    case, back = await open_case(visit, records, id_), f"{HOME}/case/{id_}"
    task = case.case.task
    words = [(one, workflow.steps[one].told(visit.language)) for one in CLOSING]
    fields = [
        Field("step", say("Why"), "select", choices=words, is_needed=True),
        Field("closed", say("Since"), "date", visit.today.isoformat(), is_needed=True),
        Field("words", say("What is known of it"), is_needed=True, length_max=2000),
    ]
    title = say("Close the case")
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=title, back=back)
    sent = Sent(visit)
    step, closed = sent.choice("step", CLOSING, is_needed=True), sent.day("closed", is_needed=True)
    text = sent.text("words", is_needed=True, length_max=2000)
    facts = {
        "enrolled": chronic.day_of(task, "enrolled") or date.min,
        "closed": closed or visit.today,
    }
    decision = may_close(**facts, moment=(await asking(visit)).moment)
    if sent.is_sound and not decision.allowed:
        _tell(visit, records, sent, decision)
    if not sent.is_sound or closed is None:
        return form_page(visit, title, fields, button=title, back=back, sent=sent)
    entry = await ending(records, task, closed)
    head = {"input": chronic.holding(task, closed=closed)}
    await case.knowing(**facts).take(step, words=text, head=head, recorded=[entry])
    return visit.go(back)


PAGES: Final[tuple[Page, ...]] = (enrol, close)
