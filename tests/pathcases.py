"""FHIRPath cases as lines `expression => answer`, and the record they are asked of.

The answer is a JSON list, `error` for one that must be refused, or a single JSON value.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from quanmin.fhir.json import decode_any
from quanmin.fhir.path import STANDARD, Environment, PathProblem, compile_path
from quanmin.fhir.path.nodes import text_of

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "example",
    "active": True,
    "name": [
        {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
        {"use": "usual", "given": ["Jim"]},
        {
            "use": "maiden",
            "family": "Windsor",
            "given": ["Peter", "James"],
            "period": {"end": "2002"},
        },
    ],
    "telecom": [
        {"use": "home"},
        {"system": "phone", "value": "(03) 5555 6473", "use": "work", "rank": 1},
    ],
    "gender": "male",
    "birthDate": "1974-12-25",
    "_birthDate": {
        "id": "born",
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                "valueDateTime": "1974-12-25T14:35:45-05:00",
            }
        ],
    },
    "deceasedBoolean": False,
    "_multipleBirthInteger": {"extension": [{"url": "http://example.org/x", "valueCode": "a"}]},
    "managingOrganization": {"reference": "Organization/1"},
    "contained": [
        {"resourceType": "Organization", "id": "o1", "name": "Ward", "partOf": {"reference": "#"}}
    ],
    "generalPractitioner": [{"reference": "#o1"}],
}

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "example",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "valueQuantity": {
        "value": Decimal(185),
        "unit": "lbs",
        "system": "http://unitsofmeasure.org",
        "code": "[lb_av]",
    },
}


def lines(block: str) -> list[Any]:
    """The cases of a block, one a line; blank lines and lines that begin with # are left out."""
    found = []
    for line in block.strip().splitlines():
        if line.strip() and not line.startswith("#"):
            expression, arrow, answer = line.strip().rpartition(" => ")
            assert arrow, line
            found.append(pytest.param(expression, answer, id=expression))
    return found


def ask(expression: str, on: Any = PATIENT, environment: Environment = STANDARD) -> Any:
    """What the expression finds: values as JSON has them, or "error"."""
    try:
        found = compile_path(expression).evaluate(on, environment=environment)
    except PathProblem:
        return "error"
    return [text_of(node.value) for node in found]


def expected(answer: str) -> Any:
    """The answer of a line as `ask` gives it."""
    if answer == "error":
        return answer
    value = decode_any(answer.encode())
    return value if isinstance(value, list) else [value]
