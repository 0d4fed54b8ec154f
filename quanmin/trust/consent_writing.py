"""Makes the Consents (R4 consent.html) of what a person has chosen."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from quanmin.trust.record_access import kinds_apart

_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_TYPES: Final = "http://hl7.org/fhir/resource-types"
_GROUND: Final = "Personal Information Protection Law (2021) articles 14, 15, 23, 29"


class Chosen(msgspec.Struct, frozen=True):
    """What a person has chosen. `institution` is the id and name of its Organization, None for
    every one; no `purpose` means all, no `types` all, as far as it is about `ordinary` records at
    all; `kinds` are labels of kinds that are kept apart; `until` is the last day, if there is one.
    """

    effect: str
    institution: tuple[str, str] | None = None
    purpose: str = ""
    is_ordinary: bool = True
    types: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    is_onward: bool = False
    until: str = ""


def write_consents(chosen: Chosen, *, patient: str, at: str, is_guardian: bool) -> list[bytes]:
    """The Consents that say what was chosen: what is of a kind that is kept apart, and passing on,
    each by itself, so that each can be taken back by itself. `at` is a FHIR dateTime.
    """
    parts: list[dict[str, Any]] = []
    if chosen.is_ordinary:
        class_ = [{"system": _TYPES, "code": one} for one in chosen.types]
        parts.append({"class": class_} if class_ else {})
    parts += [
        {"securityLabel": [{"system": one["system"], "code": one["code"]}]}
        for one in kinds_apart()
        if one["code"] in chosen.kinds
    ]
    if chosen.is_onward:
        parts.append({"action": [_coded(f"{_HL7}/consentaction", "disclose")]})
    # Who stands for another is known by the account; no RelatedPerson need be there.
    performer = {"type": "RelatedPerson", "display": "guardian"}
    body = {
        "resourceType": "Consent",
        "status": "active",
        "scope": _coded(f"{_HL7}/consentscope", "patient-privacy"),
        "category": [_coded("http://loinc.org", "59284-0")],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": at,
        "performer": [performer if is_guardian else {"reference": f"Patient/{patient}"}],
        "policyRule": {"text": _GROUND},
    }
    return [
        json.dumps(body | {"provision": _provision(chosen) | part}, ensure_ascii=False).encode()
        for part in parts
    ]


def _provision(chosen: Chosen) -> dict[str, Any]:
    provision: dict[str, Any] = {"type": chosen.effect}
    if chosen.until:
        provision["period"] = {"end": chosen.until}
    if chosen.institution is not None:
        id_, name = chosen.institution
        role = _coded(f"{_HL7}/v3-ParticipationType", "IRCP")
        reference = {"reference": f"Organization/{id_}", "display": name}
        provision["actor"] = [{"role": role, "reference": reference}]
    if chosen.purpose:
        provision["purpose"] = [{"system": f"{_HL7}/v3-ActReason", "code": chosen.purpose}]
    return provision


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}
