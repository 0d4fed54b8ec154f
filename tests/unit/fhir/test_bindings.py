"""Required bindings of R4 (terminologies.html#4.1.5): each is decided, or known to be open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quanmin.fhir.table import load_table
from quanmin.fhir.units import is_unit
from quanmin.fhir.validation import validate
from quanmin.fhir.validation.fast import is_clean

OPEN = {"http://loinc.org/vs/LL379-9"}
UCUM = "http://unitsofmeasure.org"


def test_every_required_binding_but_one_is_decided_by_the_release_itself() -> None:
    value_sets = load_table().value_sets
    bound = {
        element.binding
        for elements in load_table().shapes.values()
        for element in elements
        if element.binding
    }
    assert bound == value_sets.keys()
    assert {url for url, codes in value_sets.items() if codes.open} == OPEN
    for url in value_sets.keys() - OPEN:
        codes = value_sets[url]
        assert bool(codes.systems) + bool(codes.pattern) + codes.is_ucum == 1, url


def test_required_bindings_stand_on_codes_and_concepts_only() -> None:
    kinds = {
        kind.code
        for elements in load_table().shapes.values()
        for element in elements
        if element.binding
        for kind in element.types
    }
    assert kinds == {"code", "CodeableConcept"}


def estimate(*codings: dict[str, str], **more: Any) -> dict[str, Any]:
    unit: dict[str, Any] = dict(more)
    if codings:
        unit["coding"] = list(codings)
    return {
        "resourceType": "RiskEvidenceSynthesis",
        "status": "active",
        "population": {"reference": "EvidenceVariable/1"},
        "outcome": {"reference": "EvidenceVariable/1"},
        "riskEstimate": {"value": 1, "unitOfMeasure": unit},
    }


@pytest.mark.parametrize(
    ("concept", "is_right"),
    [
        (estimate({"system": UCUM, "code": "mg/dL"}), True),
        (estimate({"system": UCUM, "code": "Cel"}), True),
        (estimate({"system": UCUM, "code": "{score}"}), True),
        (estimate({"system": "urn:a", "code": "x"}, {"system": UCUM, "code": "%"}), True),
        (estimate(extension=[{"url": "http://a", "valueBoolean": True}]), True),
        (estimate({"system": UCUM, "code": "milligrams"}), False),
        (estimate({"system": "urn:a", "code": "mg"}), False),
        (estimate({"code": "mg"}), False),
        (estimate({"system": UCUM, "display": "mg"}), False),
        (estimate(text="mg"), False),
    ],
)
def test_a_unit_bound_to_ucum_is_judged_by_its_grammar(
    concept: dict[str, Any], *, is_right: bool
) -> None:
    raw = json.dumps(concept).encode()
    found = validate("RiskEvidenceSynthesis", raw)
    wanted = (
        [] if is_right else [("code-invalid", "RiskEvidenceSynthesis.riskEstimate.unitOfMeasure")]
    )
    assert [(issue.code, issue.expression) for issue in found] == wanted
    assert is_right or not is_clean("RiskEvidenceSynthesis", raw)
    assert is_right or UCUM in found[0].text


def test_units_of_ucum_are_known_by_grammar_special_ones_too() -> None:
    right = ("1", "mg/dL", "10*9/L", "Cel", "mCel", "dB", "dB[SPL]", "[pH]", "[iU]/mL", "%", "{a}")
    assert [code for code in right if not is_unit(code)] == []
    wrong = ("", "mgg", "per day", "xCel", "Cel/", "[nope]", "毫克", "a" * 200)
    assert [code for code in wrong if is_unit(code)] == []
