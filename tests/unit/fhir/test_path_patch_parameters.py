"""What a FHIRPath Patch is sent as, by R4 fhirpatch.html, and what http.html asks of its result."""

from __future__ import annotations

import json

import pytest

from quanmin.base.problems import Invalid, Malformed, TooLarge
from quanmin.fhir.patch import PATH_PATCH, read_patch

from .path_patches import (
    CONTACT,
    NUMBERS,
    Json,
    adding,
    apply,
    inserting,
    parameters,
    part,
    patched,
    refusal,
    replacing,
    step,
)

# ---- Parameters Format ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "word"),
    [
        ({"name": "patch"}, "named operation"),
        ({"name": "operation"}, "needs type"),
        (step("copy", "Patient"), "one of add, insert, delete, replace, move"),
        (step("add", "Patient", part("value", valueString="a")), "add needs name"),
        (step("replace", "Patient.gender"), "replace needs value"),
        (step("insert", "Patient.name", part("value", valueString="a")), "insert needs index"),
        (step("move", "Patient.name", source=0), "move needs destination"),
        (step("delete", "Patient.name", index=0), "delete takes no 'index'"),
        (step("delete", "Patient.name", part("path", valueString="a")), "'path' twice"),
        (step("delete", "Patient.name", part("when", valueString="a")), "takes no 'when'"),
        (step("move", "Patient.name", part("source", valueId="1"), destination=0), "whole number"),
        (step("delete", "Patient.name["), "from character"),
        (step("delete", "Patient.name.where(text.matches('(a+)+'))"), "regular expression"),
    ],
)  # fmt: skip
def test_fhirpatch_2_what_is_no_operation_is_refused_with_its_place(
    sent: dict[str, Json], word: str
) -> None:
    problem = refusal({}, step("delete", "Patient.active"), sent)
    assert word in problem.text
    assert problem.issues[0].expression == "Parameters.parameter[1]"


def test_fhirpatch_2_a_patch_is_a_right_parameters_resource() -> None:
    for raw in (b"[]", b"{", b'{"resourceType":"Patient"}', b"\xff"):
        with pytest.raises(Malformed):
            read_patch(PATH_PATCH, raw, steps_max=10, items_max=10)
    twice = b'{"resourceType":"Parameters","parameter":[],"parameter":[]}'
    with pytest.raises(Malformed):
        read_patch(PATH_PATCH, twice, steps_max=10, items_max=10)
    for part_, place in (
        ({"name": "value", "valueDate": "2020", "valueString": "a"}, "part[1]"),
        ({"name": "value", "valueDay": "2020"}, "part[1]"),
        ({"name": "value", "_resource": {}}, "part[1]"),
        ({"value": "a"}, "part[1]"),
        ({"name": 1}, "part[1]"),
        ({"name": "value", "part": {}}, "part[1].part"),
        ({"name": "value", "part": [{"name": "a", "valuE": 1}]}, "part[1].part[0]"),
    ):
        told = {"name": "operation", "part": [part("type", valueCode="add"), part_]}
        with pytest.raises(Malformed) as caught:
            read_patch(PATH_PATCH, parameters(told), steps_max=10, items_max=10)
        assert [issue.expression for issue in caught.value.issues] == [
            f"Parameters.parameter[0].{place}"
        ]
    deep = b'{"resourceType":"Parameters","parameter":%s{"name":"a"}%s}'
    deep = deep % (b'[{"name":"a","part":' * 400 + b"[", b"]" + b"}]" * 400)
    with pytest.raises(Malformed):
        read_patch(PATH_PATCH, deep, steps_max=10, items_max=10)


def test_fhirpatch_2_a_patch_is_bounded_in_operations_bytes_and_looking() -> None:
    three = parameters(*[step("delete", "Patient.active")] * 3)
    with pytest.raises(TooLarge):
        read_patch(PATH_PATCH, three, steps_max=2, items_max=10)
    raw = b'{"resourceType":"Patient","id":"1"}'
    add = adding("Patient", "name", valueHumanName={"text": "a" * 600})
    with pytest.raises(TooLarge):
        apply(raw, add, add, bytes_max=1000)
    look = step("delete", "Patient.descendants().where(false)")
    record = json.dumps({"resourceType": "Patient", "id": "1", "identifier": NUMBERS}).encode()
    assert apply(record, look, items_max=100) == record
    with pytest.raises(Invalid, match="touch more than 100 items"):
        apply(record, *[look] * 9, items_max=100)


def test_fhirpatch_2_what_is_compared_with_is_in_no_refusal() -> None:
    secret = "13912345678"
    for path in (
        f"Patient.telecom.where(value = '{secret}').nothing()",
        f"Patient.telecom.where(value = '{secret}' '{secret}')",
        f"Patient.telecom.where(value = '{secret}').first() + 'a'",
        f"Patient.telecom.where(value = '{secret}')",
    ):
        record = {"telecom": [{"value": "1"}, {"value": secret}, {"value": secret}]}
        assert secret not in str(refusal(record, replacing(path, valueString="a")).issues)


# ---- Anonymous Types -----------------------------------------------------------------------------


def test_fhirpatch_2_1_anonymous_types_are_made_of_parts() -> None:
    name = part("name", valueHumanName={"text": "a name"})
    assert patched({}, adding("Patient", "contact", part=[name])) == {
        "contact": [{"name": {"text": "a name"}}]
    }
    several = [
        name,
        part("relationship", valueCodeableConcept={"text": "a"}),
        part("relationship", valueCodeableConcept={"text": "b"}),
        part("gender", valueCode="male"),
    ]
    assert patched({}, adding("Patient", "contact", part=several))["contact"][0] == {
        "name": {"text": "a name"},
        "relationship": [{"text": "a"}, {"text": "b"}],
        "gender": "male",
    }
    made = patched({"contact": [CONTACT]}, inserting("Patient.contact", 0, part=[name]))
    assert made["contact"] == [{"name": {"text": "a name"}}, CONTACT]
    made = patched({"contact": [CONTACT]}, replacing("Patient.contact[0]", part=[name]))
    assert made["contact"] == [{"name": {"text": "a name"}}]


def test_fhirpatch_2_1_the_pattern_repeats_as_deep_as_necessary() -> None:
    questionnaire = {"resourceType": "Questionnaire", "status": "active"}
    inner = part("item", part=[part("linkId", valueString="1.1"), part("type", valueCode="string")])
    outer = [part("linkId", valueString="1"), part("type", valueCode="group"), inner, inner]
    made = patched(questionnaire, adding("Questionnaire", "item", part=outer))
    item = {"linkId": "1.1", "type": "string"}
    assert made["item"] == [{"linkId": "1", "type": "group", "item": [item, item]}]


def test_fhirpatch_2_1_choices_and_structures_in_parts() -> None:
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "a"}}
    parts = [part("code", valueCodeableConcept={"text": "b"}), part("value", valueInteger=1)]
    made = patched(observation, adding("Observation", "component", part=parts))
    assert made["component"] == [{"code": {"text": "b"}, "valueInteger": 1}]
    request = {"resourceType": "ServiceRequest", "occurrenceTiming": {"event": ["2020"]}}
    repeat = [
        part("frequency", valuePositiveInt=2),
        part("boundsPeriod", valuePeriod={"start": "2020"}),
    ]
    made = patched(request, adding("ServiceRequest.occurrence", "repeat", part=repeat))
    assert made["occurrenceTiming"]["repeat"] == {"frequency": 2, "boundsPeriod": {"start": "2020"}}
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'
    text = [part("status", valueCode="generated"), part("div", valueString=div)]
    assert patched({}, adding("Patient", "text", part=text)) == {
        "text": {"status": "generated", "div": div}
    }
    contained = {"resourceType": "Organization", "id": "o"}
    made = patched(
        {},
        adding("Patient", "contained", resource=contained),
        adding("Patient", "managingOrganization", valueReference={"reference": "#o"}),
    )
    assert made == {"contained": [contained], "managingOrganization": {"reference": "#o"}}


def test_fhirpatch_2_1_parts_that_make_nothing_are_refused() -> None:
    def contact(*parts: Json) -> str:
        return refusal({}, adding("Patient", "contact", part=list(parts))).text

    assert "no element 'nme'" in contact(part("nme", valueString="a"))
    assert "once only" in contact(
        part("gender", valueCode="male"), part("gender", valueCode="male")
    )
    assert "cannot be of type string" in contact(part("name", valueString="a"))
    assert "either one value[x], or parts" in contact(part("name"))
    both = part("name", valueString="a", part=[part("text", valueString="a")])
    assert "either one value[x], or parts" in contact(both)
    assert (
        "give its elements as parts"
        in refusal({}, adding("Patient", "contact", valueString="a")).text
    )
    parts = [part("a", valueString="b")]
    assert (
        "must be given in a value[x]" in refusal({}, adding("Patient", "gender", part=parts)).text
    )


# ---- what a record adds to it (R4 http.html#patch) -----------------------------------------------


def test_http_patch_every_other_digit_and_byte_stays() -> None:
    raw = (
        b'{"resourceType" : "Observation", "id":"1","valueQuantity":{"value": 5.4000 ,"unit":"a"},'
        b'"component":[{"valueQuantity":{"value":1e3}}, {"valueInteger": 3}]}'
    )
    value = b'{"value":7.10}'
    patch = parameters(replacing("Observation.component[1].value", valueQuantity={"value": 0}))
    patch = patch.replace(b'{"value": 0}', value)
    made = read_patch(PATH_PATCH, patch, steps_max=1, items_max=100).apply(raw, bytes_max=1000)
    assert b'"valueQuantity":{"value": 5.4000 ,"unit":"a"}' in made
    assert b'{"valueQuantity":{"value":1e3}}' in made
    assert b'{"valueQuantity":{"value":7.10}}' in made


def test_http_patch_type_and_id_stay() -> None:
    assert "id" in refusal({}, replacing("Patient.id", valueId="2")).text
    assert "id" in refusal({}, step("delete", "Patient.id")).text
    assert (
        "no element 'resourceType'"
        in refusal({}, adding("Patient", "resourceType", valueString="Basic")).text
    )


def test_http_patch_a_narrative_made_from_the_data_goes_when_the_data_change() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'
    record = {"text": {"status": "generated", "div": div}, "active": True}
    assert patched(record, replacing("Patient.active", valueBoolean=False)) == {"active": False}
    told = {"text": {"status": "additional", "div": div}, "active": True}
    assert "narrative" in refusal(told, replacing("Patient.active", valueBoolean=False)).text
    both = (
        replacing("Patient.active", valueBoolean=False),
        replacing("Patient.text.div", valueString=div.replace("a<", "b<")),
    )
    assert patched(told, *both)["text"]["div"] == div.replace("a<", "b<")
