"""The cases of an institution, those that are referred to it among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quanmin.base.problems import Malformed, Sentence
from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.web import DeclaredRecords, Visit, Work
from quanmin.web.chronic import (
    CASES,
    HOME,
    asked_disease,
    case_cells,
    case_headings,
    disease_pair,
    diseases,
    is_mine,
    is_staff,
    responsible,
)
from quanmin.web.forms import Cell, Field
from quanmin.web.searches import searched
from quanmin.web.tables import Heading, Table, table
from quanmin.workflow.chronic import CODE

_CASES: Final = f"{HOME}/patients"


@table(_CASES, access=CASES, name="chronic-patients")
async def patients(visit: Visit, records: DeclaredRecords) -> Table:
    """The cases of the visitor's institution, and those that are referred to it."""
    say, workflow, state = visit.say, records.workflow, visit.asked("state")
    if state and state not in workflow.states:
        raise Malformed(Sentence("a case is %(known)s", known=", ".join(workflow.states)))
    whose = visit.asked("whose")
    if whose not in {"", "mine"}:
        raise Malformed("whose is mine, or left out")
    asked = [("code", CODE)]
    if visit.asked("disease"):
        asked.append(disease_pair(asked_disease(visit)))
    if state:
        asked.append(("business-status", f"{workflow.state_system}|{state}"))

    async def made(found: Sequence[Stored]) -> list[list[Cell] | None]:
        tasks = [decode(one.body or b"{}") for one in found]
        return [
            [
                *case_cells(visit, one),
                Cell(told.name if (told := responsible(records, one)) else ""),
                Cell(str((one.get("owner") or {}).get("display") or "")),
            ]
            if whose != "mine" or is_mine(visit, records, one)
            else None
            for one in tasks
        ]

    states = [(code, one.told(visit.language)) for code, one in workflow.states.items()]
    return Table(
        title=say("Patients who are followed up"),
        headings=[Heading(one) for one in (*case_headings(visit), say("Responsible"), say("With"))],
        fetch=searched(visit, records, "Task", asked, made),
        filters=[
            Field("disease", say("Disease"), "select", visit.asked("disease"),
                  [("", say("all")), *diseases(visit)]),
            Field("whose", say("Whose"), "select", whose,
                  [("", say("all")), ("mine", say("those I am responsible for"))]),
            Field("state", say("State"), "select", state, [("", say("all")), *states]),
        ],
        empty=say("Nobody is followed up."),
        actions=[
            (say("Rates of a year"), f"{HOME}/rates"),
            (say("Take along"), f"{HOME}/offline"),
        ]
        if is_staff(visit)
        else [],
    )  # fmt: skip


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """The referrals that wait, at whoever sent them and at the hospital."""
    most = visit.house.settings.work_count_max + 1
    state = ("business-status", f"{records.workflow.state_system}|referred")
    hits = await records.find("Task", ("code", CODE), state, count=most)
    words = visit.say("Patients with a chronic disease who are referred")
    return [Work(words=words, link=f"{_CASES}?state=referred", number=len(hits.matches))]


PAGES: Final = patients
