"""A person's vaccination page: found by identity number; what was given, what is due and why."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from starlette.responses import Response

from quanmin.applications.immunization.rules import first_dose_in_time
from quanmin.fhir.json import Json, decode
from quanmin.trust import Role
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.heads import Person, read_person
from quanmin.web.institutions import sender_words
from quanmin.web.person_box import person_box
from quanmin.web.route import Charge
from quanmin.web.stocks import name_of
from quanmin.workflow.plans import Facts, FactTable, compile_facts, facts_of
from quanmin.workflow.vaccination import (
    birth_and_first_dose,
    finding_of,
    given,
    is_given,
    line,
    standings,
    word,
)

HERE: Final = Path(__file__).parent
VACCINATORS: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
OWN: Final[frozenset[Role]] = frozenset({"resident", "guardian"})
STAFF: Final = Access(VACCINATORS, Charge(frozenset({"immunization"}), VACCINATORS))
FINDING: Final = Access(
    VACCINATORS | OWN, Charge(frozenset({"immunization", "school_entry"}), VACCINATORS)
)
READING: Final = Access(VACCINATORS | OWN, Charge(frozenset({"immunization"}), VACCINATORS))
_PURPOSES: Final = {"resident": "PATRQT", "guardian": "FAMRQT"}


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A person as the schedule sees them: `known` is None without a whole date of birth; `places`
    tells of each dose where it was given, `taken` are the ids of all, mistaken ones among them.
    """

    person: Person
    patient: Json
    doses: tuple[Json, ...]
    taken: frozenset[str]
    flags: tuple[Json, ...]
    places: dict[str, str]
    known: Facts | None


def stating(visit: Visit, records: DeclaredRecords) -> DeclaredRecords:
    """The records for what the visitor's role asks them for."""
    purpose = _PURPOSES.get(visit.actor.role if visit.actor else "")
    return records.stating(purpose) if purpose else records


def is_staff(visit: Visit) -> bool:
    """Whether the visitor gives vaccines, and does not read of themselves."""
    return visit.actor is not None and visit.actor.role in VACCINATORS


@cache
def table() -> FactTable:
    """What tells the schedule of a person."""
    return compile_facts(tomllib.loads((HERE / "definitions" / "facts.toml").read_text("utf-8")))


async def read_child(visit: Visit, records: DeclaredRecords, patient: str) -> Child:
    """What is known of a person over all institutions. Raises NotFound or Gone."""
    person = await read_person(visit, records, patient)
    found = await records.whole_timeline(patient, "Immunization", "Flag")
    rows_max, codes = visit.house.settings.pages.counted_max, table().codes_of("Observation")
    results = await records.results(found.patients, codes, rows_max=rows_max)
    senders = await sender_words(visit, records, found.entries)
    read = [(one, decode(one.body or b"{}")) for one in (*found.entries, *results)]
    own = decode(found.patients[0].body or b"{}")
    told = facts_of(table(), own, [body for _, body in read], records.zone)
    every = [(one, body) for one, body in read if one.type == "Immunization"]
    doses = [(one, body) for one, body in every if is_given(body)]
    return Child(
        person=person,
        patient=own,
        doses=tuple(body for _, body in doses),
        taken=frozenset(one.id for one, _ in every),
        flags=tuple(body for one, body in read if one.type == "Flag" and finding_of(body)),
        places={one.id: _place(body, senders.get(one.facts.sender, "")) for one, body in doses},
        known=None if told is None else told.facts,
    )


def _place(dose: Json, sender: str) -> str:
    names = (one.get("actor", {}).get("display", "") for one in dose.get("performer", []))
    return next((name for name in names if name), sender)


@page("/vaccination", access=FINDING, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """The box for staff; residents and guardians go on to their own page, schools to theirs."""
    if visit.actor and visit.standing and not READING.opens_to(visit.actor, visit.standing):
        return visit.go("/school-entry")
    say, records = visit.say, stating(visit, records)
    links = [
        (say("Who is due"), "/vaccination/due"),
        (say("Check on entry to school"), "/school-entry"),
        (say("Register a person here"), "/registration"),
    ]
    title, is_own = say("Vaccination"), not is_staff(visit)
    return await person_box(visit, records, title, "/vaccination/of/{}", links, is_own=is_own)


@page("/vaccination/of/{patient}", access=READING)
async def show(visit: Visit, records: DeclaredRecords) -> Response:
    """What was given, what is due and why, and what stands against doses."""
    child = await read_child(visit, stating(visit, records), visit.path("patient"))
    known, today = child.known, visit.today
    items = () if known is None else standings(known, today)
    lines = [line(one, visit.language) for one in items]
    doses = [] if known is None else given(
        known, child.doses, today, records.zone, language=visit.language
    )  # fmt: skip
    hours = None if known is None else birth_and_first_dose(child.patient, known, child.doses)
    late = () if hours is None else first_dose_in_time(*hours).reasons
    return visit.page(
        "immunization/child.html",
        person=child.person,
        is_known=known is not None,
        lines=lines,
        next_day=min((one.next_day(today) for one in lines if one.due), default=""),
        given=[(one, name_of(visit, one.product), child.places[one.id]) for one in doses],
        late=[word("reason", one, visit.language) for one in late],
        findings=[(word("finding", finding_of(one), visit.language), _period(one))
                  for one in child.flags if one.get("status") != "entered-in-error"],
        is_staff=is_staff(visit),
    )  # fmt: skip


def _period(flag: Json) -> tuple[str, str]:
    period = flag.get("period", {})
    return str(period.get("start", "")), str(period.get("end", ""))


PAGES: Final[tuple[Page, ...]] = (find, show)
