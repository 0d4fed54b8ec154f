"""A case as it goes on: visits are judged and lead on, a referral is answered."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from starlette.responses import Response

from quanmin.applications.chronic_followup.enrolling import CLOSING
from quanmin.fhir.json import Json
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.cases import asking, open_case, refused
from quanmin.web.chronic import (
    CASES,
    HOME,
    STAFF,
    born_on,
    is_mine,
    is_staff,
    read_known,
    responsible,
    taking_back_the_end,
    visited,
)
from quanmin.web.chronic_visits import (
    PLACES,
    facts_of_case,
    facts_of_visit,
    head_of,
    last_answers,
    record,
    step_of,
    taken_along,
)
from quanmin.web.filling import answered, form_in
from quanmin.web.forms import Cell
from quanmin.web.heads import find_person
from quanmin.web.institutions import code_of, owner_of
from quanmin.web.offline import offline_pages
from quanmin.workflow import chronic
from quanmin.workflow.chronic import DISEASES, disease_of, word

HERE: Final = Path(__file__).parent


@page(f"{HOME}/case/{{id}}/visit", access=STAFF, methods=("GET", "POST"))
async def record_visit(visit: Visit, records: DeclaredRecords) -> Response:
    """A visit: judged by the norm, and stored with what follows from it."""
    id_ = visit.path("id")
    case = await open_case(visit, records, id_)
    task, disease = case.case.task, disease_of(case.case.task)
    patient, back = chronic.patient_of(task), f"{HOME}/case/{id_}"
    born = born_on(await records.resource("Patient", patient))
    sent, shown = await answered(
        visit, records, form_in(HERE, f"{disease}-visit"), patient, back=back
    )
    if sent is None:
        return shown
    made = visited(sent, task, born, (await asking(visit)).moment.date())
    step, facts = step_of(case, made.measure), facts_of_visit(task, born, made)
    again = await refused(
        visit, records, sent, step, facts, back=back, case=case.case, places=PLACES
    )
    if again is not None:
        return again
    await record(visit, records, case.knowing(**facts), step, made)
    return visit.go(back)


# ---- a case --------------------------------------------------------------------------------------


@page(f"{HOME}/case/{{id}}", access=CASES, methods=("GET", "POST"))
async def show_case(visit: Visit, records: DeclaredRecords) -> Response:
    """A case: what the visits came to, and the steps that lead on."""
    id_, asked = visit.path("id"), await asking(visit)
    task = await records.resource("Task", id_)
    facts = {
        **facts_of_case(task),
        # A visit is judged when it is entered: its step is open before there is one.
        "measure": "",
        "on": asked.moment.date(),
        "born": date.min,
        "is_told": False,
        "closed": asked.moment.date(),
        "is_there": owner_of(task) in {"", code_of(asked.actor)},
        "is_referred_here": bool(owner_of(task)) and owner_of(task) == code_of(asked.actor),
        "is_mine": is_mine(visit, records, task),
        "has_visit": bool(chronic.visits_of(task)),
        "falls": False,
        "has_case": await _has_another(visit, records, task),
    }
    case = await open_case(visit, records, id_, **facts)
    if visit.request.method == "POST":
        step = visit.sent.get("step", "")
        head, _ = await head_of(visit, records, step)
        recorded: list[Json] = []
        if step == "reopen":
            recorded, head = await taking_back_the_end(records, task)
        words = visit.sent.get("words", "")
        await case.take(step, words=words, head=head, recorded=recorded)
        return visit.go(visit.request.url.path)
    disease = disease_of(case.case.task)
    return visit.page(
        "chronic_followup/case.html",
        person=await find_person(visit, records, chronic.patient_of(task)),
        name=str((task.get("for") or {}).get("display") or ""),
        case=case,
        disease=word("disease", disease, visit.language),
        stratum=_word(visit, "stratum", chronic.fact_of(task, "stratum")),
        measure=_word(visit, "measure", chronic.fact_of(task, "measure")),
        owner=str((task.get("owner") or {}).get("display") or ""),
        responsible=responsible(records, task),
        visits=[_visit_row(visit, one) for one in reversed(chronic.visits_of(task))],
        mistaken=[one.on.isoformat() for one in chronic.visits_of(task, mistaken=True)],
        last=await last_answers(visit, records, FORMS[disease], task),
        links={
            **dict.fromkeys(("visit", "check"), f"{HOME}/case/{id_}/visit"),
            **dict.fromkeys(CLOSING, f"{HOME}/case/{id_}/closing"),
            "take_back": f"{HOME}/case/{id_}/error",
        },
    )


async def _has_another(visit: Visit, records: DeclaredRecords, task: Json) -> bool:
    """Whether another case of the disease is open: asked of a closed one, which it may not join."""
    if chronic.state_of(task) not in chronic.ENDED or not is_staff(visit):
        return False
    known = await read_known(visit, records, chronic.patient_of(task))
    return known.open_case(disease_of(task)) is not None


def _word(visit: Visit, kind: str, code: str) -> str:
    return word(kind, code, visit.language) if code else ""


def _visit_row(visit: Visit, one: chronic.Seen) -> list[Cell]:
    is_good = one.result == "satisfied"
    return [
        Cell(one.on.isoformat(), is_number=True),
        Cell(word("result", one.result, visit.language)),
        Cell(visit.say("yes") if one.is_on_target else visit.say("no"),
             tag="" if is_good else visit.say("look at it"), is_warning=True),
    ]  # fmt: skip


FORMS: Final = {one: form_in(HERE, f"{one}-visit") for one in DISEASES}
PAGES: Final[tuple[Page, ...]] = (record_visit, show_case, *offline_pages(taken_along(FORMS)))
