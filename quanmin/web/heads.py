"""The head of every page about one person: who it is, what they must not be given, from where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from quanmin.base.problems import Gone, NotFound
from quanmin.fhir.json import decode
from quanmin.trust import Part, Stored, Timeline
from quanmin.web.institutions import institution_names
from quanmin.web.persons import Told, tell_patient
from quanmin.web.reading import Value
from quanmin.web.records import DeclaredRecords
from quanmin.web.validity import counts
from quanmin.web.visit import Visit

ALLERGIES: Final = Part(types=("AllergyIntolerance",), count=100)
"""What the head of a page asks of a timeline."""


class Registration(msgspec.Struct, frozen=True):
    """One source Patient: its id, what it says, and the id and name of who registered it."""

    id: str
    told: Told
    organization: str
    institution: str
    is_asked: bool


class Person(msgspec.Struct, frozen=True):
    """One human over all registrations that the asker may see; `id` is the asked one's, `told` what
    it says, and where it says nothing of birth, sex or death what another does.
    """

    id: str
    told: Told
    allergies: tuple[Value, ...]
    registrations: tuple[Registration, ...]


async def read_person(visit: Visit, records: DeclaredRecords, patient_id: str) -> Person:
    """The person a source Patient belongs to.

    Raises NotFound or Gone when the asker may not know of it. The application must read Patient,
    Organization and AllergyIntolerance.
    """
    (found,) = await records.timelines(patient_id, ALLERGIES)
    return tell_person(visit, found, await tell_registrations(visit, records, found.patients))


async def find_person(visit: Visit, records: DeclaredRecords, patient_id: str) -> Person | None:
    """The same; None where the asker may not know of it."""
    try:
        return await read_person(visit, records, patient_id)
    except (NotFound, Gone):
        return None


def tell_person(
    visit: Visit, allergies: Timeline, registrations: tuple[Registration, ...]
) -> Person:
    """The same of what has been read: the part ALLERGIES of a timeline and its registrations.

    Where not every record of an allergy was read, the last of `allergies` says so.
    """
    found = [decode(entry.body or b"{}") for entry in allergies.entries]
    told = {
        words.text: words
        for one in found
        if counts(one)
        for words in [visit.reader.concept(one.get("code"))]
    }
    if allergies.next is not None:
        more = visit.say("more in the timeline")
        told[more] = Value(text=more, language=visit.language)
    return Person(
        registrations[0].id, _over_all(registrations), tuple(told.values()), registrations
    )


def _over_all(registrations: tuple[Registration, ...]) -> Told:
    every = [one.told for one in registrations]
    born = next((one for one in every if one.birth), every[0])
    sexed = next((one for one in every if one.sex), every[0])
    has_died = any(one.deceased for one in every)
    return msgspec.structs.replace(
        every[0],
        gender=sexed.gender,
        sex=sexed.sex,
        birth=born.birth,
        age="" if has_died else born.age,
        deceased=has_died,
    )


async def tell_registrations(
    visit: Visit, records: DeclaredRecords, patients: Iterable[Stored]
) -> tuple[Registration, ...]:
    """Each source Patient with the name of the institution that registered it, in their order."""
    kept = list(_kept(visit, patients))
    names = await institution_names(records, (one for _, _, one, words in kept if not words))
    return _named(kept, names)


def name_registrations(
    visit: Visit, patients: Iterable[Stored], names: Mapping[str, str]
) -> tuple[Registration, ...]:
    """The same by the names of institutions that are known, by their ids."""
    return _named(list(_kept(visit, patients)), names)


def registrars(visit: Visit, patients: Iterable[Stored]) -> set[str]:
    """The ids of the Organizations that registered these."""
    return {one for _, _, one, words in _kept(visit, patients) if one and not words}


def _kept(visit: Visit, patients: Iterable[Stored]) -> Iterator[tuple[str, Told, str, str]]:
    for stored in patients:
        told = tell_patient(decode(stored.body or b"{}"), visit.language, visit.today)
        target, words = told.institution or ("", "")
        yield stored.id, told, target.removeprefix("Organization/"), words


def _named(
    kept: list[tuple[str, Told, str, str]], names: Mapping[str, str]
) -> tuple[Registration, ...]:
    return tuple(
        Registration(id_, told, organization, words or names.get(organization, ""), at == 0)
        for at, (id_, told, organization, words) in enumerate(kept)
    )
