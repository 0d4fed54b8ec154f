"""What doctors of an institution have diagnosed lately and the law has reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from quanmin.fhir.dates import row_text
from quanmin.fhir.json import decode
from quanmin.trust import Hits
from quanmin.web import Access, DeclaredRecords, Visit
from quanmin.web.forms import Cell
from quanmin.web.persons import tell_patient
from quanmin.web.tables import Heading, Table, searched, table
from quanmin.workflow.notifiable import diagnosis, diseases, state_of

DOCTORS: Final = Access(frozenset({"doctor"}))
_REPORTABLE: Final = "urn:quanmin:reportable|infectious"
# For so long a diagnosis is listed: past it every card is late, whatever its disease.
_DAYS: Final = 7


@table("/notifiable", access=DOCTORS, name="notifiable-diagnoses")
async def diagnoses(visit: Visit, records: DeclaredRecords) -> Table:
    """The notifiable diagnoses of the last days, each with whether it has a card."""
    say = visit.say
    now = datetime.fromtimestamp(visit.house.guard.now() / 1e6, records.zone)
    pairs = (
        ("recorded-date", f"ge{now - timedelta(days=_DAYS):%Y-%m-%d}"),
        ("_include", "Condition:subject"),
        ("_revinclude", "Task:based-on"),
    )

    async def find(cursor: str | None, count: int) -> Hits:
        return await records.find(
            "Condition", *pairs, labelled=_REPORTABLE, count=count, cursor=cursor
        )

    def rows(hits: Hits) -> Iterator[list[Cell]]:
        included = [(one.type, one.id, decode(one.body or b"{}")) for one in hits.included]
        people = {f"{type_}/{id_}": body for type_, id_, body in included}
        # A card that was withdrawn reports nothing.
        done = {one["reference"]: id_ for type_, id_, body in included
                if type_ == "Task" and state_of(body) != "withdrawn"
                for one in body.get("basedOn") or ()}  # fmt: skip
        for stored in hits.matches:
            condition = decode(stored.body or b"{}")
            subject = str((condition.get("subject") or {}).get("reference") or "")
            made = diagnosis(condition, visit.today, records.zone)
            if not made:
                continue
            disease = diseases()[made["disease"]["code"]]
            card = done.get(f"Condition/{stored.id}")
            link = f"/infectious/of/{subject.removeprefix('Patient/')}?diagnosis={stored.id}"
            patient = tell_patient(people.get(subject, {}), visit.language, visit.today)
            yield [
                Cell(disease.told(visit.language), f"/infectious/{card}" if card else link),
                Cell(patient.name),
                Cell(row_text(str(condition.get("recordedDate") or ""), records.zone)),
                Cell(say("Reported") if card else say("To be reported")),
            ]

    words = (say("Disease"), say("Name"), say("Diagnosed"), say("State"))
    return Table(
        title=say("Diagnoses to be reported"),
        lead=say("Notifiable diagnoses of the last seven days at your institution."),
        headings=[Heading(one) for one in words],
        fetch=searched(find, rows),
        empty=say("No diagnosis waits for a card."),
        actions=[(say("Suspected cases"), "/notifiable/suspected")],
    )


PAGES: Final = diagnoses
