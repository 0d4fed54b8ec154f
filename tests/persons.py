"""One person at two hospitals, and those who ask about them: what tests of decisions begin with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from stores import START, observation, patient

from quanmin.base.problems import NotFound
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Query
from quanmin.records.model import Stored
from quanmin.trust import Actor, Guard, GuardedRecords

NUMBER = "580101199003078512"


def asking(
    guard: Guard,
    role: str,
    sender: str = "",
    *,
    purpose: str = "TREAT",
    person: str | None = None,
) -> GuardedRecords:
    """The records as such an actor sees them for a purpose."""
    code = f"{role}-{sender}"
    actor = Actor(code, role, "Somebody", sender, person)  # type: ignore[arg-type]  # a role
    return guard.records(actor, purpose=purpose, request_id="r-1")


def query(guard: Guard, type_: str | None, **terms: str) -> Query:
    pairs = [(name.replace("__", ":"), value) for name, value in terms.items()]
    return parse_query(
        type_, pairs, strict=True, zone=guard.store.context.zone, limits=QueryLimits()
    )


def day(days: int) -> str:
    """A moment so many days after the first of the test's clock, as a FHIR dateTime."""
    moment = datetime.fromtimestamp(START / 1e6, UTC) + timedelta(days=days)
    return moment.isoformat(timespec="seconds")


def visit(patient_id: str, *, status: str = "in-progress", **period: str) -> bytes:
    body: dict[str, Any] = {
        "resourceType": "Encounter",
        "status": status,
        "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{patient_id}"},
        "period": period or {"start": day(-1)},
    }
    return json.dumps(body).encode()


async def registered(guard: Guard, hospital: str, number: str | None = NUMBER) -> Stored:
    """The person's Patient at a hospital."""
    return (await asking(guard, "institution", hospital).create("Patient", patient(number))).stored


async def result(guard: Guard, hospital: str, patient_id: str, **more: Any) -> Stored:
    """A laboratory result that a hospital sends about its Patient."""
    ours = asking(guard, "institution", hospital)
    body = observation(f"Patient/{patient_id}", **more)
    return (await ours.create("Observation", body)).stored


async def is_seen(records: GuardedRecords, stored: Stored) -> bool:
    """Whether a record is read, found and counted; all three must agree."""
    zone, limits = records.context.zone, QueryLimits()
    asked = parse_query(
        stored.type,
        [("_id", stored.id), ("_total", "accurate")],
        strict=True,
        zone=zone,
        limits=limits,
    )
    hits = await records.search(asked)
    found = {hit.id for hit in hits.matches}
    try:
        is_read = (await records.read(stored.type, stored.id)).id == stored.id
    except NotFound:
        is_read = False
    batch = await records.history(stored.type, None, count=200)
    in_history = stored.id in {version.id for version in batch.versions}
    assert is_read is (stored.id in found) is bool(hits.total) is in_history
    return is_read


def consent(patient_id: str, *, status: str = "active", **provision: Any) -> dict[str, Any]:
    """A Consent of the person about privacy; `provision` is its root provision."""
    return {
        "resourceType": "Consent",
        "status": status,
        "scope": {"coding": [{"system": _SCOPES, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "policyRule": {"text": "by law"},
        "provision": provision,
    }


def to_institution(*codes: str) -> list[dict[str, Any]]:
    """The actors of a provision that names these institutions by their code."""
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"}]}
    return [{"role": role, "reference": {"identifier": {"value": code}}} for code in codes]


_SCOPES = "http://terminology.hl7.org/CodeSystem/consentscope"
