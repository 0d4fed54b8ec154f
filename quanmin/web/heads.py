"""The head of every page about one person: who it is, what they must not be given, from where."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.web.institutions import institution_names
from quanmin.web.persons import Told, tell_patient
from quanmin.web.reading import Value
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit

_ALLERGIES_MAX = 20
_ENTERED_IN_ERROR = "entered-in-error"


class Registration(msgspec.Struct, frozen=True):
    """One source Patient: its id, what it says, and the id and name of who registered it."""

    id: str
    told: Told
    organization: str
    institution: str
    is_asked: bool


class Person(msgspec.Struct, frozen=True):
    """One human over all registrations that the asker may see; `id` is the asked one's."""

    id: str
    told: Told
    allergies: tuple[Value, ...]
    registrations: tuple[Registration, ...]


async def read_person(visit: Visit, records: DeclaredRecords, patient_id: str) -> Person:
    """The person a source Patient belongs to.

    Raises NotFound or Gone when the asker may not know of it. The application must read Patient,
    Organization and AllergyIntolerance.
    """
    timeline = await records.timeline(
        patient_id, types=("AllergyIntolerance",), count=_ALLERGIES_MAX
    )
    registrations = await tell_registrations(visit, records, timeline.patients)
    found = [decode(entry.body or b"{}") for entry in timeline.entries]
    allergies = {
        told.text: told
        for one in found
        if visit.reader.code(one.get("verificationStatus")) != _ENTERED_IN_ERROR
        for told in [visit.reader.concept(one.get("code"))]
    }
    return Person(patient_id, registrations[0].told, tuple(allergies.values()), registrations)


async def tell_registrations(
    visit: Visit, records: DeclaredRecords, patients: Iterable[Stored]
) -> tuple[Registration, ...]:
    """Each source Patient with the name of the institution that registered it, in their order."""
    kept = []
    for stored in patients:
        told = tell_patient(decode(stored.body or b"{}"), visit.language, visit.today)
        target, words = told.institution or ("", "")
        kept.append((stored.id, told, target.removeprefix("Organization/"), words))
    names = await institution_names(records, (one for _, _, one, words in kept if not words))
    return tuple(
        Registration(id_, told, organization, words or names.get(organization, ""), at == 0)
        for at, (id_, told, organization, words) in enumerate(kept)
    )
