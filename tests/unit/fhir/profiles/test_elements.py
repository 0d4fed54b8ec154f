"""The rules of ElementDefinition (R4 elementdefinition.html), one after another."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from profiling import (
    BASE,
    URL,
    coded,
    element,
    faults,
    observation,
    patient,
    profile,
    told,
)

from quanmin.fhir.json import decode
from quanmin.fhir.profiles import Knowledge, check_record


def test_elementdefinition_min_wants_so_many() -> None:
    of = profile(element("Patient.name", min=2))
    assert faults(patient(name=[{"text": "a"}, {"text": "b"}]), of) == []
    assert told(patient(name=[{"text": "a"}]), of) == [("error", "required", "Patient.name")]
    assert faults(patient(), of) == ["Patient.name"]


def test_elementdefinition_min_counts_within_each_parent() -> None:
    of = profile(element("Patient.contact.telecom", min=1))
    assert faults(patient(), of) == []
    contacts = [{"telecom": [{"value": "1"}]}, {"gender": "male"}]
    assert faults(patient(contact=contacts), of) == ["Patient.contact[1].telecom"]


def test_elementdefinition_max_allows_so_many() -> None:
    of = profile(element("Patient.name", max="1"))
    assert faults(patient(name=[{"text": "a"}]), of) == []
    assert faults(patient(name=[{"text": "a"}, {"text": "b"}]), of) == ["Patient.name"]


def test_elementdefinition_max_of_nothing_forbids() -> None:
    of = profile(element("Patient.photo", max="0"), element("Patient.deceased[x]", max="0"))
    assert faults(patient(active=True), of) == []
    assert faults(patient(deceasedBoolean=False), of) == ["Patient.deceased"]
    assert faults(patient(photo=[{"title": "a"}]), of) == ["Patient.photo"]


def test_elementdefinition_min_counts_a_primitive_that_only_has_an_extension() -> None:
    of = profile(element("Patient.birthDate", min=1))
    absent = {"extension": [{"url": "urn:absent", "valueCode": "unknown"}]}
    assert faults(patient(_birthDate=absent), of) == []


def test_elementdefinition_type_narrows_a_choice() -> None:
    of = profile(element("Observation.value[x]", type=[{"code": "Quantity"}, {"code": "string"}]))
    assert faults(observation(valueString="x"), of) == []
    assert faults(observation(valueQuantity={"value": 1}), of) == []
    assert told(observation(valueInteger=1), of) == [
        ("error", "structure", "Observation.value.ofType(integer)")
    ]


def test_elementdefinition_path_may_name_a_choice_by_its_type() -> None:
    of = profile(element("Observation.valueQuantity.unit", min=1), part="differential")
    assert faults(observation(valueString="x"), of) == []
    assert faults(observation(valueQuantity={"value": 1, "unit": "kg"}), of) == []
    assert faults(observation(valueQuantity={"value": 1}), of) == [
        "Observation.value.ofType(Quantity).unit"
    ]


def test_elementdefinition_type_narrows_what_a_bundle_may_hold() -> None:
    of = profile(element("Bundle.entry.resource", type=[{"code": "Patient"}]))
    entries = [{"resource": patient(active=True)}, {"resource": observation()}]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    assert faults(bundle, of) == ["Bundle.entry[1].resource"]


FIXED: list[tuple[str, str, Any, Any]] = [
    ("Observation.status", "fixedCode", "final", "amended"),
    ("Observation.value[x]", "fixedBoolean", True, False),
    ("Observation.value[x]", "fixedInteger", 3, 4),
    ("Observation.value[x]", "fixedString", "x", "X"),
    ("Observation.value[x]", "fixedDateTime", "2026-01-01", "2026-01-02"),
    ("Observation.value[x]", "fixedCodeableConcept", coded("a"), coded("a", "b")),
    ("Observation.value[x]", "fixedQuantity", {"value": 1, "unit": "kg"}, {"value": 1}),
    (
        "Observation.effective[x]",
        "fixedPeriod",
        {"start": "2026"},
        {"start": "2026", "end": "2027"},
    ),
]


@pytest.mark.parametrize(("path", "key", "right", "wrong"), FIXED)
def test_elementdefinition_fixed_is_exactly_the_value(
    path: str, key: str, right: Any, wrong: Any
) -> None:
    of = profile(element(path, **{key: right}))
    name = path.rpartition(".")[2].replace("[x]", key.removeprefix("fixed"))
    assert faults(observation(**{name: right}), of) == []
    (found,) = told(observation(**{name: wrong}), of)
    assert found[:2] == ("error", "value")
    assert found[2].startswith(path.removesuffix("[x]"))


def test_elementdefinition_fixed_tells_true_from_one_and_counts_numbers_by_value() -> None:
    of = profile(element("Observation.value[x]", fixedInteger=1))
    assert faults(observation(valueBoolean=True), of) == ["Observation.value.ofType(boolean)"]
    of = profile(element("Observation.value[x]", fixedQuantity={"value": 1.50}))
    assert faults(observation(valueQuantity={"value": 1.5}), of) == []


def test_elementdefinition_pattern_is_a_part_of_the_value() -> None:
    of = profile(element("Observation.code", patternCodeableConcept=coded("a")))
    assert faults(observation(code={**coded("b", "a"), "text": "t"}), of) == []
    assert told(observation(code=coded("b")), of) == [("error", "value", "Observation.code")]
    assert faults(observation(code=coded("a", system="urn:other")), of) == ["Observation.code"]


def test_elementdefinition_pattern_of_a_primitive_is_the_value() -> None:
    of = profile(element("Patient.gender", patternCode="female"))
    assert faults(patient(gender="female"), of) == []
    assert faults(patient(gender="male"), of) == ["Patient.gender"]


LIMITS: list[tuple[str, Any, Any, Any]] = [
    ("Date", "2026-01-01", "2025-12-31", "2026-01-01"),
    ("DateTime", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", "2026-01-01T08:00:00+08:00"),
    ("Time", "08:00:00", "07:59:59", "08:00:00"),
    ("Integer", 5, 4, 5),
    ("Decimal", 5.5, 5.4, 5.5),
]


@pytest.mark.parametrize(("type_", "bound", "below", "at"), LIMITS)
def test_elementdefinition_minvalue_is_the_least(
    type_: str, bound: Any, below: Any, at: Any
) -> None:
    of = profile(
        element("Parameters.parameter.value[x]", **{f"minValue{type_}": bound}), type_="Parameters"
    )
    kind = {"resourceType": "Parameters"}
    low = {**kind, "parameter": [{"name": "p", f"value{type_}": below}]}
    assert [code for _, code, _ in told(low, of)] == ["value"]
    assert faults({**kind, "parameter": [{"name": "p", f"value{type_}": at}]}, of) == []


def test_elementdefinition_maxvalue_is_the_most() -> None:
    of = profile(element("Patient.multipleBirth[x]", maxValueInteger=3))
    assert faults(patient(multipleBirthInteger=3), of) == []
    assert faults(patient(multipleBirthInteger=4), of) == ["Patient.multipleBirth.ofType(integer)"]


def test_elementdefinition_minvalue_of_a_quantity_is_canonical() -> None:
    gram = {"value": 10, "system": "http://unitsofmeasure.org", "code": "g"}
    of = profile(element("Observation.value[x]", minValueQuantity=gram))
    milligrams = {**gram, "code": "mg", "value": 100}
    assert faults(observation(valueQuantity=milligrams), of) == [
        "Observation.value.ofType(Quantity)"
    ]
    assert faults(observation(valueQuantity={**milligrams, "value": 10_000}), of) == []
    assert faults(observation(valueQuantity={**gram, "code": "mm"}), of) == []


def test_elementdefinition_maxvalue_of_a_date_may_count_from_now() -> None:
    span = {"value": 1, "system": "http://unitsofmeasure.org", "code": "d"}
    of = profile(element("Observation.effective[x]", minValueQuantity=span, maxValueQuantity=span))
    now = dt.datetime.now(dt.UTC)
    for days, wrong in ((0, 0), (3, 1), (-3, 1)):
        when = (now + dt.timedelta(days=days)).isoformat(timespec="seconds")
        assert len(faults(observation(effectiveDateTime=when), of)) == wrong, days


def test_elementdefinition_maxlength_counts_characters() -> None:
    of = profile(element("Patient.name.text", maxLength=3))
    assert faults(patient(name=[{"text": "欧阳明"}]), of) == []
    assert told(patient(name=[{"text": "欧阳明月"}]), of) == [
        ("error", "too-long", "Patient.name[0].text")
    ]


def rule(severity: str, expression: str) -> dict[str, Any]:
    return {"key": "x-1", "severity": severity, "human": "so it is", "expression": expression}


def test_elementdefinition_constraint_is_asked_on_each_element() -> None:
    of = profile(
        element("Patient.name", constraint=[rule("error", "family.exists() or text.exists()")])
    )
    assert faults(patient(name=[{"family": "a"}, {"given": ["b"]}]), of) == ["Patient.name[1]"]


def test_elementdefinition_constraint_knows_the_whole_record() -> None:
    of = profile(element("Patient.name", constraint=[rule("error", "%resource.active = true")]))
    assert faults(patient(active=True, name=[{"text": "a"}]), of) == []
    assert faults(patient(active=False, name=[{"text": "a"}]), of) == ["Patient.name[0]"]


def test_elementdefinition_constraint_may_be_a_warning() -> None:
    of = profile(element("Patient", constraint=[rule("warning", "active.exists()")]))
    assert told(patient(gender="male"), of) == [("warning", "invariant", "Patient")]
    assert told(patient(gender="male"), of, is_brief=True) == []


def test_elementdefinition_constraint_that_nobody_can_decide_is_no_fault() -> None:
    of = profile(element("Patient", constraint=[rule("error", "conformsTo('urn:unknown')")]))
    ((severity, _, _),) = told(patient(gender="male"), of)
    assert severity == "warning"


SET = "urn:set"


def bound(strength: str, **more: Any) -> dict[str, Any]:
    return {"strength": strength, "valueSet": SET, **more}


def test_terminologies_required_wants_a_code_of_the_set() -> None:
    of = profile(element("Observation.code", binding=bound("required")))
    known: dict[tuple[str, str | None, str], bool | None] = {
        (SET, "urn:s", "in"): True,
        (SET, "urn:s", "out"): False,
    }
    assert faults(observation(code=coded("out", "in")), of, members=known) == []
    assert told(observation(code=coded("out")), of, members=known) == [
        ("error", "code-invalid", "Observation.code")
    ]
    assert faults(observation(code={"text": "only"}), of, members=known) == ["Observation.code"]


def test_terminologies_required_of_a_set_nobody_knows_is_told_and_no_fault() -> None:
    of = profile(element("Observation.code", binding=bound("required")))
    known: dict[tuple[str, str | None, str], bool | None] = {(SET, "urn:s", "a"): None}
    assert [found[0] for found in told(observation(code=coded("a")), of, members=known)] == [
        "warning"
    ]
    assert told(observation(code=coded("a")), of, members=known, is_brief=True) == []


@pytest.mark.parametrize(
    ("strength", "severity"),
    [("extensible", ["warning"]), ("preferred", ["information"]), ("example", [])],
)
def test_terminologies_weaker_strengths_only_advise(strength: str, severity: list[str]) -> None:
    of = profile(element("Observation.code", binding=bound(strength)))
    known: dict[tuple[str, str | None, str], bool | None] = {(SET, "urn:s", "out"): False}
    found = told(observation(code=coded("out")), of, members=known)
    assert [each[0] for each in found] == severity
    assert told(observation(code={"text": "only"}), of, members=known) == []


def test_elementdefinition_maxvalueset_bounds_an_extensible_binding() -> None:
    maximum = {"url": BASE + "elementdefinition-maxValueSet", "valueCanonical": "urn:max"}
    of = profile(element("Observation.code", binding=bound("extensible", extension=[maximum])))
    known: dict[tuple[str, str | None, str], bool | None] = {
        (SET, "urn:s", "out"): False,
        ("urn:max", "urn:s", "out"): False,
    }
    severities = {found[0] for found in told(observation(code=coded("out")), of, members=known)}
    assert severities == {"error", "warning"}


def test_terminologies_a_code_is_of_any_system_of_the_set() -> None:
    of = profile(element("Patient.language", binding=bound("required")))
    known: dict[tuple[str, str | None, str], bool | None] = {(SET, None, "zh"): False}
    assert faults(patient(language="zh"), of, members=known) == ["Patient.language"]


def test_elementdefinition_targetprofile_names_the_types_of_targets() -> None:
    kind = {"code": "Reference", "targetProfile": [BASE + "Patient"]}
    of = profile(element("Observation.subject", type=[kind]))
    assert faults(observation(subject={"reference": "Patient/1"}), of) == []
    assert faults(observation(subject={"display": "somebody"}), of) == []
    assert faults(observation(subject={"reference": "https://x.test/fhir/Group/1"}), of) == [
        "Observation.subject"
    ]


def test_elementdefinition_targetprofile_is_kept_by_the_target() -> None:
    active = profile(element("Patient.active", min=1), url="urn:active")
    kind = {"code": "Reference", "targetProfile": ["urn:active"]}
    of = profile(element("Observation.subject", type=[kind]))
    subject = observation(subject={"reference": "Patient/1"})
    targets = {"Patient/1": patient(active=True)}
    assert faults(subject, of, active, targets=targets) == []
    assert faults(subject, of, active, targets={"Patient/1": patient(gender="male")}) == [
        "Observation.subject"
    ]
    assert faults(subject, of, active, targets={"Patient/1": None}) == []
    assert faults(observation(subject={"reference": "Group/1"}), of, active) == [
        "Observation.subject"
    ]


def test_elementdefinition_targetprofile_is_kept_by_contained_records() -> None:
    active = profile(element("Patient.active", min=1), url="urn:active")
    kind = {"code": "Reference", "targetProfile": ["urn:active"]}
    of = profile(element("Observation.subject", type=[kind]))
    for held, wrong in ((patient(id="p", active=True), 0), (patient(id="p", gender="male"), 1)):
        inside = observation(contained=[held], subject={"reference": "#p"})
        assert len(faults(inside, of, active)) == wrong


def test_elementdefinition_targetprofile_is_kept_by_entries_of_the_bundle() -> None:
    active = profile(element("Patient.active", min=1), url="urn:active")
    kind = {"code": "Reference", "targetProfile": ["urn:active"]}
    of = profile(element("Observation.subject", type=[kind]))
    for held, wrong in ((patient(active=True), 0), (patient(gender="male"), 1)):
        claiming = observation(subject={"reference": "urn:uuid:1"}, meta={"profile": [URL]})
        entries = [{"fullUrl": "urn:uuid:1", "resource": held}, {"resource": claiming}]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        knowledge = Knowledge({URL: of, "urn:active": active})
        assert len(check_record(bundle, knowledge)) == wrong


def test_elementdefinition_targetprofile_of_a_canonical_is_not_guessed() -> None:
    kind = {"code": "canonical", "targetProfile": [BASE + "Questionnaire"]}
    of = profile(element("QuestionnaireResponse.questionnaire", type=[kind]))
    answers = {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": "https://example.org/Library/1",
    }
    assert faults(answers, of) == []


def test_two_records_that_refer_to_each_other_are_checked_once() -> None:
    kind = {"code": "Reference", "targetProfile": [URL]}
    of = profile(element("Patient.link.other", type=[kind]), element("Patient.active", min=1))
    both = patient(
        id="1", active=True, link=[{"other": {"reference": "Patient/1"}, "type": "seealso"}]
    )
    assert faults(both, of, targets={"Patient/1": both}) == []


@pytest.mark.parametrize(
    ("mode", "reference", "wrong"),
    [
        ("contained", "#p", 0),
        ("contained", "Patient/1", 1),
        ("referenced", "Patient/1", 0),
        ("referenced", "#p", 1),
        ("bundled", "Patient/1", 1),
    ],
)
def test_elementdefinition_aggregation_says_where_targets_are(
    mode: str, reference: str, wrong: int
) -> None:
    kind = {"code": "Reference", "targetProfile": [BASE + "Patient"], "aggregation": [mode]}
    of = profile(element("Observation.subject", type=[kind]))
    held = observation(contained=[patient(id="p")], subject={"reference": reference})
    assert len(faults(held, of)) == wrong


@pytest.mark.parametrize(
    ("versioning", "right", "wrong"),
    [
        ("specific", "Patient/1/_history/2", "Patient/1"),
        ("independent", "Patient/1", "Patient/1/_history/2"),
    ],
)
def test_elementdefinition_versioning_says_whether_versions_are_named(
    versioning: str, right: str, wrong: str
) -> None:
    of = profile(
        element("Observation.subject", type=[{"code": "Reference", "versioning": versioning}])
    )
    assert faults(observation(subject={"reference": right}), of) == []
    assert faults(observation(subject={"reference": wrong}), of) == ["Observation.subject"]


def test_elementdefinition_profile_of_a_type_holds_for_the_element() -> None:
    long = profile(element("HumanName.family", min=1), url="urn:name", kind="complex-type")
    of = profile(element("Patient.name", type=[{"code": "HumanName", "profile": ["urn:name"]}]))
    assert faults(patient(name=[{"family": "a"}, {"text": "b"}]), of, long) == [
        "Patient.name[1].family"
    ]
    assert told(patient(name=[{"text": "b"}]), of)[0][0] == "information"


def test_elementdefinition_of_several_profiles_of_a_type_one_is_kept() -> None:
    family = profile(element("HumanName.family", min=1), url="urn:family")
    text = profile(element("HumanName.text", min=1), url="urn:text")
    kind = {"code": "HumanName", "profile": ["urn:family", "urn:text"]}
    of = profile(element("Patient.name", type=[kind]))
    assert faults(patient(name=[{"family": "a"}, {"text": "b"}]), of, family, text) == []
    assert faults(patient(name=[{"given": ["c"]}]), of, family, text) == ["Patient.name[0]"]


def test_datatypes_simplequantity_has_no_comparator() -> None:
    kind = {"code": "Quantity", "profile": [BASE + "SimpleQuantity"]}
    of = profile(element("Observation.value[x]", type=[kind]))
    assert faults(observation(valueQuantity={"value": 1}), of) == []
    assert faults(observation(valueQuantity={"value": 1, "comparator": "<"}), of) == [
        "Observation.value.ofType(Quantity).comparator"
    ]


def test_elementdefinition_contentreference_shares_rules() -> None:
    of = profile(
        element("Questionnaire.item", id="Questionnaire.item"),
        element("Questionnaire.item.text", min=1),
        element("Questionnaire.item.item", contentReference="#Questionnaire.item"),
    )
    inner = {"linkId": "1", "type": "group", "text": "t"}
    deep = {**inner, "item": [{**inner, "item": [{"linkId": "3", "type": "display"}]}]}
    asked = {"resourceType": "Questionnaire", "status": "draft", "item": [deep]}
    assert faults(asked, of) == ["Questionnaire.item[0].item[0].item[0].text"]


def test_mustsupport_and_ismodifier_ask_nothing_of_a_record() -> None:
    of = profile(element("Patient.photo", mustSupport=True, isModifier=False, min=0))
    assert told(patient(gender="male"), of) == []


def test_what_r4_asks_itself_is_left_to_r4() -> None:
    of = profile(element("Observation.status", min=1, max="1", type=[{"code": "code"}]))
    assert of.root.children == {}


def test_a_text_names_profile_element_and_what_is_expected() -> None:
    of = profile(element("Patient.gender", fixedCode="female"))
    (issue,) = check_record(patient(gender="male"), Knowledge({URL: of}), profiles=[URL])
    assert issue.text == (
        f'Patient.gender must be exactly "female" (profile {URL}, element Patient.gender)'
    )


def test_at_most_a_hundred_issues_are_told() -> None:
    of = profile(element("Patient.name.family", min=1))
    many = patient(name=[{"text": "x"}] * 300)
    issues = check_record(many, Knowledge({URL: of}), profiles=[URL])
    assert len(issues) == 100
    assert issues[-1].code == "too-costly"


def test_resource_meta_profile_is_what_a_record_claims() -> None:
    of = profile(element("Patient.active", min=1))
    held = observation(
        contained=[patient(id="p", meta={"profile": [URL]})], subject={"reference": "#p"}
    )
    issues = check_record(held, Knowledge({URL: of}))
    assert [issue.expression for issue in issues] == ["Observation.contained[0].active"]


def test_a_profile_of_another_type_is_not_kept() -> None:
    assert faults(observation(), profile(element("Patient.active", min=1))) == ["Observation"]


def test_a_type_of_r4_is_kept_by_records_of_it() -> None:
    known = Knowledge()
    assert check_record(patient(active=True), known, profiles=[BASE + "Patient"]) == []
    assert check_record(patient(active=True), known, profiles=[BASE + "DomainResource"]) == []
    (issue,) = check_record(patient(active=True), known, profiles=[BASE + "Observation"])
    assert issue.severity == "error"


def test_what_is_not_known_is_noted_and_then_told() -> None:
    knowledge = Knowledge()
    check_record(patient(meta={"profile": ["urn:x"]}), knowledge)
    assert knowledge.wanted_profiles == {"urn:x"}
    knowledge.profiles["urn:x"] = None
    (issue,) = check_record(patient(meta={"profile": ["urn:x"]}), knowledge)
    assert (issue.severity, issue.code) == ("warning", "not-found")
    assert check_record(patient(meta={"profile": ["urn:x"]}), knowledge, is_brief=True) == []


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Patient","meta":{"profile":"x"},"contained":{},"name":7}',
        b'{"resourceType":"Patient","meta":[],"contained":[7],"name":[[],{"family":{}}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":7},7,{"resource":{"meta":7}}]}',
        b'{"resourceType":"Parameters","parameter":[{"part":{"part":[]}},{"resource":[]}]}',
        b'{"resourceType":"Patient","extension":[{"url":7},7],"_birthDate":{"extension":7}}',
    ],
)
def test_what_is_no_fhir_at_all_breaks_nothing(raw: bytes) -> None:
    of = profile(
        element("Patient.name", patternHumanName={"family": "x"}, binding=bound("required")),
        element("Patient.name.family", min=1, fixedString="x"),
    )
    issues = check_record(decode(raw), Knowledge({URL: of}), profiles=[URL])
    assert isinstance(issues, list)


def test_terminologies_value_sets_of_the_release_are_known() -> None:
    known = Knowledge()
    gender = "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1"
    assert known.is_member(gender, None, "female") is True
    assert known.is_member(gender, "http://hl7.org/fhir/administrative-gender", "none") is False
    absent = "http://hl7.org/fhir/ValueSet/data-absent-reason"
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    assert known.is_member(absent, system, "unknown") is True
    assert known.is_enough
    assert known.is_member("urn:other", None, "a") is None
    assert known.wanted_members == {("urn:other", None, "a")}


def test_what_r4_advises_itself_is_advised_once() -> None:
    url = "http://hl7.org/fhir/ValueSet/observation-interpretation"
    binding = {"strength": "extensible", "valueSet": url}
    of = profile(element("Observation.interpretation", binding=binding))
    assert of.root.children == {}
    of = profile(element("Observation.interpretation", binding={**binding, "strength": "required"}))
    assert faults(observation(interpretation=[coded("none")]), of) == [
        "Observation.interpretation[0]"
    ]


def test_a_reference_by_identifier_is_of_the_type_that_it_states() -> None:
    """R4 references.html: Reference.type is for those that have no literal."""
    of = profile(
        element(
            "Observation.subject", type=[{"code": "Reference", "targetProfile": [BASE + "Patient"]}]
        )
    )
    named = {"identifier": {"value": "a"}}
    assert faults(observation(subject={**named, "type": "Group"}), of) == ["Observation.subject"]
    assert faults(observation(subject={**named, "type": "Patient"}), of) == []
    assert faults(observation(subject=named), of) == []


def test_the_rules_of_a_profile_together_touch_so_much_and_no_more() -> None:
    """One expression is bounded by itself, and a profile may have any number of them."""
    pairs = "name.select(%resource.name.select(1)).count() > 0"
    rules = [
        {"key": f"k-{number}", "severity": "error", "human": "h", "expression": pairs}
        for number in range(40)
    ]
    of = profile(element("Patient", constraint=rules))
    few, many = ([{"text": "a"}] * number for number in (3, 400))
    assert told(patient(name=few), of) == []
    assert told(patient(name=many), of) == [("error", "too-costly", "Patient")]


def test_a_profile_may_not_be_wider_than_the_profile_it_is_based_on() -> None:
    """R4 profiling.html: what the base asks is asked of whoever keeps the derived profile."""
    required = {"strength": "required", "valueSet": "urn:narrow"}
    base = profile(
        element("Patient.name", min=1, max="2"),
        element("Patient.gender", binding=required),
        element("Patient.identifier.value", maxLength=3),
        part="differential",
        url="urn:base",
    )
    wider = profile(
        element("Patient.name", min=0, max="*"),
        element("Patient.gender", binding={"strength": "extensible", "valueSet": "urn:wide"}),
        element("Patient.identifier.value", maxLength=9),
        part="differential",
        baseDefinition="urn:base",
        base=base,
    )
    members = {("urn:narrow", None, "male"): False, ("urn:wide", None, "male"): True}
    identifier = [{"value": "1234"}]
    assert faults(patient(gender="male", identifier=identifier), wider, members=members) == [
        "Patient.name",
        "Patient.gender",
        "Patient.identifier[0].value",
    ]
    many = patient(name=[{"text": "a"}] * 3)
    assert faults(many, wider) == ["Patient.name"]
