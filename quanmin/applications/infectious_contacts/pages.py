"""The contacts of a case, their list, and each with its visits and steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from starlette.responses import Response

from quanmin.base.problems import Malformed, NotFound, Sentence
from quanmin.fhir.json import Json, decode
from quanmin.trust import Hits
from quanmin.web import Access, DeclaredRecords, Visit, Work, page
from quanmin.web.cases import asking, begin, open_case, read_cases, refused
from quanmin.web.forms import Cell, Field
from quanmin.web.persons import tell_patient
from quanmin.web.questionnaires import around, opened, questionnaire_page, taken, transaction
from quanmin.web.route import Charge
from quanmin.web.tables import Heading, Table, searched, table
from quanmin.web.work_list import due_cell
from quanmin.workflow.forms import Form, answers, compile_form, label, words_of
from quanmin.workflow.notifiable import WORKFLOW, disease_of, fact, observation_days, told

_FOLDER: Final = Path(__file__).parent / "definitions"
CONTACT: Final = compile_form(json.loads((_FOLDER / "contact.json").read_text("utf-8")))
VISIT: Final = compile_form(json.loads((_FOLDER / "visit.json").read_text("utf-8")))
STAFF: Final = Access(
    frozenset({"public_health_worker"}),
    Charge(frozenset({"infection_report", "head"}), frozenset({"public_health_worker"})),
)
_PERSON: Final = "urn:uuid:00000000-0000-4000-8000-000000000001"
_ANSWERS: Final = "urn:uuid:00000000-0000-4000-8000-000000000002"
_EXPOSED: Final = "https://quanmin.example/fhir/workflow/infectious-contacts/exposed"


@table("/contacts", access=STAFF, name="contacts")
async def contacts(visit: Visit, records: DeclaredRecords) -> Table:
    """The contacts whom the visitor's institution observes, or has observed."""
    say, workflow, state = visit.say, records.workflow, visit.asked("state")
    if state and state not in workflow.states:
        raise Malformed(Sentence("a contact is %(known)s", known=", ".join(workflow.states)))
    pairs = [_cases(records), ("_include", "Task:patient")]
    if state:
        pairs.append(("business-status", f"{workflow.state_system}|{state}"))

    async def find(cursor: str | None, count: int) -> Hits:
        return await records.find("Task", *pairs, count=count, cursor=cursor)

    def rows(hits: Hits) -> Iterator[list[Cell]]:
        people = {f"{one.type}/{one.id}": decode(one.body or b"{}") for one in hits.included}
        for task, case in read_cases(hits, workflow, records.zone):
            subject = str((task.get("for") or {}).get("reference") or "")
            person = tell_patient(people.get(subject, {}), visit.language, visit.today)
            is_open, end = case.state == "observed", case.clocks.get("observation")
            due = round(end.timestamp()) * 1_000_000 if is_open and end else None
            visits = [event for event in case.history if event.step == "visit"]
            last = f"{visits[-1].at.astimezone(records.zone):%Y-%m-%d}" if visits else ""
            yield [
                Cell(person.name, f"/contacts/{task['id']}"),
                Cell(told(task, visit.language)),
                Cell(workflow.states[case.state].told(visit.language)),
                due_cell(visit, due, visit.house.guard.now()),
                Cell(last, is_number=True),
            ]

    words = (say("Name"), say("Disease"), say("State"), say("Until"), say("Last visit"))
    states = [(code, one.told(visit.language)) for code, one in workflow.states.items()]
    return Table(
        title=say("Close contacts"),
        headings=[Heading(one) for one in words],
        fetch=searched(find, rows),
        filters=[Field("state", say("State"), "select", state, [("", say("All")), *states])],
        empty=say("Nobody is listed."),
        actions=[(say("List a contact of a case"), "/contacts/cases")],
    )


@table("/contacts/cases", access=STAFF, name="contacts-cases")
async def cases(visit: Visit, records: DeclaredRecords) -> Table:
    """The reported cases of diseases whose contacts are observed."""
    say = visit.say

    async def find(cursor: str | None, count: int) -> Hits:
        code = ("code", f"{WORKFLOW}|infectious_report")
        return await records.find("Task", code, count=count, cursor=cursor)

    def rows(hits: Hits) -> Iterator[list[Cell]]:
        for task in (decode(stored.body or b"{}") for stored in hits.matches):
            days = observation_days(disease_of(task))
            link = f"/contacts/of/{task['id']}" if days else ""
            yield [
                Cell(told(task, visit.language), link),
                Cell(fact(task, "onset"), is_number=True),
                Cell(fact(task, "area")),
                Cell(str(days or ""), is_number=True),
            ]

    words = (say("Disease"), say("Onset"), say("Area"), say("Days of observation"))
    return Table(
        title=say("Cases whose contacts are observed"),
        headings=[Heading(one) for one in words],
        fetch=searched(find, rows),
        empty=say("No case was reported."),
    )


@page("/contacts/of/{case}", access=STAFF, methods=("GET", "POST"))
async def list_contact(visit: Visit, records: DeclaredRecords) -> Response:
    """A new contact of a case."""
    index = await records.resource("Task", visit.path("case"))
    disease = disease_of(index)
    if not disease:
        raise NotFound("there is no reported case with this id")
    known = around(visit)
    start = await opened(records, CONTACT, known, {"subject": {"reference": _PERSON}})
    if visit.request.method == "GET":
        return questionnaire_page(visit, start, back="/contacts/cases")
    answered = taken(visit, CONTACT, known, start.response())
    response = {**answered.filling.response(), "status": "completed"}
    said, days = answers(response), observation_days(disease)
    exposed = date.fromisoformat(said["exposed"]) if said.get("exposed") else None
    facts = {"days": days, **({"exposed": exposed} if exposed else {})}
    again = await refused(visit, records, answered, "list", facts, back="/contacts/cases")
    if again is not None or exposed is None:
        return again or questionnaire_page(visit, answered.filling, back="/contacts/cases")
    (entry,) = transaction(answered.filling, response)["entry"]
    person = {"resource": _patient(said), "fullUrl": _PERSON,
              "request": {"method": "POST", "url": "Patient"}}  # fmt: skip
    # The last day is a whole one.
    last = datetime.combine(exposed + timedelta(days=days + 1), time(), records.zone)
    task = await begin(
        visit,
        records,
        "list",
        facts=facts,
        recorded=[person, {**entry, "fullUrl": _ANSWERS}],
        head={
            "for": {"reference": _PERSON},
            "basedOn": [{"reference": f"Task/{index['id']}"}],
            "focus": {"reference": _ANSWERS},
            "reasonCode": index["reasonCode"],
            "input": [{"type": {"coding": [{"system": _EXPOSED, "code": "last"}]},
                       "valueDate": said["exposed"]}],
        },
        clocks={"observation": last},
    )  # fmt: skip
    return visit.go(f"/contacts/{task.id}")


@page("/contacts/{id}", access=STAFF, methods=("GET", "POST"))
async def contact(visit: Visit, records: DeclaredRecords) -> Response:
    """A contact: who it is, what the visits found, the steps that lead on."""
    id_ = visit.path("id")
    task = await records.resource("Task", id_)
    facts = {"days": observation_days(disease_of(task)), "exposed": _exposed(task)}
    case = await open_case(visit, records, id_, **facts)
    if visit.request.method == "POST":
        await case.take(visit.sent.get("step", ""), words=visit.sent.get("words", ""))
        return visit.go(f"/contacts/{id_}")
    visits = [
        str((one.get("valueReference") or {}).get("reference") or "")
        for one in task.get("output") or ()
        if any(coding.get("code") == "visit" for coding in one["type"].get("coding") or ())
    ]
    found = [await records.resource(*one.split("/", 1)) for one in visits]
    type_, _, own_id = str((task.get("focus") or {}).get("reference") or "").partition("/")
    own = await records.resource(type_ or "Task", own_id)
    return visit.page(
        "infectious_contacts/contact.html",
        case=case,
        title=told(task, visit.language),
        lines=_lines(visit, CONTACT, own),
        visits=[
            (visit.reader.date(str(one.get("authored") or "")), _lines(visit, VISIT, one))
            for one in found
        ],
        links={"visit": f"/contacts/{id_}/visit"},
    )


@page("/contacts/{id}/visit", access=STAFF, methods=("GET", "POST"))
async def visited(visit: Visit, records: DeclaredRecords) -> Response:
    """A visit of a day."""
    id_, known = visit.path("id"), around(visit)
    case = await open_case(visit, records, id_)
    subject = {"subject": case.case.task.get("for")}
    start = await opened(records, VISIT, known, subject)
    back = f"/contacts/{id_}"
    if visit.request.method == "GET":
        return questionnaire_page(visit, start, back=back)
    answered = taken(visit, VISIT, known, start.response())
    again = await refused(visit, records, answered, "visit", {}, back=back, case=case.case)
    if again is not None:
        return again
    moment = (await asking(visit)).moment.isoformat(timespec="seconds")
    response = {**answered.filling.response(), "status": "completed", "authored": moment}
    (entry,) = transaction(answered.filling, response)["entry"]
    await case.take("visit", recorded=[{**entry, "fullUrl": _ANSWERS}])
    return visit.go(back)


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """The contacts under observation."""
    state = ("business-status", f"{records.workflow.state_system}|observed")
    most = visit.house.settings.work_count_max + 1
    hits = await records.find("Task", _cases(records), state, count=most)
    words, number = visit.say("Close contacts under observation"), len(hits.matches)
    return [Work(words=words, link="/contacts?state=observed", number=number)]


def _cases(records: DeclaredRecords) -> tuple[str, str]:
    return "code", f"{records.workflow.head.url}|{records.workflow.name}"


def _exposed(task: Json) -> date:
    """The last day of contact."""
    said = (one.get("valueDate") for one in task.get("input") or ())
    try:
        return date.fromisoformat(str(next(filter(None, said), "")))
    except ValueError:
        raise NotFound("this Task is no contact who is observed") from None


def _patient(said: Json) -> Json:
    """The registration of a contact, by what was filled in."""
    found = {
        "resourceType": "Patient",
        "name": [{"text": said.get("name")}],
        "gender": (said.get("sex") or {}).get("code"),
        "birthDate": said.get("birth"),
        "identifier": [{"value": said["document"]}] if said.get("document") else None,
        "telecom": [{"system": "phone", "value": said.get("phone")}],
        "address": [{"text": said.get("address")}],
    }
    return {name: value for name, value in found.items() if value}


def _lines(visit: Visit, form: Form, response: Json) -> list[tuple[str, str]]:
    said = words_of(form, response, visit.language, visit.house.settings.zone)
    return [(label(form, link, visit.language), text) for link, text in said.items()]


PAGES: Final = (*contacts, *cases, list_contact, visited, contact)
