"""Snapshots, differentials and bases (R4 profiling.html#snapshot), and what cannot be compiled."""

from __future__ import annotations

from typing import Any

import pytest
from profiling import BASE, URL, coded, element, faults, observation, patient, profile

from quanmin.fhir.profiles import Faulty, Knowledge, check_record


def test_profiling_a_differential_is_laid_over_a_type() -> None:
    of = profile(element("Patient.contact.name.family", min=1), part="differential")
    assert faults(patient(contact=[{"name": {"text": "x"}}]), of) == [
        "Patient.contact[0].name.family"
    ]


def test_profiling_a_differential_is_laid_over_another_profile() -> None:
    base = profile(element("Patient.name", min=1), element("Patient.gender", min=1), url="urn:base")
    of = profile(
        element("Patient.birthDate", min=1),
        element("Patient.name.family", min=1),
        base=base,
        part="differential",
        baseDefinition="urn:base",
    )
    assert faults(patient(birthDate="2000", gender="male", name=[{"family": "a"}]), of) == []
    assert sorted(faults(patient(active=True), of)) == [
        "Patient.birthDate",
        "Patient.gender",
        "Patient.name",
    ]
    assert faults(patient(name=[{"text": "t"}], birthDate="2000", gender="male"), of) == [
        "Patient.name[0].family"
    ]
    # The base is as it was.
    assert faults(patient(gender="male", name=[{"text": "t"}]), base) == []


def test_profiling_a_differential_narrows_slices_of_its_base() -> None:
    by = {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}
    base = profile(
        element("Patient.identifier", slicing=by),
        element("Patient.identifier", "a"),
        element("Patient.identifier.system", fixedUri="urn:a"),
        url="urn:base",
    )
    of = profile(
        element("Patient.identifier", "a", min=1),
        element("Patient.identifier.value", min=1),
        element("Patient.identifier", "b", max="1"),
        element("Patient.identifier.system", fixedUri="urn:b"),
        base=base,
        part="differential",
        baseDefinition="urn:base",
    )
    a, b = {"system": "urn:a", "value": "1"}, {"system": "urn:b"}
    assert faults(patient(identifier=[a, b]), of) == []
    assert faults(patient(identifier=[b]), of) == ["Patient.identifier"]
    assert faults(patient(identifier=[a, b, b]), of) == ["Patient.identifier"]
    assert faults(patient(identifier=[{"system": "urn:a"}]), of) == ["Patient.identifier[0].value"]


def test_profiling_slices_of_a_choice_and_extensions_need_no_slicing_entry() -> None:
    of = profile(
        element("Observation.value[x]", "valueQuantity", type=[{"code": "Quantity"}]),
        element("Observation.value[x].unit", min=1),
        element(
            "Observation.extension",
            "mark",
            min=1,
            type=[{"code": "Extension", "profile": ["urn:m"]}],
        ),
        part="differential",
    )
    marked = {"extension": [{"url": "urn:m", "valueBoolean": True}]}
    assert faults(observation(valueString="x", **marked), of) == []
    assert faults(observation(valueQuantity={"value": 1}, **marked), of) == [
        "Observation.value.ofType(Quantity).unit"
    ]
    assert faults(observation(), of) == ["Observation.extension"]


@pytest.mark.parametrize("with_ids", [True, False])
def test_elements_find_their_slices_by_id_or_by_order(*, with_ids: bool) -> None:
    by = {"discriminator": [{"type": "pattern", "path": "code"}], "rules": "open"}
    elements: list[tuple[str, str, str, dict[str, Any]]] = [
        ("Observation.component", "", "Observation.component", {"slicing": by}),
        ("Observation.component", "a", "Observation.component:a", {}),
        (
            "Observation.component.code",
            "",
            "Observation.component:a.code",
            {"patternCodeableConcept": coded("a")},
        ),
        ("Observation.component.value[x]", "", "Observation.component:a.value[x]", {"min": 1}),
        ("Observation.component", "b", "Observation.component:b", {}),
        (
            "Observation.component.code",
            "",
            "Observation.component:b.code",
            {"patternCodeableConcept": coded("b")},
        ),
    ]
    of = profile(
        *(
            element(path, name, **{**({"id": id_} if with_ids else {}), **more})
            for path, name, id_, more in elements
        )
    )
    parts = [{"code": coded("b")}, {"code": coded("a")}]
    assert faults(observation(component=parts), of) == ["Observation.component[1].value"]


def test_a_choice_may_be_named_by_its_type_twice() -> None:
    of = profile(
        element("Observation.valueQuantity", "valueQuantity", type=[{"code": "Quantity"}]),
        element("Observation.valueQuantity.unit", min=1),
        part="differential",
    )
    assert faults(observation(valueQuantity={"value": 1, "unit": "kg"}), of) == []
    assert faults(observation(valueQuantity={"value": 1}), of) == [
        "Observation.value.ofType(Quantity).unit"
    ]


FAULTY: list[tuple[str, dict[str, Any], str]] = [
    ("no such element", {"path": "Patient.nose"}, "path"),
    ("another type", {"path": "Observation.code"}, "path"),
    ("no such type", {"path": "Patient.active", "type": [{"code": "string"}]}, "type"),
    ("more than there may be", {"path": "Patient.name", "min": 2, "max": "1"}, "min"),
    ("no number", {"path": "Patient.name", "max": "many"}, "max"),
    ("no bound", {"path": "Patient.birthDate", "minValueDate": "soon"}, "minValueDate"),
    (
        "no FHIRPath",
        {
            "path": "Patient.name",
            "constraint": [{"key": "k", "severity": "error", "human": "h", "expression": "a ="}],
        },
        "constraint[0].expression",
    ),
    (
        "no discriminator",
        {
            "path": "Patient.name",
            "slicing": {"rules": "open", "discriminator": [{"type": "value", "path": "a + b"}]},
        },
        "slicing.discriminator[0].path",
    ),
]


@pytest.mark.parametrize(("said", "wrong", "where"), FAULTY)
def test_what_cannot_be_compiled_is_located(said: str, wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(Faulty) as refusal:
        profile(element("Patient.active"), wrong, type_="Patient")
    (issue,) = refusal.value.issues
    assert issue.expression == f"StructureDefinition.snapshot.element[2].{where}", said


def test_slices_that_nothing_tells_apart_are_refused() -> None:
    with pytest.raises(Faulty, match="cannot be used"):
        profile(element("Patient.identifier", "a"))


def test_a_definition_without_elements_is_refused() -> None:
    with pytest.raises(Faulty):
        profile(type_="Patient", part="snapshot", snapshot={})


def test_a_differential_needs_its_base() -> None:
    with pytest.raises(Faulty) as refusal:
        profile(element("Patient.name"), part="differential", baseDefinition="urn:unknown")
    assert refusal.value.issues[0].expression == "StructureDefinition.baseDefinition"


def test_a_profile_is_of_the_type_of_its_base() -> None:
    with pytest.raises(Faulty) as refusal:
        profile(element("Patient.name"), part="differential", baseDefinition=BASE + "Observation")
    assert refusal.value.issues[0].expression == "StructureDefinition.type"


def test_a_definition_that_cannot_be_used_is_told_to_whoever_asks_for_it() -> None:
    knowledge = Knowledge({URL: "it is broken"})
    (issue,) = check_record(patient(active=True), knowledge, profiles=[URL])
    assert (issue.severity, issue.code) == ("error", "not-supported")
    assert "it is broken" in issue.text
