"""Invariants in validation: told with key and place, checked natively where attributes suffice."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from quanmin.fhir.validation import advise, validate
from quanmin.fhir.validation.fast import is_clean
from quanmin.fhir.validation.rules import untranslated

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "identifier": [{"period": {"start": "2020-01-01", "end": "2020-02-01"}}],
    "telecom": [{"system": "phone", "value": "1"}],
    "contact": [{"name": {"text": "a"}}],
}
CODED = {"coding": [{"code": "a"}]}


def told(resource: dict[str, Any]) -> dict[str, str]:
    issues = validate(resource["resourceType"], json.dumps(resource).encode())
    assert {issue.code for issue in issues} <= {"invariant"}
    return {issue.text.split(" breaks ")[1].split(":")[0]: issue.expression for issue in issues}


def is_fast(resource: dict[str, Any]) -> bool:
    raw = json.dumps(resource).encode()
    return is_clean(resource["resourceType"], raw)


def test_a_broken_rule_is_told_with_its_key_its_words_and_its_place() -> None:
    broken = {**PATIENT, "contact": [{"name": {"text": "a"}}, {"gender": "male"}]}
    raw = json.dumps(broken).encode()
    assert validate("Patient", raw, is_ruled=False) == []
    (issue,) = validate("Patient", raw, at="Bundle.entry[2].resource")
    assert issue.severity == "error"
    assert issue.code == "invariant"
    assert issue.expression == "Bundle.entry[2].resource.contact[1]"
    assert "breaks pat-1: SHALL at least contain a contact's details" in issue.text
    assert issue.text.endswith(
        "; mend it so that name.exists() or telecom.exists() or"
        " address.exists() or organization.exists()"
    )


def test_every_broken_rule_is_told_in_one_pass_beside_other_faults() -> None:
    broken = {
        **PATIENT,
        "identifier": [{"period": {"start": "2020-02-01", "end": "2020-01-01"}}],
        "telecom": [{"value": "1"}],
        "birthDate": "never",
    }
    issues = validate("Patient", json.dumps(broken).encode())
    assert [(issue.code, issue.expression) for issue in issues] == [
        ("value", "Patient.birthDate"),
        ("invariant", "Patient.identifier[0].period"),
        ("invariant", "Patient.telecom[0]"),
    ]


def test_warnings_are_advice_and_refuse_nothing() -> None:
    raw = json.dumps(PATIENT).encode()
    assert validate("Patient", raw) == []
    assert [(issue.severity, issue.expression) for issue in advise("Patient", raw)] == [
        ("warning", "Patient")
    ]


def test_a_resource_that_keeps_the_rules_is_accepted_fast() -> None:
    assert is_fast(PATIENT)
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": CODED,
        "component": [{"code": CODED, "valueBoolean": True}],
    }
    assert is_fast(observation)
    # Whether a component repeats the code of the whole is for FHIRPath to say.
    assert not is_fast({**observation, "valueBoolean": True})
    assert told({**observation, "valueBoolean": True}) == {"obs-7": "Observation"}


@pytest.mark.parametrize(
    ("resource", "key", "place"),
    [
        (
            {"resourceType": "Observation", "status": "final", "code": CODED, "valueInteger": 1,
             "dataAbsentReason": CODED},
            "obs-6", "Observation",
        ),
        (
            {"resourceType": "Condition", "subject": {"display": "a"}, "abatementString": "b",
             "clinicalStatus": {"coding": [{
                 "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                 "code": "active"}]}},
            "con-4", "Condition",
        ),
        (
            {"resourceType": "Organization", "name": "a",
             "telecom": [{"system": "phone", "use": "home"}]},
            "org-3", "Organization.telecom[0]",
        ),
        ({"resourceType": "Organization", "active": True}, "org-1", "Organization"),
        (
            {"resourceType": "Basic", "code": CODED, "extension": [{"url": "http://a"}]},
            "ext-1", "Basic.extension[0]",
        ),
        (
            {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "a"},
             "subject": {"display": "a"}, "target": [{"detailString": "b"}]},
            "gol-1", "Goal.target[0]",
        ),
        (
            {"resourceType": "Group", "type": "person", "actual": False,
             "member": [{"entity": {"display": "a"}}]},
            "grp-1", "Group",
        ),
        (
            {"resourceType": "List", "status": "current", "mode": "working",
             "entry": [{"item": {"display": "a"}, "deleted": True}]},
            "lst-2", "List",
        ),
    ],
)  # fmt: skip
def test_rules_of_many_kinds_are_noticed(resource: dict[str, Any], key: str, place: str) -> None:
    assert not is_fast(resource)
    assert told(resource) == {key: place}


def test_periods_are_compared_fast_where_their_texts_tell() -> None:
    def period(start: str, end: str) -> dict[str, Any]:
        return {**PATIENT, "identifier": [{"period": {"start": start, "end": end}}]}

    assert is_fast(period("2020-01-01T10:00:00+08:00", "2020-01-01T11:00:00+08:00"))
    assert is_fast(period("2020", "2020"))
    # As workflows write them; one without a fraction beside one with it may be the same moment.
    assert is_fast(period("2020-01-01T10:00:00.007+08:00", "2020-01-01T10:00:00.010+08:00"))
    assert told(period("2020-01-01T10:00:00.010+08:00", "2020-01-01T10:00:00.007+08:00"))
    assert not is_fast(period("2020-01-01T10:00:00.000+08:00", "2020-01-01T10:00:00+08:00"))
    # The other zone makes the end an hour later than it looks.
    other = period("2020-01-01T10:00:00+08:00", "2020-01-01T09:30:00+07:00")
    assert not is_fast(other)
    assert told(other) == {}
    assert told(period("2020-01-02", "2020-01")) == {}


def test_few_rules_are_left_to_the_general_evaluation() -> None:
    assert sorted(untranslated()) == ["cpb-7", "eld-19", "sdf-23"]


def test_a_rule_that_cannot_be_decided_refuses_nothing() -> None:
    def scheduled(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
        bounds = {"boundsRange": {"low": low, "high": high}}
        timing = {"repeat": bounds}
        return {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "subject": {"display": "a"},
            "occurrenceTiming": timing,
        }

    week = {"value": 1, "system": "http://unitsofmeasure.org", "code": "wk"}
    kilogram = {**week, "code": "kg"}
    # rng-2 asks for low <= high: of a week and a kilogram nobody can tell, nor without a number.
    assert told(scheduled(week, kilogram)) == {}
    assert told(scheduled({"unit": "a"}, week)) == {}
    assert list(told(scheduled({**week, "value": 2}, week))) == ["rng-2"]


def test_a_rule_that_follows_a_reference_is_decided_only_by_what_is_at_hand() -> None:
    def team(reference: str, **contained: Any) -> dict[str, Any]:
        member = {"member": {"reference": reference}, "onBehalfOf": {"display": "a"}}
        return {"resourceType": "CareTeam", "participant": [member], **contained}

    # ctm-1: who acts on behalf of an organization is a practitioner.
    assert told(team("Patient/1")) == {}
    inside = [{"resourceType": "Organization", "id": "o", "name": "a"}]
    assert told(team("#o", contained=inside)) == {"ctm-1": "CareTeam.participant[0]"}


def test_an_answer_that_must_exist_is_asked_for_by_a_boolean() -> None:
    def question(**answer: Any) -> dict[str, Any]:
        when = {"question": "1", "operator": "exists", **answer}
        items = [
            {"linkId": "1", "type": "string"},
            {"linkId": "2", "type": "string", "enableWhen": [when]},
        ]
        return {"resourceType": "Questionnaire", "status": "active", "item": items}

    # R4 prints `is Boolean` in que-7, which no FHIR boolean is; R4B (4.3.0) corrects it.
    assert told(question(answerBoolean=True)) == {}
    assert told(question(answerString="a")) == {"que-7": "Questionnaire.item[1].enableWhen[0]"}


def test_what_must_be_distinct_at_any_depth_is_compared_fast() -> None:
    def system(*codes: str, **nested: list[str]) -> dict[str, Any]:
        concepts: list[dict[str, Any]] = [{"code": code} for code in codes]
        for code, below in nested.items():
            concepts.append({"code": code, "concept": [{"code": one} for one in below]})
        return {
            "resourceType": "CodeSystem",
            "status": "active",
            "content": "complete",
            "concept": concepts,
        }

    assert is_fast(system("a", "b", c=["d", "e"]))
    # Told where one stands that is there already.
    assert told(system("a", "b", "a")) == {"csd-1": "CodeSystem.concept[2].code"}
    assert told(system("a", c=["a"])) == {"csd-1": "CodeSystem.concept[1].concept[0].code"}
    again = {"csd-1": "CodeSystem.concept[1].concept[0].code"}
    assert told(system(b=["a"], c=["a"])) == again


def test_a_contained_questionnaire_counts_among_the_descendants() -> None:
    def asking(*links: str, **more: Any) -> dict[str, Any]:
        items = [{"linkId": link, "type": "string"} for link in links]
        return {"resourceType": "Questionnaire", "status": "active", "item": items, **more}

    assert is_fast(asking("1", "2"))
    assert told(asking("1", "1")) == {"que-2": "Questionnaire.item[1].linkId"}
    extension = [{"url": "http://a", "valueReference": {"reference": "#q"}}]
    inner = {**asking("1"), "id": "q"}
    twice = asking("1", contained=[inner], extension=extension)
    assert told(twice) == {"que-2": "Questionnaire.contained[0].item[0].linkId"}
    assert told(asking("2", contained=[inner], extension=extension)) == {}


def test_what_is_not_there_does_not_keep_a_rule_whose_words_ask_for_it() -> None:
    """que-13, vsd-9, tst-7 and md-1 become empty in FHIRPath, which is neither kept nor broken."""
    initial = [{"valueString": "a"}, {"valueString": "b"}]
    questions = {"resourceType": "Questionnaire", "status": "draft"}
    item = {"linkId": "1", "type": "string", "initial": initial}
    assert told({**questions, "item": [item]}) == {"que-13": "Questionnaire.item[0]"}
    assert told({**questions, "item": [{**item, "repeats": True}]}) == {}
    expansion = {"timestamp": "2026", "contains": [{"system": "urn:s", "display": "a"}]}
    values = {"resourceType": "ValueSet", "status": "draft", "expansion": expansion}
    assert set(told(values)) == {"vsd-9"}
    focus = {"code": "Patient", "min": 0, "max": "many"}
    message = {"resourceType": "MessageDefinition", "status": "draft", "date": "2026"}
    assert set(told({**message, "eventUri": "urn:e", "focus": [focus]})) == {"md-1"}
    script = {"resourceType": "TestScript", "url": "urn:t", "name": "A", "status": "draft"}
    action = {"operation": {"encodeRequestUrl": True}}
    assert set(told({**script, "setup": {"action": [action]}})) == {"tst-7"}


def bundle(type_: str, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries), **more}


def version(number: str) -> dict[str, Any]:
    return {
        "fullUrl": "urn:x:1",
        "resource": {"resourceType": "Patient", "meta": {"versionId": number}},
    }


def test_a_bundle_that_keeps_its_rules_is_accepted_fast() -> None:
    """bdl-3, bdl-4, bdl-7, bdl-11 and bdl-12, and references within the records."""
    inner = {"resourceType": "Patient", "id": "p"}
    holding = {
        "resourceType": "Observation",
        "status": "final",
        "code": CODED,
        "contained": [inner],
        "subject": {"reference": "#p"},
    }
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": CODED,
        "date": "2026",
        "author": [{"display": "a"}],
        "title": "a",
    }
    stamped = {
        "identifier": {"system": "urn:s", "value": "a"},
        "timestamp": "2026-01-01T00:00:00Z",
    }
    asked = {"request": {"method": "GET", "url": "Patient"}}
    assert is_fast(bundle("collection", version("1"), version("2"), {"resource": holding}))
    assert is_fast(bundle("document", {"resource": composition}, version("1"), **stamped))
    assert is_fast(bundle("batch", asked))
    for broken in (
        bundle("collection", version("1"), version("1")),
        bundle("collection", version("1"), version("")),
        bundle("collection", {"resource": {**holding, "contained": []}}),
        bundle("document", version("1"), {"resource": composition}, **stamped),
        bundle("message", version("1")),
        bundle("batch", asked, version("1")),
        bundle("collection", asked),
        bundle("batch-response", version("1")),
        bundle("collection", {**version("1"), "response": {"status": "200"}}),
    ):
        assert not is_fast(broken)
        assert validate("Bundle", json.dumps(broken).encode())


def test_a_fragment_outside_of_the_records_of_a_bundle_is_looked_at_closely() -> None:
    signature = {"type": [{"code": "a"}], "when": "2026-01-01T00:00:00Z"}
    signed = bundle("collection", signature={**signature, "who": {"reference": "#p"}})
    assert not is_fast(signed)
    assert not is_fast({**signed, "entry": [{"resource": PATIENT}]})


RACE = """
import json, sys, threading
sys.setswitchinterval(1e-6)
from quanmin.fhir.validation.fast import is_clean
coded, someone = {"text": "a"}, {"display": "a"}
more = {
    "Observation": {"status": "final", "code": coded},
    "Patient": {},
    "Encounter": {"status": "planned", "class": {"code": "a"}},
    "Condition": {"subject": someone},
    "Procedure": {"status": "completed", "subject": someone},
    "CarePlan": {"status": "active", "intent": "plan", "subject": someone},
}
names = list(more)
period = {"identifier": [{"period": {"start": "2026"}}]}
raw = {name: json.dumps({"resourceType": name, **period, **more[name]}).encode() for name in names}
def ask(first):
    for name in names[first:] + names[:first]:
        is_clean(name, raw[name])
threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print([name for name in names if not is_clean(name, raw[name])])
"""


def test_threads_that_validate_at_first_at_once_leave_no_type_half_made() -> None:
    ran = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
