"""The second part of the front page: every field that the norm names is there, filled or not."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

from quanmin.web.basics import Known, groups, tell_basics
from quanmin.web.reading import Reader
from quanmin.web.visit import Visit

# Population, social and economic, medical insurance and basic health information (国卫办基层发
# 〔2024〕15号, part two), with the fields of each; whoever changes one names the source there.
NORM = {
    "population": [
        "name",
        "sex",
        "born",
        "identity",
        "ethnic-group",
        "phone",
        "address",
        "contact",
    ],
    "social": ["marital", "education", "occupation"],
    "insurance": ["coverage"],
    "health": ["allergies", "diagnoses", "procedures", "family", "disability"],
}
VISIT = cast(
    "Visit",
    SimpleNamespace(
        language="en",
        colon=": ",
        today=date(2026, 11, 23),
        reader=Reader("en", ZoneInfo("Asia/Shanghai")),
    ),
)
EXTENSION = "https://quanmin.example/fhir/StructureDefinition"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "name": [{"text": "张伟"}],
    "gender": "male",
    "birthDate": "1980-05-03",
    "identifier": [{"value": "11010519491231002X"}],
    "telecom": [{"system": "phone", "value": "15400001234"}],
    "address": [{"text": "青县东路1号"}],
    "maritalStatus": {"text": "已婚"},
    "contact": [{"name": {"text": "李芳"}, "relationship": [{"text": "配偶"}]}],
    "extension": [
        {"url": f"{EXTENSION}/ethnic-group", "valueCoding": {"display": "汉族"}},
        {"url": f"{EXTENSION}/occupation", "valueString": "农民"},
        {"url": f"{EXTENSION}/disability", "valueCodeableConcept": {"text": "听力残疾"}},
    ],
}
SCHOOL = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "82589-3"}]},
    "valueCodeableConcept": {"text": "初中"},
}
RECORDS: list[dict[str, Any]] = [
    SCHOOL,
    {"resourceType": "Coverage", "status": "active", "type": {"text": "城乡居民基本医疗保险"}},
    {"resourceType": "AllergyIntolerance", "code": {"text": "青霉素"}},
    {"resourceType": "Condition", "code": {"text": "高血压"}},
    {"resourceType": "Procedure", "status": "completed", "code": {"text": "阑尾切除术"}},
    {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "relationship": {"text": "父亲"},
        "condition": [{"code": {"text": "糖尿病"}}],
    },
]


def told(known: Known) -> dict[str, list[str]]:
    found = tell_basics(VISIT, known, is_own=True)
    return {one.code: [words for words, _ in one.values] for _, each in found for one in each}


def test_the_fields_are_those_of_the_norm() -> None:
    assert {one.code: [field.code for field in one.fields] for one in groups()} == NORM


def test_a_field_that_nobody_has_recorded_is_there_and_empty() -> None:
    every = [code for codes in NORM.values() for code in codes]
    assert told(Known([({"resourceType": "Patient"}, "甲")], [])) == {code: [] for code in every}


def test_every_field_is_filled_from_where_it_is_recorded() -> None:
    assert told(Known([(PATIENT, "甲")], RECORDS)) == {
        "name": ["张伟"], "sex": ["Male"], "born": ["1980-05-03"],
        "identity": ["11010519491231002X"], "ethnic-group": ["汉族"], "phone": ["15400001234"],
        "address": ["青县东路1号"], "contact": ["李芳 配偶"], "marital": ["已婚"],
        "education": ["初中"], "occupation": ["农民"], "coverage": ["城乡居民基本医疗保险"],
        "allergies": ["青霉素"], "diagnoses": ["高血压"], "procedures": ["阑尾切除术"],
        "family": ["父亲: 糖尿病"], "disability": ["听力残疾"],
    }  # fmt: skip


def test_what_was_taken_back_is_not_told_and_who_says_so_is() -> None:
    mistaken: list[dict[str, Any]] = [
        {**SCHOOL, "status": "entered-in-error"},
        {"resourceType": "Procedure", "status": "not-done", "code": {"text": "阑尾切除术"}},
        {
            "resourceType": "AllergyIntolerance",
            "verificationStatus": {"coding": [{"code": "refuted"}]},
            "code": {"text": "青霉素"},
        },
    ]
    other = {**PATIENT, "maritalStatus": {"text": "离婚"}}
    known = Known([(PATIENT, "甲"), (other, "乙"), (PATIENT, "丙")], mistaken)
    found = told(known)
    assert (found["education"], found["procedures"], found["allergies"]) == ([], [], [])
    (marital,) = (
        one
        for _, each in tell_basics(VISIT, known, is_own=False)
        for one in each
        if one.code == "marital"
    )
    assert marital.values == [("已婚", ["甲", "丙"]), ("离婚", ["乙"])]


def test_of_many_values_some_are_shown_and_the_rest_is_counted() -> None:
    several = [{"resourceType": "Condition", "code": {"text": f"病{at}"}} for at in range(10)]
    (diagnoses,) = (
        one
        for _, each in tell_basics(VISIT, Known([], several), is_own=True)
        for one in each
        if one.code == "diagnoses"
    )
    assert (len(diagnoses.values), diagnoses.more, diagnoses.is_partial) == (8, 2, False)


def test_of_records_that_were_not_all_read_no_number_is_told() -> None:
    read = [{"resourceType": "Condition", "code": {"text": "病"}}]
    known = Known([], read, frozenset({"Condition", "Procedure"}))
    partial = {
        one.code
        for _, each in tell_basics(VISIT, known, is_own=True)
        for one in each
        if one.is_partial
    }
    assert partial == {"diagnoses"}
