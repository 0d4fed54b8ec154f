"""What every page about one person reads: who it is, where they were seen, for which purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast
from urllib.parse import urlencode

import msgspec

from quanmin.base.problems import Malformed, Sentence
from quanmin.trust import Part, Stored, Timeline
from quanmin.trust.record_access import purposes_of_use
from quanmin.web import Access, DeclaredRecords, Visit
from quanmin.web.emergency import in_emergency
from quanmin.web.heads import ALLERGIES, Person, name_registrations, registrars, tell_person
from quanmin.web.timeline import Visits, read_visits

OWNERS: Final = Access(frozenset({"resident", "guardian"}))
# What those who work here may read for; without a choice it is the first.
PURPOSES: Final = ("TREAT", "CAREMGT", "PUBHLTH")
_OWN_PURPOSE: Final = "PATRQT"


class Record(msgspec.Struct, frozen=True):
    """One person with their visits; `parts` are those of the timeline that were asked for, and
    `results` what the front page reads besides.
    """

    person: Person
    visits: Visits
    parts: list[Timeline]
    results: Sequence[Stored] = ()

    @property
    def patient_ids(self) -> str:
        """The registrations that the asker may see, as a search takes them."""
        return ",".join(one.id for one in self.person.registrations)


def is_own(visit: Visit) -> bool:
    """Whether somebody reads their own record, or that of whom they act for."""
    return visit.actor is not None and OWNERS.admits(visit.actor.role)


async def for_page(visit: Visit, records: DeclaredRecords, type_: str, id_: str) -> DeclaredRecords:
    """The records for the purpose that the page is read for. Raises Malformed for one that nobody
    reads for here.
    """
    if is_own(visit):
        return records.stating(_OWN_PURPOSE)
    asked = visit.asked("for")
    if asked and asked not in PURPOSES:
        raise Malformed(
            Sentence("a record is read here for one of %(known)s", known=", ".join(PURPOSES))
        )
    if asked:
        records = records.stating(asked)
    return await in_emergency(visit, records, type_, id_)


def purposes(visit: Visit) -> dict[str, Any]:
    """What the page is read for in words, and what else it could be read for."""
    code = _OWN_PURPOSE if is_own(visit) else visit.asked("for") or PURPOSES[0]
    if visit.emergency and visit.emergency.until:
        code = "BTG"
    words = {one: purposes_of_use()[one][visit.language] for one in (code, *PURPOSES)}
    return {"code": code, "words": words[code], "offered": [(one, words[one]) for one in PURPOSES]}


async def read_record(
    visit: Visit, records: DeclaredRecords, patient_id: str, *parts: Part
) -> Record:
    """The person a source Patient belongs to, and these parts of their timeline: one access."""
    limits = visit.house.settings.pages
    seen = Part(types=("Encounter",), count=limits.record_visits_max)
    allergies, encounters, *found = await records.timelines(patient_id, ALLERGIES, seen, *parts)
    patients = allergies.patients
    visits = await read_visits(
        visit, records, encounters.entries,
        is_whole=encounters.next is None, also=registrars(visit, patients),
    )  # fmt: skip
    registrations = name_registrations(visit, patients, visits.names)
    return Record(tell_person(visit, allergies, registrations), visits, found)


def leading(visit: Visit) -> Any:
    """Makes addresses of a template that keep what the page is read for."""

    def to(path: str, **asked: str) -> str:
        kept = {name: value for name, value in asked.items() if value}
        if visit.asked("for") and not is_own(visit):
            kept["for"] = visit.asked("for")
        return f"{path}?{urlencode(kept)}" if kept else path

    return to


def cursor_of(visit: Visit) -> str | None:
    """Where the address says to go on. Raises Malformed for what this node did not seal."""
    return (
        cast("str", visit.kept("timeline", visit.asked("from"))["cursor"])
        if visit.asked("from")
        else None
    )
