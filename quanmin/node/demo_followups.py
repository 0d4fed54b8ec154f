"""Lets the doctor of a demonstration follow up some people with hypertension or diabetes, one in
each state, through the application's own records, form, rules and workflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any, Final

import msgspec

from quanmin.fhir.dates import tells_day
from quanmin.fhir.json import Json, decode
from quanmin.trust import Actor, Guard
from quanmin.web import DeclaredRecords
from quanmin.web.application import discover
from quanmin.web.chronic import ending, visited
from quanmin.web.questionnaires import Answered
from quanmin.workflow import chronic
from quanmin.workflow.forms import Around, compile_form, fill
from quanmin.workflow.states import Asking, Case, read_case, take

_NAME: Final = "chronic_followup"
_SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem"
_ENROLLED: Final = 100
_GOOD, _BAD, _CRISIS = "128/78", "156/96", "186/104"
_Course = tuple[tuple[int, str] | tuple[str, str], ...]
# What happens to each: visits so many days ago with what was measured, and steps with their words.
_COURSES: Final[tuple[_Course, ...]] = (
    (),
    ((40, _GOOD),),
    ((96, _GOOD),),
    ((10, _BAD),),
    ((30, _BAD), (16, _BAD)),
    ((30, _BAD), (16, _BAD), ("see", "厄贝沙坦加量，两周后复查")),
    ((5, _CRISIS), ("see", "已予降压处理"), ("return", "按新方案服药")),
    ((60, _GOOD), ("lose", "多次联系不上")),
)
_SUGARS: Final[tuple[_Course, ...]] = (
    ((50, f"{_GOOD}/6.1"),),
    ((30, f"{_GOOD}/8.4"), (15, f"{_GOOD}/9.0")),
)
_FOUND: Final = 60


async def enter_followups(guard: Guard, actor: Actor, zone: Any, beside: Sequence[str] = ()) -> int:
    """Enrol people whom the actor's institution has diagnosed and nobody follows up, one for each
    course, where these are too few those `beside`, Patients of the same institution, and with
    diabetes the rest of them; gives how many. Does nothing where somebody is followed up already.
    """
    (application,) = (one.application for one in discover() if one.application.name == _NAME)
    guarded = guard.records(actor, purpose=application.purpose, request_id="demo")
    records = DeclaredRecords(guarded, application, zone)
    moment = datetime.fromtimestamp(guard.now() / 1_000_000, zone)
    if (await records.find("Task", ("code", chronic.CODE), count=1)).matches:
        return 0
    asking = Asking(
        actor=msgspec.structs.replace(actor, duties=frozenset({"family_doctor"})),
        moment=moment,
        zone=zone,
    )
    patients: list[Json] = [await records.resource("Patient", one) for one in beside]
    others = [(patient, None) for patient in patients]
    sugar = others[len(others) - len(_SUGARS) :] if len(others) >= len(_SUGARS) else []
    people = [*await _people(records, moment), *others[: len(others) - len(sugar)]]
    courses: list[tuple[chronic.Disease, tuple[Json, Json | None], _Course]] = [
        *(("hypertension", *one) for one in zip(people, _COURSES, strict=False)),
        *(("diabetes", *one) for one in zip(sugar, _SUGARS, strict=False)),
    ]
    for disease, (patient, diagnosis), course in courses:
        await _Following(records, asking, disease, patient, diagnosis).go(course)
    return len(courses)


async def _people(records: DeclaredRecords, moment: datetime) -> list[tuple[Json, Json]]:
    """Those who are old enough, each with the diagnosis."""
    hits = await records.find(
        "Condition", ("code", "I10.x00x002"), ("_include", "Condition:patient"), count=_FOUND
    )
    patients = {f"Patient/{one.id}": decode(one.body or b"{}") for one in hits.included}
    found: dict[str, tuple[Json, Json]] = {}
    for one in hits.matches:
        condition = decode(one.body or b"{}")
        reference = condition["subject"]["reference"]
        patient = patients.get(reference)
        if patient is None or not tells_day(patient.get("birthDate", "")):
            continue
        born = datetime.fromisoformat(patient["birthDate"]).date()
        least = chronic.limits()["enrolment"]["age"]
        is_alive = "deceasedDateTime" not in patient and not patient.get("deceasedBoolean")
        if is_alive and chronic.age_on(born, moment.date()) > least:
            found.setdefault(reference, (patient, condition))
    return list(found.values())


class _Following:
    """One person, from the enrolment on."""

    def __init__(
        self,
        records: DeclaredRecords,
        asking: Asking,
        disease: chronic.Disease,
        patient: Json,
        diagnosis: Json | None,
    ) -> None:
        self._records, self._asking, self._disease = records, asking, disease
        self._patient, self._diagnosis = patient, diagnosis
        self._born = datetime.fromisoformat(patient["birthDate"]).date()
        self._today = asking.moment.date()
        self._task = ""

    async def go(self, course: _Course) -> None:
        """All of a course."""
        name = "".join(one.get("text", "") for one in self._patient.get("name", [])[:1])
        enrolled = self._today - timedelta(days=_ENROLLED)
        known = [self._diagnosis] if self._diagnosis else []
        who = chronic.Enrolling(self._patient["id"], name, 0, [], known)
        recorded, head = chronic.enrolment(self._disease, who, enrolled, "some")
        facts = {
            "age": 60,
            "age_min": 0,
            "diagnosed": True,
            "high_days": 0,
            "days_needed": 3,
            "has_case": False,
            "is_doctor": True,
            "enrolled": enrolled,
        }
        await self._take("enrol", None, facts, recorded=recorded, head=head)
        for what, said in course:
            if isinstance(what, int):
                await self._visit(what, said)
            else:
                await self._step(what, said)

    async def _case(self) -> Case:
        stored = await self._records.read("Task", self._task)
        return read_case(self._records.workflow, decode(stored.body or b"{}"), self._asking.zone)

    async def _take(self, step: str, case: Case | None, facts: Json, **more: Any) -> None:
        asking = msgspec.structs.replace(self._asking, facts=facts)
        taken = take(self._records.workflow, step, case, asking, **more)
        stored = (await self._records.transact(taken.entries))[-1].stored
        self._task = stored.id if stored else self._task

    async def _visit(self, days: int, measured: str) -> None:
        case, on = await self._case(), self._today - timedelta(days=days)
        upper, lower, *glucose = measured.split("/")
        sent = {
            "day": on.isoformat(),
            "way": f"{_SYSTEM}/follow-up-way|outpatient",
            "systolic": upper,
            "diastolic": lower,
            "adherence": f"{_SYSTEM}/medicine-adherence|regular",
            "reaction": "false",
            "complication": "false",
            **({"glucose": glucose[0]} if glucose else {}),
        }
        reference = f"Patient/{self._patient['id']}"
        start = {"resourceType": "QuestionnaireResponse", "status": "in-progress",
                 "subject": {"reference": reference}}  # fmt: skip
        folder = files("quanmin").joinpath("applications", _NAME, "definitions")
        form = compile_form(decode(folder.joinpath(f"{self._disease}-visit.json").read_bytes()))
        around = Around(now=self._asking.moment, zone=self._asking.zone)
        filling = fill(form, around, {name: [text] for name, text in sent.items()}, start)
        made = visited(Answered(filling, "send", ()), case.task, self._born, self._today)
        facts = {"measure": made.measure, "on": on, "is_told": False, "born": self._born,
                 "enrolled": chronic.day_of(case.task, "enrolled")}  # fmt: skip
        step = "visit_and_refer" if made.measure == "refer" else "visit"
        await self._take(step, case, facts, recorded=made.recorded, head={"input": made.held})

    async def _step(self, step: str, words: str) -> None:
        case = await self._case()
        recorded: list[Json] = []
        head: dict[str, Json] = {}
        enrolled = chronic.day_of(case.task, "enrolled")
        if step == "lose":
            entry = await ending(self._records, case.task, self._today)
            recorded, head = [entry], {"input": chronic.holding(case.task, closed=self._today)}
        facts = {"is_there": True, "closed": self._today, "enrolled": enrolled}
        await self._take(step, case, facts, recorded=recorded, head=head, words=words)
