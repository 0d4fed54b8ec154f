"""Extensions and their definitions (R4 extensibility.html, defining-extensions.html)."""

from __future__ import annotations

from typing import Any

import pytest
from profiling import Element, element, faults, observation, patient, profile, told

from quanmin.fhir.profiles import Profile

MARK = "https://example.org/mark"


def extension(*elements: Element, url: str = MARK, **more: Any) -> Profile:
    root = {"path": "Extension", "isModifier": more.pop("is_modifier", False)}
    return profile(
        root,
        element("Extension.url", fixedUri=url),
        *elements,
        url=url,
        kind="complex-type",
        **more,
    )


ANY = profile(element("Patient.photo", max="0"))
TEXT = element("Extension.value[x]", min=1, type=[{"code": "string"}])


def marked(**value: Any) -> dict[str, Any]:
    return {"extension": [{"url": MARK, **value}]}


def test_extensibility_an_extension_keeps_its_own_definition() -> None:
    of = extension(TEXT)
    assert faults(patient(**marked(valueString="a")), ANY, of) == []
    assert faults(patient(**marked(valueInteger=1)), ANY, of) == [
        "Patient.extension[0].value.ofType(integer)"
    ]
    inside = patient(name=[{"text": "a", **marked(valueBoolean=True)}])
    assert faults(inside, ANY, of) == ["Patient.name[0].extension[0].value.ofType(boolean)"]


def test_extensibility_extensions_stand_on_primitives_too() -> None:
    born = patient(birthDate="2000", _birthDate=marked(valueInteger=1))
    assert faults(born, ANY, extension(TEXT)) == [
        "Patient.birthDate.extension[0].value.ofType(integer)"
    ]


def test_extensibility_complex_extensions_are_sliced_by_url() -> None:
    by = {"discriminator": [{"type": "value", "path": "url"}], "rules": "closed"}
    of = extension(
        element("Extension.extension", slicing=by),
        element("Extension.extension", "code", min=1, max="1"),
        element("Extension.extension.url", fixedUri="code"),
        element("Extension.extension.value[x]", type=[{"code": "code"}]),
        element("Extension.value[x]", max="0"),
    )
    code = {"url": "code", "valueCode": "a"}
    assert faults(patient(**marked(extension=[code])), ANY, of) == []
    assert faults(patient(**marked(valueString="a")), ANY, of) == [
        "Patient.extension[0].extension",
        "Patient.extension[0].value",
    ]
    other = {"url": "other", "valueCode": "a"}
    assert faults(patient(**marked(extension=[code, other])), ANY, of) == [
        "Patient.extension[0].extension[1]"
    ]


@pytest.mark.parametrize(
    ("kind", "expression", "right"),
    [
        ("element", "Patient", True),
        ("element", "Observation", False),
        ("element", "DomainResource", True),
        ("element", "Element", True),
        ("element", "Patient.name", False),
        ("fhirpath", "Patient.where(active)", True),
        ("fhirpath", "Patient.where(active.not())", False),
        ("extension", "urn:outer", False),
    ],
)
def test_defining_extensions_context(kind: str, expression: str, *, right: bool) -> None:
    of = extension(TEXT, context=[{"type": kind, "expression": expression}])
    found = faults(patient(active=True, **marked(valueString="a")), ANY, of)
    assert found == ([] if right else ["Patient.extension[0]"])


@pytest.mark.parametrize(
    "expression",
    ["Patient.name", "HumanName", "Element", "urn:profile#Patient.name", "Patient.name:official"],
)
def test_defining_extensions_context_of_an_element(expression: str) -> None:
    of = extension(TEXT, context=[{"type": "element", "expression": expression}])
    assert faults(patient(name=[{"text": "a", **marked(valueString="a")}]), ANY, of) == []


def test_defining_extensions_context_of_an_extension() -> None:
    of = extension(TEXT, context=[{"type": "extension", "expression": "urn:outer"}])
    inner = {"url": MARK, "valueString": "a"}
    assert faults(patient(extension=[{"url": "urn:outer", "extension": [inner]}]), ANY, of) == []
    assert faults(patient(extension=[{"url": "urn:other", "extension": [inner]}]), ANY, of) == [
        "Patient.extension[0].extension[0]"
    ]


def test_structuredefinition_contextinvariant_is_asked_where_the_extension_stands() -> None:
    of = extension(TEXT, contextInvariant=["active and %extension.value = 'a'"])
    assert faults(patient(active=True, **marked(valueString="a")), ANY, of) == []
    assert faults(patient(active=False, **marked(valueString="a")), ANY, of) == [
        "Patient.extension[0]"
    ]
    assert faults(patient(active=True, **marked(valueString="b")), ANY, of) == [
        "Patient.extension[0]"
    ]


def test_extensibility_modifier_extensions_stand_where_they_belong() -> None:
    modifier, usual = extension(TEXT, is_modifier=True), extension(TEXT)
    held = [{"url": MARK, "valueString": "a"}]
    assert faults(patient(modifierExtension=held), ANY, modifier) == []
    assert faults(patient(extension=held), ANY, modifier) == ["Patient.extension[0]"]
    assert faults(patient(modifierExtension=held), ANY, usual) == ["Patient.modifierExtension[0]"]


def test_extensibility_what_nobody_knows_is_told_and_no_fault() -> None:
    unknown = [{"url": "urn:unknown", "valueString": "a"}]
    assert told(patient(extension=unknown), ANY) == [
        ("information", "informational", "Patient.extension[0]")
    ]
    assert told(patient(modifierExtension=unknown), ANY) == [
        ("warning", "extension", "Patient.modifierExtension[0]")
    ]


def test_a_profile_asks_for_an_extension_by_its_definition() -> None:
    kind = {"code": "Extension", "profile": [MARK]}
    of = profile(element("Observation.extension", "mark", min=1, max="1", type=[kind]))
    definition = extension(TEXT)
    assert faults(observation(**marked(valueString="a")), of, definition) == []
    assert faults(observation(), of, definition) == ["Observation.extension"]
    wrong = told(observation(**marked(valueInteger=1)), of, definition, is_brief=True)
    assert wrong == [("error", "structure", "Observation.extension[0].value.ofType(integer)")]


def test_a_write_is_not_held_to_definitions_that_no_profile_asks_for() -> None:
    wrong = patient(**marked(valueInteger=1))
    assert told(wrong, ANY, extension(TEXT), is_brief=True) == []


def test_a_profile_asks_for_an_extension_on_a_primitive() -> None:
    kind = {"code": "Extension", "profile": [MARK]}
    of = profile(element("Patient.birthDate.extension", "mark", min=1, type=[kind]))
    assert faults(patient(active=True), of, extension(TEXT)) == []
    assert faults(patient(birthDate="2000"), of, extension(TEXT)) == ["Patient.birthDate.extension"]
    born = patient(birthDate="2000", _birthDate=marked(valueString="a"))
    assert faults(born, of, extension(TEXT)) == []


def test_elementdefinition_profile_of_contained_and_bundled_records() -> None:
    named = profile(element("Patient.name", min=1), url="urn:named")
    kind = {"code": "Patient", "profile": ["urn:named"]}
    held = observation(contained=[patient(id="p", active=True)], subject={"reference": "#p"})
    of = profile(element("Observation.contained", type=[kind]))
    assert faults(held, of, named) == ["Observation.contained[0].name"]
    of = profile(element("Bundle.entry.resource", type=[kind]))
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": patient(active=True)}],
    }
    assert faults(bundle, of, named) == ["Bundle.entry[0].resource.name"]
