"""What is a resource and what is not, rule by rule; the wording is held by the golden files."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from quanmin.base.problems import Malformed
from quanmin.fhir.validation import validate

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def issues(resource: dict[str, Any], **options: Any) -> list[tuple[str, str]]:
    """(location, code) of each issue."""
    raw = msgspec.json.encode(resource)
    found = validate(str(resource["resourceType"]), raw, **options)
    return [(issue.expression, issue.code) for issue in found]


def observation(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **members}


def basic(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Basic", "code": {"text": "x"}, **members}


def test_a_right_resource_has_no_issues() -> None:
    assert issues(observation()) == []


def test_a_mandatory_element_must_be_there() -> None:
    assert issues({"resourceType": "Observation", "status": "final"}) == [
        ("Observation.code", "required")
    ]
    assert issues({"resourceType": "Immunization"})[2:] == [
        ("Immunization.patient", "required"),
        ("Immunization.occurrence", "required"),
    ]


def test_an_extension_may_stand_for_a_mandatory_primitive() -> None:
    absent = {"extension": [{"url": "http://example.org/absent", "valueCode": "unknown"}]}
    resource = {"resourceType": "Observation", "_status": absent, "code": {"text": "x"}}
    assert issues(resource) == []


def test_a_choice_may_be_given_once() -> None:
    twice = observation(valueString="a", valueInteger=1)
    assert issues(twice) == [("Observation.value", "structure")]
    wrong = observation(valueAddress={"text": "x"})
    assert issues(wrong) == [("Observation", "structure")]


def test_a_list_is_a_list_and_a_single_is_single() -> None:
    assert issues(observation(category={"text": "x"})) == [("Observation.category", "structure")]
    assert issues(observation(issued=["2026-01-01T00:00:00Z"])) == [
        ("Observation.issued", "structure")
    ]
    assert issues(observation(category=[])) == [("Observation.category", "structure")]


def test_nulls_stand_only_beside_extensions() -> None:
    extension = {"url": "u", "valueBoolean": True}
    name = {"given": ["a", None], "_given": [None, {"id": "x", "extension": [extension]}]}
    assert issues({"resourceType": "Patient", "name": [name]}) == []
    assert issues({"resourceType": "Patient", "name": [{"given": ["a", None]}]}) == [
        ("Patient.name[0].given[1]", "structure")
    ]
    assert issues({"resourceType": "Patient", "active": None}) == [("Patient.active", "structure")]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("birthDate", ["2020", "2020-02", "2020-02-29"], ["2021-02-29", "2020-2-1", "0000", 2020]),
        (
            "deceasedDateTime",
            ["2020-01-01T10:00:00+08:00"],
            ["2020-01-01T10:00:00", "2020-01-01T10:00Z"],
        ),
        ("multipleBirthInteger", [0, -1, 2147483647], [2147483648, 1.5, "1", True]),
        ("active", [True, False], ["true", 1]),
        ("id", ["a", "A-1.b", "x" * 64], ["", "a b", "x" * 65, "ä"]),
        ("implicitRules", ["http://a.example/例", "a"], ["a b", " a", ""]),
        ("language", ["zh", "zh-CN"], [" zh", "zh  CN", "zh "]),
    ],
)
def test_primitives_have_their_form(name: str, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        assert issues({"resourceType": "Patient", name: value}) == []
    for value in wrong:
        (issue,) = issues({"resourceType": "Patient", name: value})
        assert issue[1] == "value"


def test_base64_may_be_broken_into_lines_and_must_be_whole() -> None:
    def attached(data: str) -> list[tuple[str, str]]:
        return issues(basic(extension=[{"url": "u", "valueBase64Binary": data}]))

    assert attached("YWJj") == attached("YWJj\r\nYWI=") == []
    for data in ("YWJ", "YWJj=", "YW=j", "Y W", "====", "全"):
        assert len(attached(data)) == 1


def test_text_holds_no_control_characters_but_full_width_spaces_are_welcome() -> None:
    assert issues(observation(valueString="张\u3000三\t\r\n")) == []
    assert issues(observation(valueString="a\u0000b")) == [
        ("Observation.value.ofType(string)", "value")
    ]


def test_required_codes_are_checked_and_open_ones_are_not() -> None:
    assert issues(observation(status="done")) == [("Observation.status", "code-invalid")]
    right = [
        {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    ]
    for codings, count in ((right, 0), ([{"code": "active"}], 1), ([], 2)):
        condition = {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/1"},
            "clinicalStatus": {"coding": codings, "text": "x"},
        }
        assert len(issues(condition)) == count


def test_a_mime_type_is_checked_by_its_form() -> None:
    def typed(content_type: str) -> list[tuple[str, str]]:
        return issues({"resourceType": "Binary", "contentType": content_type})

    assert typed("text/plain") == typed("text/html; charset=utf-8") == []
    assert typed("text plain") == [("Binary.contentType", "code-invalid")]


@pytest.mark.parametrize(
    "reference",
    [
        *("Patient/1", "Patient/1/_history/2", "https://a.example/fhir/Patient/1", "urn:uuid:x"),
        *("urn:oid:1.2", "http://a.example/whatever", "https://a.example/fhir/Foo/1"),
    ],
)
def test_a_reference_may_have_any_of_its_forms(reference: str) -> None:
    assert issues(observation(subject={"reference": reference})) == []


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        *(("Practitioner/1", "value"), ("https://a.example/fhir/Practitioner/1", "value")),
        *(("Foo/1", "value"), ("1", "value"), ("Patient/", "value"), ("Patient/a b", "value")),
        *(("Patient?name=x", "value"), ("#p", "not-found"), ("#", "value"), ("../etc", "value")),
    ],
)
def test_a_reference_points_where_it_may(reference: str, code: str) -> None:
    assert issues(observation(subject={"reference": reference})) == [
        ("Observation.subject.reference", code)
    ]


def test_a_transaction_may_hold_searches_as_references() -> None:
    entry = observation(subject={"reference": "Patient?identifier=a|b"})
    assert issues(entry, may_search=True) == []
    request = {"method": "POST", "url": "Observation"}
    asked = {"resource": entry, "request": request}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [asked]}
    assert issues(bundle) == []
    collected = {**bundle, "type": "collection", "entry": [{"resource": entry}]}
    assert issues(collected) == [("Bundle.entry[0].resource.subject.reference", "value")]


def test_contained_resources_keep_their_rules() -> None:
    def holding(*contained: dict[str, Any], reference: str = "#p") -> list[str]:
        subject = {"reference": reference}
        return [code for _, code in issues(observation(contained=contained, subject=subject))]

    patient = {"resourceType": "Patient", "id": "p"}
    assert holding(patient) == []
    assert holding({"resourceType": "Patient"}) == ["invariant", "not-found"]
    assert holding(patient, patient) == ["invariant", "invariant"]
    assert holding(patient, reference="Patient/1") == ["invariant"]
    assert holding({**patient, "meta": {"versionId": "1"}}) == ["invariant"]
    assert holding({**patient, "contained": [patient]}) == ["invariant"]
    assert holding({**patient, "gender": "m"}) == ["code-invalid"]
    back = {"url": "urn:x", "valueReference": {"reference": "#"}}
    assert holding({**patient, "extension": [back]}) == []


def test_resources_in_bundles_and_parameters_are_checked_too() -> None:
    wrong = {"resourceType": "Patient", "gender": "m"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": wrong}]}
    assert issues(bundle) == [("Bundle.entry[0].resource.gender", "code-invalid")]
    inner = {"name": "a", "part": [{"name": "b", "resource": wrong}]}
    assert issues({"resourceType": "Parameters", "parameter": [inner]}) == [
        ("Parameters.parameter[0].part[0].resource.gender", "code-invalid")
    ]


@pytest.mark.parametrize(
    "inner",
    [
        *("<p>全</p>", "a &lt; b &amp; c", '<img src="data:image/png;base64,AA" alt=""/>'),
        *('<p xml:lang="zh" style="color: red">x</p>', '<td align="left" nowrap="nowrap">x</td>'),
        *('<a href="#x" name="y">z</a>', "<table><tbody><tr><td>x</td></tr></tbody></table>"),
    ],
)
def test_a_narrative_may_be_simple_markup(inner: str) -> None:
    assert issues(basic(text={"status": "generated", "div": DIV.format(inner)})) == []


@pytest.mark.parametrize(
    "div",
    [
        DIV.format("<script>alert(1)</script>"),
        DIV.format('<p onclick="x()">y</p>'),
        DIV.format('<a href="javascript:x()">y</a>'),
        DIV.format('<a href=" JavaScript:x()">y</a>'),
        DIV.format('<p madeup="x">y</p>'),
        DIV.format('<p xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="x">y</p>'),
        DIV.format("<iframe>x</iframe>"),
        DIV.format("<p>"),
        DIV.format("&nbsp;"),
        DIV.format(" "),
        DIV.format('<svg xmlns="http://www.w3.org/2000/svg">x</svg>'),
        "<div>x</div>",
        '<p xmlns="http://www.w3.org/1999/xhtml">x</p>',
        '<!DOCTYPE d [<!ENTITY a "b">]>' + DIV.format("&a;"),
        "text",
    ],
)
def test_a_narrative_that_is_broken_or_unsafe_is_refused(div: str) -> None:
    assert issues(basic(text={"status": "generated", "div": div})) == [("Basic.text.div", "value")]


def test_every_problem_is_told_in_one_pass_up_to_a_hundred() -> None:
    names = [{"use": "wrong"}] * 150
    assert len(issues({"resourceType": "Patient", "name": names})) == 100
    found = issues({"resourceType": "Patient", "active": 1, "gender": "m", "nonsense": 1})
    assert sorted(location for location, _ in found) == [
        "Patient",
        "Patient.active",
        "Patient.gender",
    ]


def test_repeated_keys_and_deep_nesting_are_malformed() -> None:
    for raw in (
        b'{"resourceType":"Patient","active":true,"active":false}',
        b'{"resourceType":"Patient","name":[{"text":"a","text":"b"}]}',
        b'{"resourceType":"Patient","name":[{"text" :"a","text":"b"}]}',
        b'{"resourceType":"Patient","name":[{"text":"\\u0022:","text":"b"}]}',
        b'{"resourceType":"Patient","extension":' + b'[{"extension":' * 10_000 + b"]" * 9,
    ):
        with pytest.raises(Malformed):
            validate("Patient", raw)


@pytest.mark.parametrize("text", ["{", "}", "{}", '"{', "{\\\\", ": {"])
def test_braces_and_colons_in_texts_are_not_structure(text: str) -> None:
    texts = [{"text": text}, {"text": "b:c"}] * 80
    raw = json.dumps(
        {
            "resourceType": "Basic",
            "code": {"text": text},
            "extension": [{"url": "urn:x", "valueCodeableConcept": each} for each in texts],
        }
    ).encode()
    assert raw.count(b"{") > 100
    assert validate("Basic", raw) == []
    again = raw.replace(b'{"text": "b:c"}', b'{"text": "b:c", "text": "b:c"}', 1)
    for doubled in (again, again.replace(b'"b:c"', rb'"b\u003ac"')):
        with pytest.raises(Malformed, match="key twice"):
            validate("Basic", doubled)


def test_nesting_within_the_decoders_depth_is_told_and_does_not_break() -> None:
    extension: dict[str, Any] = {"url": "u", "valueInteger": 1}
    for _ in range(150):
        extension = {"url": "u", "extension": [extension]}
    assert [code for _, code in issues(basic(extension=[extension]))] == ["too-costly"]


def test_another_type_than_asked_for_is_refused() -> None:
    assert [issue.code for issue in validate("Patient", b'{"resourceType":"Basic"}')] == [
        "structure"
    ]
    assert [issue.code for issue in validate("Patient", b"{}")] == ["structure"]


def test_locations_begin_where_the_caller_says() -> None:
    raw = b'{"resourceType":"Patient","active":1}'
    (issue,) = validate("Patient", raw, at="Bundle.entry[3].resource")
    assert issue.expression == "Bundle.entry[3].resource.active"
    assert issue.text.startswith("Bundle.entry[3].resource.active")


def test_no_value_of_a_record_is_repeated_in_what_is_told() -> None:
    secret = "王小明13912345678"
    resource = {
        "resourceType": "Patient",
        "gender": secret,
        "birthDate": secret,
        "name": [{"family": [secret]}],
        "generalPractitioner": [{"reference": secret}],
        "maritalStatus": secret,
    }
    assert secret not in str(validate("Patient", msgspec.json.encode(resource)))


def test_an_id_alone_may_stand_beside_a_value() -> None:
    """R4 json.html#primitive: ele-1 asks for a value or for more than an id."""
    name = {"given": ["a", "b"], "_given": [{"id": "x"}, None]}
    patient = {"resourceType": "Patient", "birthDate": "1970", "_birthDate": {"id": "y"}}
    assert issues({**patient, "name": [name]}) == []
    assert issues({"resourceType": "Patient", "_birthDate": {"id": "y"}}) == [
        ("Patient.birthDate", "structure")
    ]


def test_the_id_of_an_element_holds_no_spaces() -> None:
    named = {"resourceType": "Patient", "name": [{"id": "a b", "text": "x"}]}
    assert issues(named) == [("Patient.name[0].id", "value")]
    assert issues({**named, "name": [{"id": "a/b", "text": "x"}]}) == []


def test_the_type_that_a_reference_states_is_that_of_its_literal() -> None:
    """R4 references.html: both SHALL be consistent."""
    right = {"reference": "Patient/1", "type": "Patient"}
    assert issues(observation(subject=right)) == []
    for literal in ("Group/1", "https://a.test/fhir/Group/1"):
        wrong = observation(subject={**right, "reference": literal})
        assert issues(wrong) == [("Observation.subject.reference", "value")]


def test_a_fragment_leads_to_a_type_that_the_element_may_point_at() -> None:
    inner = {"resourceType": "Practitioner", "id": "p"}
    held = observation(contained=[inner], subject={"reference": "#p"})
    assert issues(held) == [("Observation.subject.reference", "value")]
    performed = observation(contained=[inner], performer=[{"reference": "#p"}])
    assert issues(performed) == []
    whole = observation(contained=[{**observation(), "id": "o", "hasMember": [{"reference": "#"}]}])
    assert issues(whole) == []
    specimen = {"resourceType": "Specimen", "id": "s", "subject": {"reference": "#"}}
    assert issues(observation(contained=[specimen])) == [
        ("Observation.contained[0].subject.reference", "value")
    ]


def test_what_a_text_says_is_no_reference_to_a_contained_resource() -> None:
    """dom-3 counts references and addresses."""
    inner = {"resourceType": "Patient", "id": "p"}
    for more in ({"note": [{"text": "#p"}]}, {"subject": {"display": "#p"}}):
        told = issues(observation(contained=[inner], **more))
        assert told == [("Observation.contained[0]", "invariant")]
    plan = {"resourceType": "PlanDefinition", "id": "p", "status": "active"}
    care = {"resourceType": "CarePlan", "status": "active", "intent": "plan", "contained": [plan]}
    patient = {"subject": {"display": "a"}}
    assert issues({**care, **patient, "instantiatesCanonical": ["#p"]}) == []


def test_the_rules_of_contained_resources_are_named() -> None:
    """dom-2 to dom-5, as every invariant that is broken."""
    inner = {"resourceType": "Patient", "id": "p"}
    security = {"meta": {"security": [{"code": "R"}], "versionId": "1"}}
    for key, held in (
        ("dom-2", {**inner, "contained": [{**inner, "id": "q"}]}),
        ("dom-3", {**inner, "id": "q"}),
        ("dom-4", {**inner, **security}),
        ("dom-5", {**inner, **security}),
    ):
        raw = msgspec.json.encode(observation(contained=[held], subject={"reference": "#p"}))
        assert any(f"({key})" in issue.text for issue in validate("Observation", raw)), key
