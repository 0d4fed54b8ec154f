"""Which labels a record is given for what its codes say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quanmin.records.sensitivity import given_labels

ICD = "http://hl7.org/fhir/sid/icd-10"


def given(resource: Any, body: bytes | None = None) -> set[str]:
    return {one.code for one in given_labels(body or json.dumps(resource).encode(), resource)}


def said(system: str, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": system, "code": code}]},
    }


@pytest.mark.parametrize(
    ("system", "code", "label"),
    [
        (ICD, "B20", "HIV"),
        (ICD, "B24.x00", "HIV"),
        (ICD, "z21", "HIV"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "O98.7", "HIV"),
        (ICD, "O987", "HIV"),
        ("http://hospital.example/ICD10-cn", "A53.9", "STD"),
        (ICD, "F20.0", "PSY"),
        (ICD, "F10.2", "ETH"),
        (ICD, "Q90.9", "GDIS"),
        ("http://loinc.org", "81247-9", "GDIS"),
        ("http://www.genenames.org", "HGNC:1100", "GDIS"),
        ("http://www.whocc.no/atc", "J05AR10", "HIV"),
        (ICD, "A15.0", "infectious"),
    ],
)
def test_a_record_of_a_kind_kept_apart_is_labelled(system: str, code: str, label: str) -> None:
    assert label in given(said(system, code))


@pytest.mark.parametrize(
    ("system", "code"),
    [(ICD, "I10"), (ICD, "E11.9"), ("http://loinc.org", "2339-0"), ("urn:codes", "B20")],
)
def test_any_other_record_is_not(system: str, code: str) -> None:
    assert given(said(system, code)) == set()


def test_a_code_anywhere_counts_but_not_among_the_tags_of_the_record() -> None:
    deep = {"diagnosis": [{"diagnosisCodeableConcept": said(ICD, "F32.1")["code"]}]}
    assert given(deep) == {"PSY"}
    assert given({"contained": [said(ICD, "B20")]}) == {"HIV", "infectious"}
    assert given({"meta": {"tag": [{"system": ICD, "code": "B20"}]}}) == set()


def test_escapes_hide_nothing() -> None:
    body = (
        rb'{"code":{"coding":[{"system":"http:\/\/hl7.org\/fhir\/sid\/icd-10","code":"\u004220"}]}}'
    )
    assert given(json.loads(body), body) == {"HIV", "infectious"}
