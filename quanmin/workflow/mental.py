"""What is kept of severe mental disorders: the registration (a CarePlan), the visits (each a
RiskAssessment with its answers), the labels by which the guard closes both to everybody else. Pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

from quanmin.fhir.json import Json

WORKFLOW: Final = "https://quanmin.example/fhir/workflow/mental-health"
CODES: Final = "https://quanmin.example/fhir/CodeSystem/mental-health"
DANGER: Final = "https://quanmin.example/fhir/CodeSystem/mental-danger"
CLASSES: Final = "https://quanmin.example/fhir/CodeSystem/mental-health-class"
DISORDERS: Final = "https://quanmin.example/fhir/CodeSystem/severe-mental-disorder"
PROGRAMME: Final = ("category", f"{CODES}|programme")
"""The search for registrations among CarePlans."""
_ICD: Final = "http://hl7.org/fhir/sid/icd-10"
_TOWNSHIP: Final = "https://quanmin.example/fhir/StructureDefinition/mental-township"
_ADDRESSED: Final = "https://quanmin.example/fhir/addressed-to"
_LABELS: Final = (
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"},
    {"system": "urn:quanmin:reportable", "code": "mental"},
    {"system": WORKFLOW, "code": "mental_health"},
)


@cache
def norm() -> Mapping[str, Any]:
    """The numbers and words of the norm."""
    file = files("quanmin.definitions") / "mental" / "norm.toml"
    return tomllib.loads(file.read_text("utf-8"))


def number(name: str) -> int:
    """A number of the norm."""
    return int(norm()["numbers"][name])


def word(kind: str, code: str, language: str) -> str:
    """What a grade, a class or a disorder is called; the code of one that is not known."""
    found = norm()[kind].get(code)
    return str(found[language]) if found else code


def labels(addressed: Iterable[str]) -> list[Json]:
    """The labels of what is registered: kept apart, reported, of this register, and addressed to
    these institutions.
    """
    return [*_LABELS, *({"system": _ADDRESSED, "code": one} for one in sorted(addressed) if one)]


def labels_of(plan: Json) -> list[Json]:
    """The labels of a registration, which all that is recorded under it has too."""
    return list(plan.get("meta", {}).get("security", []))


def registrations(records: Iterable[Json]) -> list[Json]:
    """The registrations among CarePlans, open or ended, the last first."""
    found = [
        one
        for one in records
        if coded(one.get("category", []), CODES) == "programme"
        and one.get("status") in {"active", "completed"}
    ]
    return sorted(found, key=lambda one: str(one.get("period", {}).get("start", "")), reverse=True)


def visits(records: Iterable[Json]) -> list[Json]:
    """The visits among RiskAssessments, the last first."""
    found = [
        one
        for one in records
        if one.get("status") == "final" and coded([one.get("code", {})], CODES) == "visit"
    ]
    return sorted(found, key=_order, reverse=True)


def _order(visit: Json) -> tuple[str, str]:
    """By the day; of two of one day that one is later which was recorded later."""
    written = str(visit.get("meta", {}).get("lastUpdated", ""))
    return str(visit.get("occurrenceDateTime", "")), written


def coded(concepts: Sequence[Json], system: str) -> str:
    """The first code of a system among some CodeableConcepts; "" for none."""
    codings = (coding for one in concepts for coding in one.get("coding", []))
    return next((str(one.get("code", "")) for one in codings if one.get("system") == system), "")


def grade_of(visit: Json) -> str:
    """The grade of danger that a visit found."""
    return coded([one.get("qualitativeRisk", {}) for one in visit.get("prediction", [])], DANGER)


def class_of(visit: Json) -> str:
    """The class that a visit came to."""
    return coded([one.get("outcome", {}) for one in visit.get("prediction", [])], CLASSES)


def sheet_of(visit: Json) -> str:
    """The id of the answers of a visit; "" where it does not say."""
    named = (str(one.get("reference", "")).split("/") for one in visit.get("basis", []))
    return next((one[1] for one in named if one[0] == "QuestionnaireResponse" and one[1:]), "")


def day_of(text: object) -> date | None:
    """A day as records have it; None for what is none."""
    try:
        return date.fromisoformat(str(text or "")[:10])
    except ValueError:
        return None


def visited_on(visit: Json) -> date | None:
    """The day of a visit."""
    return day_of(visit.get("occurrenceDateTime"))


def recorded_at(visit: Json) -> datetime:
    """When a visit was stored as it stands."""
    return datetime.fromisoformat(visit["meta"]["lastUpdated"])


def township_of(plan: Json) -> str:
    """Where somebody who is registered lives; "" where it is not told."""
    told = (one for one in plan.get("extension", []) if one.get("url") == _TOWNSHIP)
    return next((str(one.get("valueString", "")).strip() for one in told), "")


def complete(plan: Json, name: str, township: str) -> None:
    """Add to a new registration what the form does not make: the name of the person, the block of
    ICD-10, and where they live.
    """
    disorder = coded(plan["category"], DISORDERS)
    block = {"system": _ICD, "code": norm()["disorder"][disorder]["icd10"]}
    for one in plan["category"]:
        if coded([one], DISORDERS):
            one["coding"].append(block)
    plan["extension"] = [{"url": _TOWNSHIP, "valueString": township}]
    plan["subject"]["display"] = name


def add_finding(risk: Json, class_: str, answers: str, sender: str, name: str) -> None:
    """Add to the record of a visit its class, the address of its answers, and who made it."""
    risk["basis"] = [{"reference": answers}]
    risk["prediction"][0]["outcome"] = {"coding": [{"system": CLASSES, "code": class_}]}
    risk["performer"] = {"identifier": {"value": sender}, "display": name}


def next_of(record: Json) -> Json:
    """The entry that makes the next version of a record, on top of the one that was read."""
    version = record.get("meta", {}).get("versionId")
    place = f"{record['resourceType']}/{record['id']}"
    request = {"method": "PUT", "url": place, "ifMatch": f'W/"{version}"'}
    return {"resource": record, "request": request}


def reopened(plan: Json, reason: str, author: str, at: int) -> Json:
    """A registration whose end was a mistake, and why: it goes on. `at` in microseconds."""
    period = {name: day for name, day in plan["period"].items() if name != "end"}
    time = datetime.fromtimestamp(at // 1_000_000, UTC).isoformat()
    note = {"text": f"{plan['period'].get('end', '')}: {reason}", "time": time}
    notes = [*plan.get("note", []), {**note, "authorString": author} if author else note]
    return {**plan, "status": "active", "period": period, "note": notes}


def standing(plan: Json, grade: str, class_: str) -> Json:
    """The registration with what the last visit found."""
    kept = [
        one
        for one in plan.get("category", [])
        if not coded([one], DANGER) and not coded([one], CLASSES)
    ]
    found = [(DANGER, grade), (CLASSES, class_)]
    told = [{"coding": [{"system": system, "code": code}]} for system, code in found]
    return {**plan, "category": [*kept, *told]}
