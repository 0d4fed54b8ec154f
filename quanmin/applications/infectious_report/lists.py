"""The list of cards with where each stands, and what of them waits for whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from quanmin.applications.infectious_report.entering import CENTRE, EVERYBODY, STAFF
from quanmin.base.problems import Malformed, Sentence
from quanmin.fhir.json import decode
from quanmin.trust import Hits
from quanmin.web import DeclaredRecords, Visit, Work
from quanmin.web.cases import asking, read_cases
from quanmin.web.forms import Cell, Field
from quanmin.web.institutions import code_of
from quanmin.web.tables import Heading, Table, searched, table
from quanmin.web.work_list import due_cell
from quanmin.workflow.forms import answers
from quanmin.workflow.notifiable import ADDRESSED, card_of, fact, receipt_of, told

_WAITING: Final = {
    "doctor": ("entered", "returned"),
    "nurse": ("entered",),
    "public_health_worker": ("entered",),
}
# A centre does not check what hospitals have entered.
_REVIEWS: Final = ("reported", "handed_over")
_CLOCKS: Final = {"entered": "report", "returned": "report", "reported": "review"}


async def _cases(visit: Visit, records: DeclaredRecords, state: str) -> list[tuple[str, str]]:
    """The search for the cards of the visitor's institution, or of a resident."""
    actor, workflow = (await asking(visit)).actor, records.workflow
    found = [("code", f"{workflow.head.url}|{workflow.name}")]
    if STAFF.admits(actor.role):
        found.append(("_security", f"{ADDRESSED}|{code_of(actor)}"))
    if state and state not in workflow.states:
        raise Malformed(Sentence("a card is %(known)s", known=", ".join(workflow.states)))
    if state:
        found.append(("business-status", f"{workflow.state_system}|{state}"))
    return found


@table("/infectious", access=EVERYBODY, name="infectious-cards")
async def cards(visit: Visit, records: DeclaredRecords) -> Table:
    """The cards that are addressed to the visitor's institution, or are of a resident."""
    say, workflow, language = visit.say, records.workflow, visit.language
    is_staff = visit.actor is not None and STAFF.admits(visit.actor.role)
    is_worker = visit.actor is not None and visit.actor.role == "public_health_worker"
    state = visit.asked("state")
    cases = await _cases(visit, records, state)

    async def find(cursor: str | None, count: int) -> Hits:
        pairs = (*cases, ("_include", "Task:focus"))
        return await records.find("Task", *pairs, count=count, cursor=cursor)

    def rows(hits: Hits) -> Iterator[list[Cell]]:
        said = {f"{one.type}/{one.id}": decode(one.body or b"{}") for one in hits.included}
        for task, case in read_cases(hits, workflow, records.zone):
            end = case.clocks.get(_CLOCKS.get(case.state, ""))
            due = None if end is None else round(end.timestamp()) * 1_000_000
            name = answers(said.get(card_of(task), {})).get("name")
            is_urgent = task.get("priority") == "stat"
            yield [
                Cell(told(task, language), f"/infectious/{task['id']}",
                     tag=say("Within 2 h") if is_urgent else "", is_warning=is_urgent),
                Cell(str(name or "")),
                Cell(workflow.states[case.state].told(language)),
                due_cell(visit, due, visit.house.guard.now()),
                Cell(fact(task, "onset"), is_number=True),
                Cell((task.get("owner") or {}).get("display", "")),
                Cell(receipt_of(task)),
            ]  # fmt: skip

    words = (say("Disease"), say("Name"), say("State"), say("Due"), say("Onset"), say("With"))
    states = [(code, one.told(language)) for code, one in workflow.states.items()]
    return Table(
        title=say("Report cards of infectious diseases"),
        lead="" if is_staff else say("The law has them reported and asks no consent for it."),
        headings=[Heading(one) for one in (*words, say("Receipt"))],
        fetch=searched(find, rows),
        filters=[Field("state", say("State"), "select", state, [("", say("All")), *states])],
        empty=say("There is no such card."),
        actions=[(say("Enter a card at a port"), "/infectious/port")] if is_worker else [],
    )


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Cards that wait for somebody at the visitor's institution, by state."""
    actor, found = (await asking(visit)).actor, []
    most, title = visit.house.settings.work_count_max + 1, visit.say("Report cards")
    waiting = _REVIEWS if actor.place.kind == CENTRE else _WAITING.get(actor.role, ())
    for state in waiting:
        hits = await records.find("Task", *await _cases(visit, records, state), count=most)
        said = f"{title}{visit.colon}{records.workflow.states[state].told(visit.language)}"
        found.append(Work(words=said, link=f"/infectious?state={state}", number=len(hits.matches)))
    return found


PAGES: Final = cards
