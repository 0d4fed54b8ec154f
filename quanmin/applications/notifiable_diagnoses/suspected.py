"""Suspected cases that are to be confirmed or excluded, and which of them came again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from quanmin.fhir.dates import row_text
from quanmin.fhir.json import Json, decode
from quanmin.trust import Stored
from quanmin.web import Access, DeclaredRecords, Visit
from quanmin.web.cases import asking
from quanmin.web.dates import from_micros, short_fhir
from quanmin.web.forms import Cell
from quanmin.web.institutions import code_of
from quanmin.web.persons import tell_patient
from quanmin.web.searches import searched
from quanmin.web.tables import Heading, Table, table
from quanmin.workflow.notifiable import ADDRESSED, WORKFLOW, fact, state_of, suspected_days, told

DOCTORS: Final = Access(frozenset({"doctor"}))
SUSPECTED: Final = "/notifiable/suspected"
_OPEN: Final = frozenset({"reported", "confirmed"})
_PORTION: Final = 200
_SECOND: Final = 1_000_000


@table(SUSPECTED, access=DOCTORS, name="suspected-cases")
async def suspected(visit: Visit, records: DeclaredRecords) -> Table:
    """The suspected cases of the doctor's institution; of one seen again the doctor is asked to
    confirm or exclude it, on its card.
    """
    say = visit.say
    now = from_micros(visit.house.guard.now(), records.zone)
    asked = [
        ("code", f"{WORKFLOW}|infectious_report"),
        ("_security", f"{ADDRESSED}|{code_of((await asking(visit)).actor)}"),
        ("authored-on", f"ge{now - timedelta(days=suspected_days()):%Y-%m-%d}"),
    ]

    async def made(found: Sequence[Stored]) -> list[list[Cell] | None]:
        tasks = [decode(one.body or b"{}") for one in found]
        meant = [one for one in tasks if _is_meant(one)]
        people = await _people(records, meant)
        seen = await _seen(records, meant)
        return [
            _cells(visit, one, people.get(_patient(one), {}), seen) if _is_meant(one) else None
            for one in tasks
        ]

    words = (say("Disease"), say("Name"), say("Reported"), say("Seen again"))
    return Table(
        title=say("Suspected cases"),
        lead=say("Reported as suspected in the last %(days)s days: who comes again is to be "
                 "confirmed or excluded on the card.") % {"days": suspected_days()},
        headings=[Heading(one) for one in words],
        fetch=searched(visit, records, "Task", asked, made),
        empty=say("No suspected case is open."),
        actions=[(say("Diagnoses to be reported"), "/notifiable")],
    )  # fmt: skip


def _is_meant(task: Json) -> bool:
    return fact(task, "class") == "suspected" and state_of(task) in _OPEN and bool(_sent(task))


def _sent(task: Json) -> str:
    return fact(task, "sent")


def _patient(task: Json) -> str:
    return str((task.get("for") or {}).get("reference") or "")


async def _people(records: DeclaredRecords, tasks: Sequence[Json]) -> dict[str, Json]:
    ids = sorted({_patient(one).removeprefix("Patient/") for one in tasks} - {""})
    if not ids:
        return {}
    hits = await records.find("Patient", ("_id", ",".join(ids)), count=len(ids))
    return {f"Patient/{one.id}": decode(one.body or b"{}") for one in hits.matches}


async def _seen(records: DeclaredRecords, tasks: Sequence[Json]) -> dict[str, int]:
    """When each patient was seen last, since the first of these cards was sent (microseconds)."""
    if not tasks:
        return {}
    ids = ",".join(sorted({_patient(one) for one in tasks}))
    since = min(short_fhir(_sent(one), records.zone) for one in tasks)
    asked = (("patient", ids), ("date", f"ge{since}"), ("_sort", "-date"))
    found: dict[str, int] = {}
    cursor: str | None = None
    while True:
        hits = await records.find("Encounter", *asked, count=_PORTION, cursor=cursor)
        for one in hits.matches:
            subject = decode(one.body or b"{}").get("subject", {}).get("reference", "")
            found[subject] = max(found.get(subject, 0), one.facts.time or 0)
        cursor = hits.next
        if cursor is None:
            return found


def _cells(visit: Visit, task: Json, patient: Json, seen: dict[str, int]) -> list[Cell]:
    sent, last = _sent(task), seen.get(_patient(task), 0)
    is_again = last > datetime.fromisoformat(sent).timestamp() * _SECOND
    person = tell_patient(patient, visit.language, visit.today)
    return [
        Cell(told(task, visit.language), f"/infectious/{task['id']}"),
        Cell(person.name),
        Cell(row_text(sent, visit.house.settings.zone), is_number=True),
        Cell(visit.moment(last) if is_again else "",
             tag=visit.say("confirm or exclude") if is_again else "", is_warning=is_again),
    ]  # fmt: skip


PAGES: Final = suspected
