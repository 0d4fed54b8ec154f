"""Who opens the pages about severe mental disorders, and what they show of one person."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

from quanmin.fhir.json import Json, decode
from quanmin.trust import Role
from quanmin.web.heads import Person, read_person
from quanmin.web.records import DeclaredRecords
from quanmin.web.route import Access, Charge
from quanmin.web.visit import Visit
from quanmin.workflow import mental

HOME: Final = "/mental-health"
STAFF_ROLES: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
OWN_ROLES: Final[frozenset[Role]] = frozenset({"resident", "guardian"})
_DUTY: Final = Charge(frozenset({"mental_health"}), STAFF_ROLES)
STAFF: Final = Access(STAFF_ROLES, _DUTY)
READING: Final = Access(STAFF_ROLES | OWN_ROLES, _DUTY)
_PURPOSES: Final = {"resident": "PATRQT", "guardian": "FAMRQT"}
_PORTION: Final = 200


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A person with the registrations and the visits, the last first."""

    person: Person
    plans: tuple[Json, ...]
    visits: tuple[Json, ...]

    @property
    def plan(self) -> Json | None:
        """The registration that is open; None for none."""
        return next((one for one in self.plans if one["status"] == "active"), None)

    @property
    def since(self) -> date:
        """The day of the last registration; of who was never registered the last day there is."""
        held: Json = next(iter(self.plans), {})
        return mental.day_of(held.get("period", {}).get("start")) or date.max

    @property
    def days(self) -> list[date]:
        """The days of the visits, the last first."""
        return [day for one in self.visits if (day := mental.visited_on(one))]

    def told(self, language: str) -> list[tuple[str, str, str, str]]:
        """The visits: the day, the grade, the class, and the page that has their words."""
        return [
            (
                str(mental.visited_on(one) or ""),
                mental.word("grade", mental.grade_of(one), language),
                mental.word("class", mental.class_of(one), language),
                f"{HOME}/of/{self.person.id}/sheets/{mental.sheet_of(one)}",
            )
            for one in self.visits
        ]


def is_own(visit: Visit) -> bool:
    """Whether somebody reads of themselves, or of whom they act for."""
    return visit.actor is not None and visit.actor.role in OWN_ROLES


def stating(visit: Visit, records: DeclaredRecords) -> DeclaredRecords:
    """The records for what the visitor's role asks them for."""
    purpose = _PURPOSES.get(visit.actor.role if visit.actor else "")
    return records.stating(purpose) if purpose else records


async def read_kept(visit: Visit, records: DeclaredRecords, patient: str) -> Kept:
    """What is kept of a person, as far as the visitor sees it. Raises NotFound or Gone. The
    application must read what `read_person` does, CarePlan and RiskAssessment.
    """
    person = await read_person(visit, records, patient)
    found: list[Json] = []
    cursor: str | None = None
    while True:
        types = ("CarePlan", "RiskAssessment")
        part = await records.timeline(patient, types=types, count=_PORTION, cursor=cursor)
        found += [decode(one.body or b"{}") for one in part.entries]
        cursor = part.next
        if cursor is None:
            break
    plans = mental.registrations(one for one in found if one["resourceType"] == "CarePlan")
    seen = mental.visits(one for one in found if one["resourceType"] == "RiskAssessment")
    return Kept(person=person, plans=tuple(plans), visits=tuple(seen))
