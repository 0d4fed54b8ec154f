"""Advice: codes outside of bindings that others may extend (terminologies.html#extensible)."""

from __future__ import annotations

import json
from typing import Any

from quanmin.fhir.validation import advise, validate

NARRATIVE = {
    "status": "generated",
    "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>',
}


def test_codes_beside_an_extensible_binding_are_advice_and_refuse_nothing() -> None:
    status = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"

    def married(*codings: dict[str, str], **more: str) -> dict[str, Any]:
        concept: dict[str, Any] = dict(more)
        if codings:
            concept["coding"] = list(codings)
        return {"resourceType": "Patient", "maritalStatus": concept, "text": NARRATIVE}

    def advised(resource: dict[str, Any]) -> list[tuple[str, str, str]]:
        raw = json.dumps(resource).encode()
        assert validate(resource["resourceType"], raw) == []
        found = advise(resource["resourceType"], raw)
        return [(issue.severity, issue.code, issue.expression) for issue in found]

    foreign = {"system": "urn:oid:2.16.156.10011.2.3.3.5", "code": "20"}
    warned = [("warning", "code-invalid", "Patient.maritalStatus")]
    assert advised(married(foreign)) == warned
    assert advised(married({"system": status, "code": "Z"})) == warned
    assert advised(married({"system": status, "code": "M"})) == []
    assert advised(married(foreign, {"system": status, "code": "M"})) == []
    assert advised(married(text="married")) == []


def test_units_of_an_age_are_advice_beyond_those_that_r4_lists() -> None:
    def aged(code: str) -> list[str]:
        age = {"value": 3, "system": "http://unitsofmeasure.org", "code": code}
        resource = {
            "resourceType": "Procedure",
            "status": "completed",
            "subject": {"display": "a"},
            "performedAge": age,
            "text": NARRATIVE,
        }
        raw = json.dumps(resource).encode()
        assert validate("Procedure", raw) == []
        return [issue.expression for issue in advise("Procedure", raw)]

    assert aged("a") == []
    assert aged("s") == ["Procedure.performed.ofType(Age)"]
