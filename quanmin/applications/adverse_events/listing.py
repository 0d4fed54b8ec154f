"""The list of adverse events, and how many wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quanmin.applications.adverse_events.pages import EVENTS, STAFF, chosen
from quanmin.base.problems import Invalid, Sentence
from quanmin.fhir.json import Json, decode
from quanmin.trust import Stored
from quanmin.web import DeclaredRecords, Page, Visit, Work
from quanmin.web.dates import short_fhir
from quanmin.web.forms import Cell, Field
from quanmin.web.institutions import sender_words
from quanmin.web.searches import searched
from quanmin.web.tables import Heading, Table, table


def _code(records: DeclaredRecords) -> tuple[str, str]:
    workflow = records.workflow
    return "code", f"{workflow.head.url}|{workflow.name}"


@table(EVENTS, access=STAFF, name="adverse-events")
async def cases(visit: Visit, records: DeclaredRecords) -> Table:
    """The cases that are seen here, the newest first, in a state or in any."""
    say, states, state = visit.say, records.workflow.states, visit.asked("state")
    if state and state not in states:
        raise Invalid(Sentence("there is no state %(state)s: choose one of the list", state=state))
    asked = [_code(records), ("_sort", "-_lastUpdated")]
    asked += [("business-status", state)] if state else []

    async def made(found: Sequence[Stored]) -> list[list[Cell] | None]:
        senders = await sender_words(visit, records, found)
        return [_cells(visit, records, one, senders) for one in found]

    offered = [("", say("any")), *((one.code, one.told(visit.language)) for one in states.values())]
    return Table(
        title=say("Adverse events after vaccination"),
        headings=[
            Heading(one)
            for one in (
                say("Person"),
                say("What it is"),
                say("Reported"),
                say("State"),
                say("Institution"),
            )
        ],
        fetch=searched(visit, records, "Task", asked, made),
        filters=[Field("state", say("State"), "select", state, offered)],
        empty=say("A report begins on the vaccination page of a person."),
    )


def _cells(
    visit: Visit, records: DeclaredRecords, stored: Stored, senders: dict[int, str]
) -> list[Cell]:
    task = decode(stored.body or b"{}")
    state = records.workflow.states.get(_state(task))
    is_urgent = _state(task) == "urgent"
    name = str(task["for"].get("display") or "") or "–"
    sender = str(task.get("requester", {}).get("display") or "")
    return [
        Cell(name, f"{EVENTS}/{stored.id}"),
        Cell(chosen(visit, task.get("reasonCode"))),
        Cell(short_fhir(task.get("executionPeriod", {}).get("start", ""), records.zone)),
        Cell(state.told(visit.language) if state else "",
             tag=visit.say("urgent") if is_urgent else "", is_warning=is_urgent),
        Cell(sender or senders.get(stored.facts.sender, "")),
    ]  # fmt: skip


def _state(task: Json) -> str:
    codings = task.get("businessStatus", {}).get("coding", [])
    return str(codings[0].get("code", "")) if codings else ""


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Cases that are to be investigated."""
    most = visit.house.settings.work_count_max + 1
    found: dict[str, int] = {}
    for state in ("reported", "urgent"):
        hits = await records.find("Task", _code(records), ("business-status", state), count=most)
        found[state] = len(hits.matches)
    return [
        Work(words=visit.say("adverse events to investigate"), link=f"{EVENTS}?state=reported",
             number=found["reported"]),
        Work(words=visit.say("urgent adverse events to investigate"), link=f"{EVENTS}?state=urgent",
             number=found["urgent"]),
    ]  # fmt: skip


PAGES: Final[tuple[Page, ...]] = (*cases,)
