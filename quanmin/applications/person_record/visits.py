"""One person over all their registrations.

The head of every page about them, and who contributed what.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.dates import short_fhir
from quanmin.web.gist import place_of, time_of
from quanmin.web.institutions import institution_names
from quanmin.web.persons import Told, tell_patient
from quanmin.web.reading import Value

_ALLERGIES_MAX = 20
# More visits than one person has; above it the contributions say that they are of the newest only.
VISITS_MAX = 500
_ENTERED_IN_ERROR = "entered-in-error"


class Registration(msgspec.Struct, frozen=True):
    """One source Patient of the person: its id, what it says, and the institution's id and name."""

    id: str
    told: Told
    organization: str
    institution: str
    is_asked: bool


class Contribution(msgspec.Struct, frozen=True):
    """What one institution gave: how many visits, from which day to which."""

    institution: str
    organization: str
    visits: int
    first: str
    last: str


class Person(msgspec.Struct, frozen=True):
    """The head of a page: who it is, what they must not be given, and where they are registered."""

    id: str
    told: Told
    allergies: tuple[Value, ...]
    registrations: tuple[Registration, ...]


async def read_person(visit: Visit, records: DeclaredRecords, patient_id: str) -> Person:
    """The person a source Patient belongs to.

    Raises NotFound or Gone when the asker may not know of it.
    """
    timeline = await records.timeline(
        patient_id, types=("AllergyIntolerance",), count=_ALLERGIES_MAX
    )
    registrations = await tell_registrations(visit, records, timeline.patients)
    asked = next((one for one in registrations if one.id == patient_id), registrations[0])
    found = [decode(entry.body or b"{}") for entry in timeline.entries]
    allergies = {
        told.text: told
        for one in found
        if visit.reader.concept(one.get("verificationStatus")).detail != _ENTERED_IN_ERROR
        for told in [visit.reader.concept(one.get("code"))]
    }
    return Person(patient_id, asked.told, tuple(allergies.values()), registrations)


async def tell_registrations(
    visit: Visit, records: DeclaredRecords, patients: Iterable[Stored]
) -> tuple[Registration, ...]:
    """Each source Patient with the name of the institution that registered it.

    The first is the asked one.
    """
    kept = []
    for stored in patients:
        resource = decode(stored.body or b"{}")
        told = tell_patient(resource, visit.language, visit.today)
        target, words = told.institution or ("", "")
        kept.append((stored.id, told, target.removeprefix("Organization/"), words))
    names = await institution_names(
        records, (kept_id for _, _, kept_id, words in kept if not words)
    )
    return tuple(
        Registration(id_, told, organization, words or names.get(organization, ""), at == 0)
        for at, (id_, told, organization, words) in enumerate(kept)
    )


async def contributions(
    visit: Visit, records: DeclaredRecords, patient_id: str
) -> tuple[tuple[Contribution, ...], bool]:
    """What each institution contributed, the latest first, and whether all visits were counted."""
    timeline = await records.timeline(patient_id, types=("Encounter",), count=VISITS_MAX)
    days: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for stored in timeline.entries:
        resource = decode(stored.body or b"{}")
        organization, words = place_of(resource)
        days.setdefault(organization, []).append(
            short_fhir(time_of(resource), visit.house.settings.zone)
        )
        shown[organization] = shown.get(organization) or words
    names = await institution_names(records, (id_ for id_, words in shown.items() if not words))
    told = [
        Contribution(shown[one] or names.get(one, ""), one, len(dates), min(dates), max(dates))
        for one, dates in days.items()
    ]
    return tuple(sorted(told, key=lambda one: one.last, reverse=True)), timeline.next is None
