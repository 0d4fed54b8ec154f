"""What the pages of the follow-up of chronic diseases share: who may open them, how a person and
the cases are read.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import msgspec

from quanmin.base.problems import Invalid, Malformed, Sentence
from quanmin.fhir.json import Json, decode
from quanmin.trust import Part, Role
from quanmin.web.filling import entries_of
from quanmin.web.forms import Cell
from quanmin.web.heads import ALLERGIES, Person, tell_person, tell_registrations
from quanmin.web.questionnaires import Answered
from quanmin.web.records import DeclaredRecords
from quanmin.web.route import Access, Charge
from quanmin.web.visit import Visit
from quanmin.workflow.chronic import (
    ASSIGNING,
    CODE,
    DISEASE_SYSTEM,
    DISEASES,
    ENDED,
    Disease,
    Seen,
    age_on,
    closing,
    disease_of,
    follows,
    holding,
    judge,
    measured,
    patient_of,
    reopening,
    result_of,
    state_of,
    visits_of,
    word,
)
from quanmin.workflow.forms import answers
from quanmin.workflow.states import Event, read_case

HOME: Final = "/chronic"
WORKERS: Final[frozenset[Role]] = frozenset({"doctor", "nurse", "public_health_worker"})
OWN: Final[frozenset[Role]] = frozenset({"resident", "guardian"})
DUTIES: Final = frozenset({"chronic_disease", "family_doctor"})
_CHARGED: Final = Charge(DUTIES, WORKERS)
# A doctor without the duty has what is referred to their hospital; the guard says which that is.
_CHARGED_OR_DOCTOR: Final = Charge(DUTIES, WORKERS - {"doctor"})
STAFF: Final = Access(WORKERS, _CHARGED)
CASES: Final = Access(WORKERS, _CHARGED_OR_DOCTOR)
READING: Final = Access(WORKERS | OWN, _CHARGED)
ENTRY: Final = Access(WORKERS | OWN, _CHARGED_OR_DOCTOR)
_PURPOSES: Final = {"resident": "PATRQT", "guardian": "FAMRQT"}
_RESPONSE: Final = "urn:uuid:00000000-0000-4000-8000-000000000013"
_RESULT: Final = "urn:uuid:00000000-0000-4000-8000-000000000014"
_CASES_MAX: Final = 50
_RESULTS_MAX: Final = 200


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A person as the follow-up sees them: the cases, newest results first, the diagnoses."""

    person: Person
    patient: Json
    cases: tuple[Json, ...]
    results: tuple[Json, ...]
    diagnoses: tuple[Json, ...]

    def open_case(self, disease: Disease) -> Json | None:
        """The case of a disease that is not closed."""
        found = (one for one in self.cases if disease_of(one) == disease)
        return next((one for one in found if state_of(one) not in ENDED), None)


def stating(visit: Visit, records: DeclaredRecords) -> DeclaredRecords:
    """The records for what the visitor's role asks them for."""
    purpose = _PURPOSES.get(visit.actor.role if visit.actor else "")
    return records.stating(purpose) if purpose else records


def is_staff(visit: Visit) -> bool:
    """Whether the visitor follows people up, and does not only answer a referral."""
    return bool(visit.actor and visit.standing and STAFF.opens_to(visit.actor, visit.standing))


def is_own(visit: Visit) -> bool:
    """Whether the visitor reads of themselves, or of somebody for whom they act."""
    return visit.actor is not None and visit.actor.role in OWN


def disease_pair(disease: Disease) -> tuple[str, str]:
    """The search for those of a disease."""
    return "_tag", f"{DISEASE_SYSTEM}|{disease}"


def asked_disease(visit: Visit) -> Disease:
    """The disease that the address asks for, hypertension if none. Raises Malformed."""
    asked = visit.asked("disease") or DISEASES[0]
    found = next((one for one in DISEASES if one == asked), None)
    if found is None:
        raise Malformed(
            Sentence("disease is one of %(known)s, or left out", known=", ".join(DISEASES))
        )
    return found


def diseases(visit: Visit) -> list[tuple[Disease, str]]:
    """The diseases and what they are called."""
    return [(one, word("disease", one, visit.language)) for one in DISEASES]


def case_headings(visit: Visit) -> list[str]:
    """The columns of a list of cases."""
    say = visit.say
    return [say("Name"), say("Disease"), say("State"), say("Last visit"), say("Result")]


def case_cells(visit: Visit, task: Json) -> list[Cell]:
    """A case as a row of a list."""
    visits = visits_of(task)
    last = visits[-1] if visits else None
    name = str((task.get("for") or {}).get("display") or "")
    return [
        Cell(name or visit.say("without a name"), f"{HOME}/case/{task['id']}"),
        Cell(word("disease", disease_of(task), visit.language)),
        Cell(word("state", state_of(task), visit.language)),
        Cell("" if last is None else last.on.isoformat(), is_number=True),
        Cell("" if last is None else word("result", last.result, visit.language)),
    ]


def responsible(records: DeclaredRecords, task: Json) -> Event | None:
    """The step by which a case came to who is responsible for it: who enrolled it, or has taken it
    over since; None of one that tells no such step.
    """
    try:
        history = read_case(records.workflow, task, records.zone).history
    except Invalid:
        return None
    return next((one for one in reversed(history) if one.step in ASSIGNING), None)


def is_mine(visit: Visit, records: DeclaredRecords, task: Json) -> bool:
    """Whether the visitor is responsible for a case."""
    found = responsible(records, task)
    return bool(found and visit.actor and found.by == visit.actor.code)


async def read_known(visit: Visit, records: DeclaredRecords, patient: str) -> Known:
    """What is known of a person over all institutions. Raises NotFound or Gone."""
    results = Part(types=("Observation",), count=_RESULTS_MAX)
    diagnoses = Part(types=("Condition",), count=_RESULTS_MAX)
    found = await records.timelines(patient, ALLERGIES, results, diagnoses)
    patients = found[0].patients
    ids = ",".join(f"Patient/{one.id}" for one in patients)
    hits = await records.find("Task", ("code", CODE), ("patient", ids), count=_CASES_MAX)
    cases: list[Any] = [decode(one.body or b"{}") for one in hits.matches]
    return Known(
        person=tell_person(visit, found[0], await tell_registrations(visit, records, patients)),
        patient=decode(patients[0].body or b"{}"),
        cases=tuple(sorted(cases, key=lambda one: str(one.get("authoredOn")), reverse=True)),
        results=tuple(decode(one.body or b"{}") for one in found[1].entries),
        diagnoses=tuple(decode(one.body or b"{}") for one in found[2].entries),
    )


class Visited(msgspec.Struct, frozen=True):
    """A visit that was filled in: its day, the measure that it calls for, the entries that record
    it, and what its case holds from then on.
    """

    on: date
    measure: str
    recorded: list[Json]
    held: list[Json]


def visited(sent: Answered, task: Json, born: date, today: date) -> Visited:
    """What a visit comes to: the answers, what is taken from them, and the result."""
    disease, said = disease_of(task), answers(sent.filling.response())
    on = date.fromisoformat(said["day"])
    # A day before the birth has no age: the rule of the step refuses it in words.
    judged = judge(disease, measured(said, max(0, age_on(born, on))))
    one = Seen(on, judged.result, judged.is_on_target)
    measure = follows(disease, task, born, [*visits_of(task), one], today).measure
    made = result_of(disease, f"Patient/{patient_of(task)}", on, judged)
    request = {"method": "POST", "url": "Observation"}
    response, *taken = entries_of(sent)
    recorded = [
        {**response, "fullUrl": _RESPONSE},
        *taken,
        {"resource": made, "request": request, "fullUrl": _RESULT},
    ]
    return Visited(on, measure, recorded, holding(task, one, measure=measure))


def born_on(patient: Json) -> date:
    """The day of birth, by which people are judged. Raises Invalid without a whole one."""
    try:
        return date.fromisoformat(str(patient.get("birthDate") or ""))
    except ValueError:
        raise Invalid(
            "without a whole date of birth nobody is followed up: complete the registration"
        ) from None


async def ending(records: DeclaredRecords, task: Json, closed: date) -> Json:
    """The entry that ends the enrolment of a case."""
    return closing(*await _enrolment_of(records, task), closed)


async def taking_back_the_end(
    records: DeclaredRecords, task: Json
) -> tuple[list[Json], dict[str, Any]]:
    """The entry that lets the enrolment of a case go on, and what its Task has from then on."""
    entry, held = reopening(task, *await _enrolment_of(records, task))
    return [entry], {"input": held, "owner": None}


async def _enrolment_of(records: DeclaredRecords, task: Json) -> tuple[Json, int]:
    _, _, id_ = str((task.get("focus") or {}).get("reference") or "").partition("/")
    stored = await records.read("EpisodeOfCare", id_)
    return decode(stored.body or b"{}"), stored.version
