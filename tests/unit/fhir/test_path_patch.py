"""FHIRPath Patch by the sections and sentences of R4 fhirpatch.html."""

from __future__ import annotations

import pytest

from .path_patches import (
    CONTACT,
    NUMBERS,
    adding,
    apply,
    inserting,
    part,
    patched,
    refusal,
    replacing,
    step,
)

# ---- Conceptual FHIRPath Operations: add ---------------------------------------------------------


def test_fhirpatch_1_add_puts_a_primitive_under_the_name() -> None:
    assert patched({}, adding("Patient", "birthDate", valueDate="1930-01-01")) == {
        "birthDate": "1930-01-01"
    }
    assert (
        patched({"active": True}, adding("Patient.where(active)", "gender", valueCode="male"))[
            "gender"
        ]
        == "male"
    )


def test_fhirpatch_1_add_appends_to_a_list_and_makes_one_where_there_is_none() -> None:
    name = {"family": "a"}
    add = adding("Patient", "name", valueHumanName=name)
    assert patched({}, add) == {"name": [name]}
    assert patched({"name": [{"text": "b"}]}, add) == {"name": [{"text": "b"}, name]}
    given = adding("Patient.name[0]", "given", valueString="c")
    assert patched({"name": [name]}, given) == {"name": [{"family": "a", "given": ["c"]}]}
    assert patched({"name": [name]}, given, given)["name"][0]["given"] == ["c", "c"]


def test_fhirpatch_1_add_of_what_does_not_repeat_needs_it_to_be_absent() -> None:
    problem = refusal({"gender": "male"}, adding("Patient", "gender", valueCode="female"))
    assert problem.text == (
        "operation 0 of the patch (add at Patient): there is gender already: replace it"
    )
    assert problem.issues[0].expression == "Parameters.parameter[0]"
    died = adding("Patient", "deceased", valueDateTime="2020")
    assert patched({}, died) == {"deceasedDateTime": "2020"}
    assert "already" in refusal({"deceasedBoolean": False}, died).text
    beside = {"_gender": {"extension": [{"url": "http://a", "valueBoolean": True}]}}
    assert "already" in refusal(beside, adding("Patient", "gender", valueCode="male")).text


def test_fhirpatch_1_add_writes_a_choice_under_its_type() -> None:
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "a"}}
    quantity = {"value": 1, "unit": "kg"}
    for name in ("value", "value[x]", "valueQuantity"):
        made = patched(observation, adding("Observation", name, valueQuantity=quantity))
        assert made["valueQuantity"] == quantity
    problem = refusal(observation, adding("Observation", "value", valueDate="2020"))
    assert "cannot be of type date" in problem.text
    assert "Quantity" in problem.text
    problem = refusal(observation, adding("Observation", "valueString", valueQuantity=quantity))
    assert "it takes string" in problem.text


def test_fhirpatch_1_add_of_an_element_that_is_not_there_is_refused() -> None:
    assert (
        "no element 'birthdate'"
        in refusal({}, adding("Patient", "birthdate", valueDate="2020")).text
    )
    assert (
        "no element 'name'"
        in refusal({"active": True}, adding("Patient.active", "name", valueString="a")).text
    )


def test_fhirpatch_1_extensions_are_added_beside_a_primitive() -> None:
    url, value = part("url", valueUri="http://a"), part("value", valueBoolean=True)
    extension = {"url": "http://a", "valueBoolean": True}
    add = adding("Patient.birthDate", "extension", part=[url, value])
    assert patched({"birthDate": "2020"}, add) == {
        "birthDate": "2020",
        "_birthDate": {"extension": [extension]},
    }
    with_id = {"birthDate": "2020", "_birthDate": {"id": "x"}}
    assert patched(with_id, add)["_birthDate"] == {"id": "x", "extension": [extension]}
    names = {"name": [{"given": ["a", "b", "c"]}]}
    made = patched(names, adding("Patient.name.given[1]", "extension", part=[url, value]))
    assert made["name"][0] == {
        "given": ["a", "b", "c"],
        "_given": [None, {"extension": [extension]}],
    }
    # Another name goes behind those that have something beside them.
    made = patched({"name": made["name"]}, adding("Patient.name", "given", valueString="d"))
    assert made["name"][0]["given"] == ["a", "b", "c", "d"]
    assert made["name"][0]["_given"] == [None, {"extension": [extension]}, None, None]


def test_fhirpatch_1_a_value_keeps_the_extensions_it_is_sent_with() -> None:
    beside = {"extension": [{"url": "http://a", "valueBoolean": True}]}
    both = {"valueDate": "2020", "_valueDate": beside}
    assert patched({}, adding("Patient", "birthDate", **both)) == {
        "birthDate": "2020",
        "_birthDate": beside,
    }
    assert patched({}, adding("Patient", "birthDate", _valueDate=beside)) == {"_birthDate": beside}
    made = patched(
        {"name": [{"given": ["a"]}]},
        adding("Patient.name", "given", valueString="b", _valueString=beside),
    )
    assert made["name"][0] == {"given": ["a", "b"], "_given": [None, beside]}


# ---- insert --------------------------------------------------------------------------------------

NEW = {"system": "http://a", "value": "new"}


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_fhirpatch_1_insert_puts_the_item_at_the_index(index: int) -> None:
    made = patched(
        {"identifier": NUMBERS}, inserting("Patient.identifier", index, valueIdentifier=NEW)
    )
    assert made["identifier"] == [*NUMBERS[:index], NEW, *NUMBERS[index:]]


@pytest.mark.parametrize("index", [-1, 4, 2147483647])
def test_fhirpatch_1_insert_needs_an_index_within_the_list(index: int) -> None:
    problem = refusal(
        {"identifier": NUMBERS}, inserting("Patient.identifier", index, valueIdentifier=NEW)
    )
    assert "the list has 3 items, so that index is 0 to 3" in problem.text


def test_fhirpatch_1_insert_at_0_makes_a_list_that_is_not_there() -> None:
    # "The index must be equal or less than the number of elements in the list", of which there
    # are none.
    insert = inserting("Patient.identifier", 0, valueIdentifier=NEW)
    assert patched({"active": True}, insert) == {"active": True, "identifier": [NEW]}
    assert patched({}, inserting("identifier", 0, valueIdentifier=NEW)) == {"identifier": [NEW]}
    one = {"contact": [{"gender": "male"}]}
    for path in ("Patient.contact[0].telecom", "Patient.contact.where(gender='male').telecom"):
        made = patched(one, inserting(path, 0, valueContactPoint={"value": "1"}))
        assert made["contact"] == [{"gender": "male", "telecom": [{"value": "1"}]}]
    name = part("name", valueHumanName={"text": "a"})
    assert patched({}, inserting("Patient.contact", 0, part=[name])) == {
        "contact": [{"name": {"text": "a"}}]
    }
    twice = (insert, inserting("Patient.identifier", 1, valueIdentifier=NUMBERS[0]))
    assert patched({}, *twice) == {"identifier": [NEW, NUMBERS[0]]}
    beside = inserting("Patient.birthDate.extension", 0, part=[part("url", valueUri="http://a")])
    assert patched({"birthDate": "2020"}, beside)["_birthDate"] == {
        "extension": [{"url": "http://a"}]
    }


def test_fhirpatch_1_insert_makes_no_list_where_none_can_be() -> None:
    insert = inserting("Patient.identifier", 1, valueIdentifier=NEW)
    assert "the list has 0 items, so that index is 0" in refusal({}, insert).text
    for path in (
        "Patient.contact[0].telecom",
        "Patient.identifiers",
        "Patient.birthDate",
        "Patient.identifier.where(value = '1')",
        "Patient.identifier[0]",
        "Encounter.identifier",
        "Patient.identifier | Patient.name",
    ):
        problem = refusal({}, inserting(path, 0, valueIdentifier=NEW))
        assert problem.issues[0].code == "not-found", path
    many = {"name": [{"text": "a"}, {"text": "b"}]}
    problem = refusal(many, inserting("Patient.name.given", 0, valueString="c"))
    assert problem.issues[0].code == "multiple-matches"
    problem = refusal({}, inserting("Patient.identifier", 0, valueString="a"))
    assert "cannot be of type" in problem.text


def test_fhirpatch_1_insert_needs_a_whole_list() -> None:
    insert = inserting("Patient.identifier[1]", 0, valueIdentifier=NEW)
    assert "a part of a list" in refusal({"identifier": NUMBERS}, insert).text
    insert = inserting("Patient.birthDate", 0, valueDate="2020")
    assert "does not repeat" in refusal({"birthDate": "2020"}, insert).text
    names = {"name": [{"given": ["a"]}, {"given": ["b"]}]}
    insert = inserting("Patient.name.given", 0, valueString="c")
    assert "several lists" in refusal(names, insert).text
    made = patched(names, inserting("Patient.name[1].given", 0, valueString="c"))
    assert made["name"][1] == {"given": ["c", "b"]}


def test_fhirpatch_1_items_keep_what_is_beside_them_wherever_they_go() -> None:
    beside = {"extension": [{"url": "http://a", "valueBoolean": True}]}
    name = {"given": ["a", "b"], "_given": [None, beside]}
    insert = inserting("Patient.name[0].given", 0, valueString="c")
    assert patched({"name": [name]}, insert)["name"][0] == {
        "given": ["c", "a", "b"],
        "_given": [None, None, beside],
    }
    move = step("move", "Patient.name[0].given", source=1, destination=0)
    assert patched({"name": [name]}, move)["name"][0] == {
        "given": ["b", "a"],
        "_given": [beside, None],
    }
    assert patched({"name": [name]}, step("delete", "Patient.name[0].given[1]"))["name"][0] == {
        "given": ["a"]
    }
    assert patched({"name": [name]}, step("delete", "Patient.name[0].given[0]"))["name"][0] == {
        "given": ["b"],
        "_given": [beside],
    }


# ---- delete --------------------------------------------------------------------------------------


def test_fhirpatch_1_delete_takes_out_the_one_element() -> None:
    record = {"active": True, "birthDate": "2020", "identifier": NUMBERS}
    assert patched(record, step("delete", "Patient.birthDate")) == {
        "active": True,
        "identifier": NUMBERS,
    }
    assert patched(record, step("delete", "Patient.identifier.where(value = '1')"))[
        "identifier"
    ] == [
        NUMBERS[0],
        NUMBERS[2],
    ]
    assert (
        "system"
        not in patched(record, step("delete", "Patient.identifier[2].system"))["identifier"][2]
    )


def test_fhirpatch_1_delete_of_nothing_is_no_error() -> None:
    assert patched({"active": True}, step("delete", "Patient.birthDate")) == {"active": True}
    assert patched({"active": True}, step("delete", "Patient.name[3].given")) == {"active": True}
    assert patched({}, step("delete", "Patient.contact.where(gender = 'male')")) == {}
    # One that no Patient could ever find is a mistake, and said to be one.
    problem = refusal({"active": True}, step("delete", "Patient.birthdate"))
    assert "Patient has no element birthdate: is birthDate meant?" in problem.text


def test_fhirpatch_1_only_a_single_element_can_be_deleted() -> None:
    problem = refusal({"identifier": NUMBERS}, step("delete", "Patient.identifier"))
    assert "finds 3 elements and must find one" in problem.text
    assert problem.issues[0].code == "multiple-matches"


def test_fhirpatch_1_what_a_patch_empties_is_no_longer_there() -> None:
    contact = {"contact": [{"name": {"text": "a"}}, CONTACT], "active": True}
    assert patched(contact, step("delete", "Patient.contact[0].name.text")) == {
        "contact": [CONTACT],
        "active": True,
    }
    # While steps go on it is, so that it can be filled again.
    refilled = (
        step("delete", "Patient.contact[0].name"),
        adding("Patient.contact[0]", "gender", valueCode="male"),
    )
    assert patched(contact, *refilled)["contact"] == [{"gender": "male"}, CONTACT]
    one = {"identifier": NUMBERS[:1]}
    assert patched(one, step("delete", "Patient.identifier[0]")) == {}
    beside = {"extension": [{"url": "http://a", "valueBoolean": True}]}
    born = {"birthDate": "2020", "_birthDate": beside}
    assert patched(born, step("delete", "Patient.birthDate")) == {}
    assert patched(born, step("delete", "Patient.birthDate.extension('http://a')")) == {
        "birthDate": "2020"
    }


# ---- replace -------------------------------------------------------------------------------------


def test_fhirpatch_1_replace_puts_another_value_in_the_place() -> None:
    record = {"birthDate": "2020", "contact": [CONTACT], "identifier": NUMBERS}
    assert (
        patched(record, replacing("Patient.birthDate", valueDate="1930-01-01"))["birthDate"]
        == "1930-01-01"
    )
    made = patched(record, replacing("Patient.contact[0].name", valueHumanName={"text": "b"}))
    assert made["contact"] == [{"name": {"text": "b"}, "gender": "female"}]
    made = patched(record, replacing("Patient.contact[0].name.text", valueString="b"))
    assert made["contact"][0]["name"] == {"text": "b"}
    made = patched(record, replacing("Patient.identifier[1]", valueIdentifier=NEW))
    assert made["identifier"] == [NUMBERS[0], NEW, NUMBERS[2]]
    made = patched(
        record, replacing("Patient.identifier.where(value = '2').value", valueString="9")
    )
    assert made["identifier"][2]["value"] == "9"


def test_fhirpatch_1_replace_puts_a_choice_under_its_new_type() -> None:
    record = {"deceasedBoolean": True, "_deceasedBoolean": {"id": "x"}}
    assert patched(record, replacing("Patient.deceased", valueDateTime="2020")) == {
        "deceasedDateTime": "2020"
    }
    assert patched(record, replacing("Patient.deceased", valueBoolean=False)) == {
        "deceasedBoolean": False
    }


def test_fhirpatch_1_replace_replaces_what_is_beside_a_primitive_too() -> None:
    beside = {"extension": [{"url": "http://a", "valueBoolean": True}]}
    assert patched(
        {"birthDate": "2020", "_birthDate": beside},
        replacing("Patient.birthDate", valueDate="2021"),
    ) == {"birthDate": "2021"}
    assert patched({"_birthDate": beside}, replacing("Patient.birthDate", valueDate="2021")) == {
        "birthDate": "2021"
    }
    name = {"given": ["a", "b"], "_given": [beside, None]}
    assert patched({"name": [name]}, replacing("Patient.name.given[0]", valueString="c")) == {
        "name": [{"given": ["c", "b"]}]
    }
    assert patched({"name": [name]}, replacing("Patient.name.given[1]", valueString="c")) == {
        "name": [{"given": ["a", "c"], "_given": [beside, None]}]
    }


def test_fhirpatch_1_replace_of_nothing_or_of_several_is_an_error() -> None:
    problem = refusal({}, replacing("Patient.birthDate", valueDate="2020"))
    assert (problem.issues[0].code, "finds nothing" in problem.text) == ("not-found", True)
    problem = refusal({"identifier": NUMBERS}, replacing("Patient.identifier", valueIdentifier=NEW))
    assert "must find one" in problem.text
    assert "PUT" in refusal({}, replacing("Patient", valueString="a")).text
    assert "PUT" in refusal({}, step("delete", "Patient")).text


# ---- move ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination", "order"),
    [(3, 1, "0312"), (0, 3, "1230"), (1, 1, "0123"), (3, 0, "3012"), (1, 2, "0213")],
)
def test_fhirpatch_1_move_takes_an_item_from_one_index_to_another(
    source: int, destination: int, order: str
) -> None:
    four = [{"value": str(number)} for number in range(4)]
    move = step("move", "Patient.identifier", source=source, destination=destination)
    made = patched({"identifier": four}, move)
    assert "".join(one["value"] for one in made["identifier"]) == order


@pytest.mark.parametrize(("source", "destination"), [(3, 0), (0, 3), (-1, 0), (0, -1)])
def test_fhirpatch_1_move_stays_within_the_list(source: int, destination: int) -> None:
    move = step("move", "Patient.identifier", source=source, destination=destination)
    assert "0 to 2" in refusal({"identifier": NUMBERS}, move).text


# ---- the base rules ------------------------------------------------------------------------------


def test_fhirpatch_1_paths_lead_to_elements_of_the_record_itself() -> None:
    team = {
        "resourceType": "CareTeam",
        "subject": {"reference": "Patient/1"},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "a"}],
        "managingOrganization": [{"reference": "#o"}],
    }
    within = replacing("CareTeam.managingOrganization.resolve().name", valueString="b")
    assert patched(team, within)["contained"][0]["name"] == "b"
    beyond = adding("CareTeam.subject.resolve()", "active", valueBoolean=True)
    assert "finds nothing" in refusal(team, beyond).text
    for path in ("'a'", "1 + 1", "CareTeam.subject.reference & 'a'", "%ucum"):
        assert "no element of the record" in refusal(team, replacing(path, valueString="b")).text


def test_fhirpatch_1_the_type_of_a_value_must_be_right_for_its_place() -> None:
    wrong = [
        adding("Patient", "birthDate", valueString="2020-01-01"),
        adding("Patient", "gender", valueString="male"),
        adding("Patient", "name", valueString="a"),
        adding("Patient", "active", valueInteger=1),
        adding("Patient", "contact", valueHumanName={"text": "a"}),
        adding("Patient", "name", resource={"resourceType": "Organization"}),
        replacing("Patient.maritalStatus", valueCoding={"code": "M"}),
        inserting("Patient.identifier", 0, valueString="a"),
    ]
    record = {"identifier": NUMBERS, "maritalStatus": {"text": "a"}}
    for one in wrong:
        assert "cannot be of type" in refusal(record, one).text
    # A code is a string, and a Quantity of an Age one too.
    assert patched({}, adding("Patient", "language", valueCode="zh")) == {"language": "zh"}
    assert patched(record, replacing("Patient.maritalStatus.text", valueCode="a"))


def test_fhirpatch_1_operations_are_applied_in_order_each_to_the_result_of_the_one_before() -> None:
    made = patched(
        {},
        adding("Patient", "name", valueHumanName={"family": "a"}),
        adding("Patient.name[0]", "given", valueString="b"),
        replacing("Patient.name.where(family = 'a').family", valueString="c"),
        inserting("Patient.name", 0, valueHumanName={"text": "first"}),
        step("move", "Patient.name", source=0, destination=1),
        step("delete", "Patient.name.where(text = 'first')"),
    )
    assert made == {"name": [{"family": "c", "given": ["b"]}]}
    # One that fails undoes all.
    assert (
        "operation 1"
        in refusal(
            {},
            adding("Patient", "active", valueBoolean=True),
            replacing("Patient.gender", valueCode="male"),
        ).text
    )


def test_fhirpatch_1_without_operations_nothing_changes() -> None:
    raw = b'{"resourceType": "Patient", "id": "1",  "active": true}'
    assert apply(raw) == raw
