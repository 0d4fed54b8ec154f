"""One visit in words, the emergencies, and the case of one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.mental_health.keeping import HERE, judged
from quanmin.applications.mental_health.rules import is_in_time
from quanmin.base.problems import Malformed, NotFound, Sentence
from quanmin.fhir.json import Json
from quanmin.trust import Hits
from quanmin.web import DeclaredRecords, Visit, Work, page
from quanmin.web.cases import open_case, read_cases
from quanmin.web.filling import form_in
from quanmin.web.forms import Cell, Field
from quanmin.web.mental_health import HOME, READING, STAFF, Kept, read_kept, stating
from quanmin.web.tables import Heading, Table, searched, table
from quanmin.web.work_list import due_cell
from quanmin.workflow.forms import answers, label, words_of
from quanmin.workflow.mental import class_of, number, recorded_at, sheet_of, visited_on
from quanmin.workflow.states import Case

EMERGENCIES: Final = f"{HOME}/emergencies"
_FORMS: Final = ("mental-visit", "mental-registration", "mental-end")


@page(f"{HOME}/of/{{patient}}/sheets/{{id}}", access=READING)
async def sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """What was filled in at a visit, in words, with why its class is as it is."""
    patient, workflow, records = visit.path("patient"), records.workflow, stating(visit, records)
    kept = await read_kept(visit, records, patient)
    response = await records.resource("QuestionnaireResponse", visit.path("id"))
    name = str(response.get("questionnaire", "")).partition("|")[0].rpartition("/")[2]
    subject = str((response.get("subject") or {}).get("reference", ""))
    theirs = {f"Patient/{one.id}" for one in kept.person.registrations}
    if name not in _FORMS or subject not in theirs:
        raise NotFound("there is no sheet of this follow-up with this id")
    form, language = form_in(HERE, name), visit.language
    reasons = judged(answers(response)).reasons if name == "mental-visit" else ()
    said = words_of(form, response, language, visit.house.settings.zone)
    return visit.page(
        "mental_health/sheet.html",
        person=kept.person,
        back=f"{HOME}/of/{patient}",
        title=form.title.told(language),
        lines=[(label(form, link, language), text) for link, text in said.items()],
        reasons=[workflow.told(one, language) for one in reasons],
    )


@table(EMERGENCIES, access=STAFF, name="mental-health-emergencies")
async def emergencies(visit: Visit, records: DeclaredRecords) -> Table:
    """The emergencies that were reported, in a state or in any."""
    say, workflow, state = visit.say, records.workflow, visit.asked("state")
    if state and state not in workflow.states:
        raise Malformed(Sentence("an emergency is %(known)s", known=", ".join(workflow.states)))
    pairs = [("code", f"{workflow.head.url}|{workflow.name}")]
    pairs += [("business-status", f"{workflow.state_system}|{state}")] if state else []

    async def find(cursor: str | None, count: int) -> Hits:
        return await records.find("Task", *pairs, count=count, cursor=cursor)

    def rows(hits: Hits) -> Iterator[list[Cell]]:
        for task, case in read_cases(hits, workflow, records.zone):
            end = None if workflow.states[case.state].final else case.due
            at = None if end is None else round(end.timestamp()) * 1_000_000
            name = str((task.get("for") or {}).get("display") or say("without a name"))
            yield [
                Cell(name, f"{EMERGENCIES}/{task['id']}"),
                Cell(workflow.states[case.state].told(visit.language)),
                Cell(f"{case.begun.astimezone(records.zone):%Y-%m-%d %H:%M}", is_number=True),
                due_cell(visit, at, visit.house.guard.now()),
            ]

    words = (say("Name of the person"), say("State"), say("Reported at"), say("Time limit"))
    states = [(code, one.told(visit.language)) for code, one in workflow.states.items()]
    return Table(
        title=say("Emergencies of severe mental disorders"),
        headings=[Heading(one) for one in words],
        fetch=searched(find, rows),
        filters=[Field("state", say("State"), "select", state, [("", say("all")), *states])],
        empty=say("No emergency was reported: a visit that finds one begins its case."),
        actions=[(say("Register of severe mental disorders"), HOME)],
    )


@page(f"{EMERGENCIES}/{{id}}", access=STAFF, methods=("GET", "POST"))
async def emergency(visit: Visit, records: DeclaredRecords) -> Response:
    """An emergency: where it stands, what is to be done, and what the visits since have found."""
    id_ = visit.path("id")
    bare = (await open_case(visit, records, id_)).case
    patient = str((bare.task.get("for") or {}).get("reference", "")).removeprefix("Patient/")
    kept = await read_kept(visit, records, patient)
    case = await open_case(visit, records, id_, **await _facts(records, kept, bare))
    if visit.request.method == "POST":
        await case.take(visit.sent.get("step", ""), words=visit.sent.get("words", ""))
        return visit.go(f"{EMERGENCIES}/{id_}")
    hours = number("inform_hours")
    told = [one.at for one in bare.history if one.step == "inform"]
    return visit.page(
        "mental_health/emergency.html",
        person=kept.person,
        case=case,
        is_late=any(not _in_time(bare, at, hours) for at in told),
        hours=hours,
        back=f"{HOME}/of/{patient}",
        visits=kept.told(visit.language)[:3],
    )


def _in_time(case: Case, informed: datetime, hours: int) -> bool:
    return is_in_time(found=case.begun, informed=informed, hours=hours).allowed


async def _facts(records: DeclaredRecords, kept: Kept, case: Case) -> dict[str, Any]:
    """What the rules ask of an emergency: when it was handled, and what the last visit found."""
    handled = [one.at for one in case.history if one.step == "handle"]
    last: Json = next(iter(kept.visits), {})
    said: dict[str, Any] = {}
    if sheet_of(last):
        said = answers(await records.resource("QuestionnaireResponse", sheet_of(last)))
    return {
        "handled": max(handled, default=case.begun).astimezone(records.zone),
        "on": visited_on(last) or date.min,
        "recorded": recorded_at(last) if last else case.begun,
        "followed": kept.plan is not None,
        "unstable": class_of(last) == "unstable",
        "in_hospital": (said.get("stay") or {}).get("code") == "inside",
    }


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Emergencies of which police or hospital are still to be told."""
    is_open = visit.actor and visit.standing and STAFF.opens_to(visit.actor, visit.standing)
    if not is_open:
        return []
    workflow, most = records.workflow, visit.house.settings.work_count_max + 1
    code = ("code", f"{workflow.head.url}|{workflow.name}")
    state = ("business-status", f"{workflow.state_system}|reported")
    hits = await records.find("Task", code, state, count=most)
    words = visit.say("Emergencies of which police or hospital are to be told")
    link = f"{EMERGENCIES}?state=reported"
    return [Work(words=words, link=link, number=len(hits.matches))]


PAGES: Final[tuple[Any, ...]] = (sheet, *emergencies, emergency)
