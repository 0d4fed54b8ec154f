"""Slicing (R4 profiling.html#slicing) and discriminators (profiling.html#discriminator)."""

from __future__ import annotations

from typing import Any

import pytest
from profiling import (
    BASE,
    URL,
    Element,
    coded,
    element,
    faults,
    observation,
    patient,
    profile,
    told,
)


def slicing(*by: tuple[str, str], rules: str = "open", **more: Any) -> Element:
    discriminators = [{"type": kind, "path": path} for kind, path in by]
    return {"discriminator": discriminators, "rules": rules, **more}


def identifiers(*systems: str) -> dict[str, Any]:
    return patient(identifier=[{"system": system, "value": "1"} for system in systems])


def sliced(rules: str = "open", **more: Any) -> tuple[Element, ...]:
    """Patient.identifier in two slices: a once or twice, b at most once."""
    by = slicing(("value", "system"), rules=rules, **more)
    return (
        element("Patient.identifier", slicing=by),
        element("Patient.identifier", "a", min=1, max="2"),
        element("Patient.identifier.system", fixedUri="urn:a"),
        element("Patient.identifier", "b", min=0, max="1"),
        element("Patient.identifier.system", fixedUri="urn:b"),
        element("Patient.identifier.period", min=1),
    )


def test_profiling_slicing_counts_each_slice() -> None:
    of = profile(*sliced())
    assert faults(identifiers("urn:a", "urn:c"), of) == []
    assert told(identifiers("urn:c"), of) == [("error", "required", "Patient.identifier")]
    assert faults(identifiers("urn:a", "urn:a", "urn:a"), of) == ["Patient.identifier"]


def test_profiling_slicing_holds_only_what_is_in_the_slice_to_its_rules() -> None:
    of = profile(*sliced())
    assert faults(identifiers("urn:a", "urn:b"), of) == ["Patient.identifier[1].period"]


def test_profiling_slicing_closed_takes_no_others() -> None:
    of = profile(*sliced("closed"))
    assert faults(identifiers("urn:a"), of) == []
    assert faults(identifiers("urn:a", "urn:c"), of) == ["Patient.identifier[1]"]


def test_profiling_slicing_open_at_end_takes_others_behind() -> None:
    of = profile(*sliced("openAtEnd"))
    assert faults(identifiers("urn:a", "urn:c"), of) == []
    assert faults(identifiers("urn:c", "urn:a"), of) == ["Patient.identifier[1]"]


def test_profiling_slicing_may_be_ordered() -> None:
    of = profile(
        element("Patient.identifier", slicing=slicing(("value", "system"), ordered=True)),
        element("Patient.identifier", "a"),
        element("Patient.identifier.system", fixedUri="urn:a"),
        element("Patient.identifier", "b"),
        element("Patient.identifier.system", fixedUri="urn:b"),
    )
    assert faults(identifiers("urn:a", "urn:c", "urn:a", "urn:b"), of) == []
    assert faults(identifiers("urn:b", "urn:a"), of) == ["Patient.identifier[1]"]


def test_profiling_default_slice_takes_what_is_in_no_other() -> None:
    of = profile(
        element("Patient.identifier", slicing=slicing(("value", "system"), rules="closed")),
        element("Patient.identifier", "a"),
        element("Patient.identifier.system", fixedUri="urn:a"),
        element("Patient.identifier", "@default", max="1"),
        element("Patient.identifier.type", min=1),
    )
    assert faults(identifiers("urn:a"), of) == []
    assert faults(identifiers("urn:a", "urn:c"), of) == ["Patient.identifier[1].type"]


def test_profiling_reslicing_divides_a_slice() -> None:
    of = profile(
        element("Patient.identifier", slicing=slicing(("value", "system"))),
        element("Patient.identifier", "a", slicing=slicing(("value", "use"), rules="closed")),
        element("Patient.identifier.system", fixedUri="urn:a"),
        element("Patient.identifier", "a/old", min=1),
        element("Patient.identifier.use", fixedCode="old"),
        element("Patient.identifier", "a/usual", max="1"),
        element("Patient.identifier.use", fixedCode="usual"),
    )
    old, usual = {"system": "urn:a", "use": "old"}, {"system": "urn:a", "use": "usual"}
    other = {"system": "urn:b", "use": "temp"}
    assert faults(patient(identifier=[old, usual, other]), of) == []
    assert faults(patient(identifier=[usual, other]), of) == ["Patient.identifier"]
    assert faults(patient(identifier=[old, usual, usual]), of) == ["Patient.identifier"]
    assert faults(patient(identifier=[old, {"system": "urn:a", "use": "temp"}]), of) == [
        "Patient.identifier[1]"
    ]


def components(*codes: str) -> dict[str, Any]:
    return observation(component=[{"code": coded(code), "valueString": code} for code in codes])


BY_VALUE: list[tuple[str, tuple[str, str], list[Element]]] = [
    (
        "fixed value at the path",
        ("value", "code.coding.code"),
        [element("Observation.component.code.coding.code", fixedCode="a")],
    ),
    (
        "pattern at the path",
        ("pattern", "code"),
        [element("Observation.component.code", patternCodeableConcept=coded("a"))],
    ),
    (
        "pattern above the path",
        ("value", "code.coding.code"),
        [element("Observation.component.code", patternCodeableConcept=coded("a"))],
    ),
    (
        "fixed value above the path",
        ("value", "code.coding.code"),
        [element("Observation.component.code", fixedCodeableConcept=coded("a"))],
    ),
    (
        "fixed values below the path",
        ("value", "code"),
        [
            element("Observation.component.code.coding", min=1),
            element("Observation.component.code.coding.code", min=1, fixedCode="a"),
        ],
    ),
]


@pytest.mark.parametrize(("said", "by", "inner"), BY_VALUE)
def test_profiling_discriminator_value(
    said: str, by: tuple[str, str], inner: list[Element]
) -> None:
    of = profile(
        element("Observation.component", slicing=slicing(by)),
        element("Observation.component", "a", min=1, max="1"),
        *inner,
    )
    assert faults(components("a", "b"), of) == []
    assert faults(components("b", "c"), of) == ["Observation.component"], said


def test_profiling_discriminator_value_by_a_required_binding() -> None:
    binding = {"strength": "required", "valueSet": "urn:set"}
    of = profile(
        element("Observation.component", slicing=slicing(("value", "code"))),
        element("Observation.component", "a", max="1"),
        element("Observation.component.code", binding=binding),
    )
    known: dict[tuple[str, str | None, str], bool | None] = {
        ("urn:set", "urn:s", "a"): True,
        ("urn:set", "urn:s", "b"): True,
        ("urn:set", "urn:s", "c"): False,
    }
    assert faults(components("a", "c", "c"), of, members=known) == []
    assert faults(components("a", "b"), of, members=known) == ["Observation.component"]


def test_profiling_discriminator_by_several_paths() -> None:
    of = profile(
        element("Patient.identifier", slicing=slicing(("value", "system"), ("value", "use"))),
        element("Patient.identifier", "a", min=1),
        element("Patient.identifier.system", fixedUri="urn:a"),
        element("Patient.identifier.use", fixedCode="old"),
    )
    assert faults(patient(identifier=[{"system": "urn:a", "use": "old"}]), of) == []
    assert faults(patient(identifier=[{"system": "urn:a", "use": "usual"}]), of) == [
        "Patient.identifier"
    ]


def test_profiling_discriminator_of_this() -> None:
    of = profile(
        element("Observation.category", slicing=slicing(("pattern", "$this"))),
        element("Observation.category", "lab", min=1, patternCodeableConcept=coded("lab")),
    )
    assert faults(observation(category=[coded("x"), coded("lab")]), of) == []
    assert faults(observation(category=[coded("x")]), of) == ["Observation.category"]


def test_profiling_discriminator_of_this_may_be_a_primitive() -> None:
    of = profile(
        element("Patient.name.given", slicing=slicing(("value", "$this"), rules="closed")),
        element("Patient.name.given", "first", max="1", fixedString="A"),
        element("Patient.name.given", "second", max="1", fixedString="B"),
    )
    assert faults(patient(name=[{"given": ["A", "B"]}]), of) == []
    assert faults(patient(name=[{"given": ["A", "C"]}]), of) == ["Patient.name[0].given[1]"]


def test_profiling_discriminator_exists() -> None:
    of = profile(
        element("Patient.contact", slicing=slicing(("exists", "organization"), rules="closed")),
        element("Patient.contact", "person", max="1"),
        element("Patient.contact.organization", max="0"),
        element("Patient.contact.name", min=1),
        element("Patient.contact", "office"),
        element("Patient.contact.organization", min=1),
        element("Patient.contact.telecom", min=1),
    )
    person = {"name": {"text": "a"}}
    office = {"organization": {"display": "o"}, "telecom": [{"value": "1"}]}
    assert faults(patient(contact=[person, office, office]), of) == []
    assert faults(patient(contact=[person, person]), of) == ["Patient.contact"]
    assert faults(patient(contact=[{"organization": {"display": "o"}}]), of) == [
        "Patient.contact[0].telecom"
    ]


def test_profiling_discriminator_type() -> None:
    of = profile(
        element("Observation.value[x]", slicing=slicing(("type", "$this"), rules="closed")),
        element("Observation.value[x]", "valueQuantity", type=[{"code": "Quantity"}]),
        element("Observation.value[x].unit", min=1),
        element("Observation.value[x]", "valueString", type=[{"code": "string"}]),
    )
    assert faults(observation(valueString="x"), of) == []
    assert faults(observation(valueQuantity={"value": 1}), of) == [
        "Observation.value.ofType(Quantity).unit"
    ]
    assert faults(observation(valueInteger=1), of) == ["Observation.value.ofType(integer)"]


def test_profiling_discriminator_type_of_entries() -> None:
    of = profile(
        element("Bundle.entry", slicing=slicing(("type", "resource"))),
        element("Bundle.entry", "patient", min=1, max="1"),
        element("Bundle.entry.resource", type=[{"code": "Patient"}]),
        element("Bundle.entry", "results", min=1),
        element("Bundle.entry.resource", type=[{"code": "Observation"}]),
        element("Bundle.entry.resource.subject", min=1),
    )
    held = [patient(active=True), observation(subject={"display": "x"}), observation()]

    def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
        entries = [{"resource": resource} for resource in resources]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    assert faults(bundle(*held[:2]), of) == []
    assert faults(bundle(*held[1:2]), of) == ["Bundle.entry"]
    assert faults(bundle(*held), of) == ["Bundle.entry[2].resource.subject"]


def test_profiling_discriminator_type_behind_resolve() -> None:
    def to(name: str) -> list[dict[str, Any]]:
        return [{"code": "Reference", "targetProfile": [BASE + name]}]

    of = profile(
        element("Observation.performer", slicing=slicing(("type", "resolve()"), rules="closed")),
        element("Observation.performer", "who", min=1, type=to("Practitioner")),
        element("Observation.performer", "where", max="1", type=to("Organization")),
    )

    def performed(*references: str) -> dict[str, Any]:
        return observation(performer=[{"reference": each} for each in references])

    assert faults(performed("Practitioner/1", "Organization/1"), of) == []
    assert faults(performed("Organization/1"), of) == ["Observation.performer"]
    assert faults(performed("Practitioner/1", "Patient/1"), of) == ["Observation.performer[1]"]


def test_profiling_discriminator_value_behind_resolve() -> None:
    inner = profile(element("Observation.code", fixedCodeableConcept=coded("a")), url="urn:inner")
    kind = {"code": "Reference", "targetProfile": ["urn:inner"]}
    of = profile(
        element("Observation.hasMember", slicing=slicing(("value", "resolve().code"))),
        element("Observation.hasMember", "a", min=1, type=[kind]),
    )
    panel = observation(hasMember=[{"reference": "Observation/1"}])
    right, wrong = observation(code=coded("a")), observation(code=coded("b"))
    assert faults(panel, of, inner, targets={"Observation/1": right}) == []
    assert faults(panel, of, inner, targets={"Observation/1": wrong}) == ["Observation.hasMember"]
    assert faults(observation(), of, inner) == ["Observation.hasMember"]
    # What cannot be looked at is in no slice for sure, and in none for sure not.
    assert faults(panel, of, inner, targets={"Observation/1": None}) == []


def test_profiling_discriminator_profile() -> None:
    named = profile(element("Patient.name", min=1), url="urn:named")
    of = profile(
        element("Bundle.entry", slicing=slicing(("profile", "resource"))),
        element("Bundle.entry", "named", min=1),
        element("Bundle.entry.resource", type=[{"code": "Patient", "profile": ["urn:named"]}]),
    )

    def bundle(**more: Any) -> dict[str, Any]:
        entries = [{"resource": patient(**more)}]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    assert faults(bundle(name=[{"text": "a"}]), of, named) == []
    assert faults(bundle(gender="male"), of, named) == ["Bundle.entry"]


def test_profiling_discriminator_may_lead_into_extensions_and_types() -> None:
    of = profile(
        element(
            "Observation.component",
            slicing=slicing(
                ("value", "extension('urn:mark').value"), ("value", "value.ofType(Quantity).unit")
            ),
        ),
        element("Observation.component", "a", id="Observation.component:a", min=1, max="1"),
        element(
            "Observation.component.extension",
            "mark",
            id="Observation.component:a.extension:mark",
            type=[{"code": "Extension", "profile": ["urn:mark"]}],
        ),
        element(
            "Observation.component.extension.value[x]",
            id="Observation.component:a.extension:mark.value[x]",
            fixedString="yes",
        ),
        element(
            "Observation.component.value[x].unit",
            id="Observation.component:a.value[x].unit",
            fixedString="kg",
        ),
    )

    def marked(mark: str, unit: str) -> dict[str, Any]:
        extension = [{"url": "urn:mark", "valueString": mark}]
        quantity = {"value": 1, "unit": unit}
        return {"extension": extension, "code": {"text": "c"}, "valueQuantity": quantity}

    assert faults(observation(component=[marked("yes", "kg"), marked("no", "kg")]), of) == []
    assert faults(observation(component=[marked("no", "kg")]), of) == ["Observation.component"]
    assert faults(observation(component=[marked("yes", "g")]), of) == ["Observation.component"]


def test_profiling_slicing_without_discriminators_goes_by_all_rules() -> None:
    of = profile(
        element("Patient.telecom", slicing={"rules": "closed"}),
        element("Patient.telecom", "mail", max="1"),
        element("Patient.telecom.system", fixedCode="email"),
    )
    mail, phone = {"system": "email", "value": "a"}, {"system": "phone", "value": "1"}
    assert faults(patient(telecom=[mail]), of) == []
    assert faults(patient(telecom=[mail, mail]), of) == ["Patient.telecom"]
    assert faults(patient(telecom=[phone]), of) == ["Patient.telecom[0]"]


def test_profiling_slices_count_within_each_parent() -> None:
    of = profile(
        element("Patient.contact.telecom", slicing=slicing(("value", "system"))),
        element("Patient.contact.telecom", "phone", min=1),
        element("Patient.contact.telecom.system", fixedCode="phone"),
    )
    phone, mail = {"system": "phone", "value": "1"}, {"system": "email", "value": "a"}
    assert faults(patient(contact=[{"telecom": [phone]}, {"telecom": [mail]}]), of) == [
        "Patient.contact[1].telecom"
    ]


def test_profiling_slices_may_be_sliced_inside() -> None:
    of = profile(
        element("Observation.component", slicing=slicing(("value", "value"))),
        element("Observation.component", "a", id="Observation.component:a"),
        element(
            "Observation.component.value[x]", id="Observation.component:a.value[x]", fixedString="a"
        ),
        element(
            "Observation.component.code.coding",
            id="Observation.component:a.code.coding",
            slicing=slicing(("value", "system")),
        ),
        element(
            "Observation.component.code.coding",
            "loinc",
            id="Observation.component:a.code.coding:loinc",
            min=1,
        ),
        element(
            "Observation.component.code.coding.system",
            id="Observation.component:a.code.coding:loinc.system",
            fixedUri="urn:s",
        ),
    )
    assert faults(components("a", "b"), of) == []
    other = observation(component=[{"code": coded("x", system="urn:t"), "valueString": "a"}])
    assert faults(other, of) == ["Observation.component[0].code.coding"]


def test_profiling_a_slice_by_codes_that_nobody_knows_is_not_counted() -> None:
    binding = {"strength": "required", "valueSet": "urn:set"}
    of = profile(
        element("Observation.component", slicing=slicing(("value", "code"))),
        element("Observation.component", "a", min=1),
        element("Observation.component.code", binding=binding),
    )
    known: dict[tuple[str, str | None, str], bool | None] = {("urn:set", "urn:s", "a"): None}
    assert faults(components("a"), of, members=known) == []
    known["urn:set", "urn:s", "a"] = False
    assert faults(components("a"), of, members=known) == ["Observation.component"]


def test_profiling_a_slice_may_be_told_by_what_is_sliced_inside_it() -> None:
    by = slicing(("value", "code.coding.code"))
    of = profile(
        element("Observation.component", slicing=by),
        element("Observation.component", "a", min=1),
        element("Observation.component.code.coding", slicing=slicing(("value", "code"))),
        element("Observation.component.code.coding", "inner", min=1),
        element("Observation.component.code.coding.code", fixedCode="a"),
        element("Observation.component.code.text", min=1),
    )
    # It is in the slice by its code, so that what it lacks is told where it lacks it.
    assert faults(components("a"), of) == ["Observation.component[0].code.text"]
    assert faults(components("b"), of) == ["Observation.component"]


def test_a_slice_told_by_a_profile_that_is_not_known_is_not_counted() -> None:
    of = profile(
        element(
            "Observation.contained",
            slicing={"discriminator": [{"type": "profile", "path": "$this"}], "rules": "closed"},
        ),
        element(
            "Observation.contained", "p", min=1, type=[{"code": "Patient", "profile": ["urn:p"]}]
        ),
    )
    held = observation(contained=[patient(id="p")], subject={"reference": "#p"})
    assert faults(held, of) == []
    known = profile(element("Patient.gender", min=1), url="urn:p")
    assert faults(held, of, known) == ["Observation.contained[0]", "Observation.contained"]


# ---- slice() in rules (R4 fhirpath.html, 2.9.1.5) ------------------------------------------------


def asking(expression: str) -> Element:
    rule = {"key": "s-1", "severity": "error", "human": "h", "expression": expression}
    return element("Patient", constraint=[rule])


def test_fhirpath_2_9_1_5_slice_finds_the_elements_of_a_slice() -> None:
    of = profile(asking("identifier.slice(%profile, 'a').count() = 2"), *sliced())
    assert faults(identifiers("urn:a", "urn:c", "urn:a"), of) == []
    assert faults(identifiers("urn:a", "urn:b2"), of) == ["Patient"]
    of = profile(asking("active.exists() or identifier.slice(%profile, 'b').empty()"), *sliced())
    assert faults(identifiers("urn:a"), of) == []
    where = f"Patient.identifier.slice('{URL}', 'a').system.distinct() = 'urn:a'"
    assert faults(identifiers("urn:a", "urn:c"), profile(asking(where), *sliced())) == []


def test_fhirpath_2_9_1_5_slice_of_what_is_not_known_is_an_error() -> None:
    for expression in (
        "identifier.slice(%profile, 'x').empty()",
        "identifier.slice('urn:other', 'a').empty()",
        "identifier.system.slice(%profile, 'a').empty()",
        "('a').slice(%profile, 'a').empty()",
    ):
        of = profile(asking(expression), *sliced())
        assert ("warning", "not-supported", "Patient") in told(identifiers("urn:a"), of)
    assert faults(patient(active=True), profile(asking("name.slice(%profile, 'a').empty()"))) == []


def test_fhirpath_2_9_1_5_profile_is_the_one_whose_rule_is_asked() -> None:
    inner = profile(
        asking("identifier.slice(%profile, 'a').exists()"),
        *sliced(),
        url="https://example.org/StructureDefinition/inner",
    )
    outer = profile(
        element("Bundle.entry"),
        element(
            "Bundle.entry.resource",
            type=[{"code": "Patient", "profile": [inner.url]}],
        ),
    )
    bundle = {"resourceType": "Bundle", "type": "collection"}
    assert faults({**bundle, "entry": [{"resource": identifiers("urn:a")}]}, outer, inner) == []
    wrong = faults({**bundle, "entry": [{"resource": identifiers("urn:c")}]}, outer, inner)
    assert "Bundle.entry[0].resource" in wrong
