"""The open cases that somebody is responsible for with whom they are about, as they are taken along
to where there is no connection.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from quanmin.base.problems import Conflict, Forbidden, Invalid
from quanmin.fhir.json import Json, decode
from quanmin.trust import Stored
from quanmin.web.cases import asking
from quanmin.web.chronic import born_on, is_mine
from quanmin.web.heads import ALLERGIES, Person, name_registrations, tell_person
from quanmin.web.offline import Facts
from quanmin.web.records import DeclaredRecords
from quanmin.web.text import LANGUAGES, Text
from quanmin.web.visit import Visit
from quanmin.workflow.chronic import (
    CODE,
    ENDED,
    STATE_SYSTEM,
    disease_of,
    follows,
    patient_of,
    state_of,
    visits_of,
    word,
)

LEAD: Final = Text(
    zh="携带对象：由您负责（您建档或已转由您负责）、随访已逾期或%(days)s天内到期的患者，"
    "先到期者在前。",
    en="Taken along is whoever you are responsible for (you enrolled them, or have taken them over)"
    " and whose visit is overdue or due within %(days)s days, what is due first before all.",
)
"""Who is taken along by `due_soon`."""
_SLICE: Final = 200


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """A case and whom it is about. `version` changes with either; `facts` are those of
    `Carried`.
    """

    task: Json
    patient: Json
    name: str
    facts: Facts

    @property
    def version(self) -> str:
        """Of the case and of the registration."""
        return f"{self.task['meta']['versionId']}-{self.patient['meta']['versionId']}"


async def due_soon(visit: Visit, records: DeclaredRecords, most: int) -> list[Assigned]:
    """Whose next visit is overdue or due within days (`pages.offline_days_ahead`), of those
    whom the visitor is responsible for; what is due first before all, so many at most.
    """
    today = (await asking(visit)).moment.date()
    until = today + timedelta(days=visit.house.settings.pages.offline_days_ahead)
    found: list[tuple[date, str, Json, Json]] = []
    async for task, patient in _open_cases(visit, records):
        due = _due(task, patient, today)
        if due is not None and due <= until:
            found.append((due, str(task["id"]), task, patient))
    found.sort(key=lambda one: one[:2])
    return [await _assigned(visit, records, *one[2:]) for one in found[:most]]


async def assigned(visit: Visit, records: DeclaredRecords, id_: str) -> Assigned:
    """The case of a Task. Raises NotFound or Gone, Forbidden for another institution's, Conflict
    for one that is closed, or of somebody who has died.
    """
    stored = await records.read("Task", id_)
    own = await _own(visit, records, [stored])
    if not own or not patient_of(own[0]):
        raise Forbidden("this is no case that your institution follows up")
    patient = await records.resource("Patient", patient_of(own[0]))
    if state_of(own[0]) in ENDED or _has_died(patient):
        raise Conflict("this case is closed")
    return await _assigned(visit, records, own[0], patient)


async def _open_cases(visit: Visit, records: DeclaredRecords) -> AsyncIterator[tuple[Json, Json]]:
    states = [one for one in records.workflow.states if one not in ENDED]
    asked = ("business-status", ",".join(f"{STATE_SYSTEM}|{one}" for one in states))
    cursor: str | None = None
    while True:
        hits = await records.find(
            "Task", ("code", CODE), asked, count=_SLICE, cursor=cursor, is_own=True
        )
        tasks = (decode(one.body or b"{}") for one in hits.matches)
        own = [one for one in tasks if is_mine(visit, records, one)]
        ids = ",".join(sorted({patient_of(one) for one in own} - {""}))
        found = (await records.find("Patient", ("_id", ids), count=_SLICE)).matches if ids else ()
        patients = {one.id: decode(one.body or b"{}") for one in found}
        for task in own:
            patient = patients.get(patient_of(task))
            if patient is not None and not _has_died(patient):
                yield task, patient
        cursor = hits.next
        if cursor is None:
            return


async def _own(visit: Visit, records: DeclaredRecords, found: Sequence[Stored]) -> list[Json]:
    """Those that the visitor's institution began: others are referred to it."""
    sender, senders = visit.actor.sender if visit.actor else "", await records.senders(found)
    return [decode(one.body or b"{}") for one in found if senders[one.facts.sender].code == sender]


async def _assigned(visit: Visit, records: DeclaredRecords, task: Json, patient: Json) -> Assigned:
    (allergies,) = await records.timelines(str(patient["id"]), ALLERGIES)
    due = _due(task, patient, (await asking(visit)).moment.date())
    facts, name = {}, ""
    for language in LANGUAGES:
        reader = dataclasses.replace(visit, language=language)
        told = name_registrations(reader, allergies.patients, {})
        person = tell_person(reader, allergies, told)
        facts[language], name = tuple(_facts(reader, task, person, due)), person.told.name
    return Assigned(task=task, patient=patient, name=name, facts=facts)


def _facts(visit: Visit, task: Json, person: Person, due: date | None) -> Iterator[tuple[str, str]]:
    say, visits, told = visit.say, visits_of(task), person.told
    yield say("Disease"), word("disease", disease_of(task), visit.language)
    yield say("Sex and age"), " ".join((told.sex.text if told.sex else "", told.age)).strip()
    yield say("Identity number"), told.identity
    yield (
        say("Allergies"),
        visit.semicolon.join(one.text for one in person.allergies) or say("none recorded"),
    )
    if visits:
        result = word("result", visits[-1].result, visit.language)
        yield say("Last visit"), f"{visits[-1].on.isoformat()} {result}"
    if due is not None:
        yield say("Due"), due.isoformat()


def _due(task: Json, patient: Json, today: date) -> date | None:
    """When the next visit is due; None where it is not, or without a whole date of birth, with
    which nobody is followed up.
    """
    try:
        born = born_on(patient)
    except Invalid:
        return None
    return follows(disease_of(task), task, born, visits_of(task), today).due


def _has_died(patient: Json) -> bool:
    return bool(patient.get("deceasedBoolean") or patient.get("deceasedDateTime"))
