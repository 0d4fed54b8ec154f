"""A form is filled in from the records before it is opened, and makes records when it is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from questionnaires import (
    CORE,
    SDC,
    UCUM,
    answers_of,
    around,
    extension,
    form,
    initially,
    item,
    options,
    path,
    unit,
)

from quanmin.base.problems import Invalid
from quanmin.workflow.forms import compile_form, extract, fill, prefill, questions

PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1970-05-01"}
LOINC = "http://loinc.org"


def launch(name: str, type_: str) -> dict[str, Any]:
    return {
        "url": f"{SDC}launchContext",
        "extension": [
            {"url": "name", "valueCoding": {"code": name}},
            {"url": "type", "valueCode": type_},
        ],
    }


def query(name: str, text: str) -> dict[str, Any]:
    expression = {"name": name, "language": "application/x-fhir-query", "expression": text}
    return {"url": f"{CORE}variable", "valueExpression": expression}


def value(text: str) -> dict[str, Any]:
    return {"extension": [{"url": f"{SDC}templateExtractValue", "valueString": text}]}


def context(text: str) -> dict[str, Any]:
    return {"url": f"{SDC}templateExtractContext", "valueString": text}


def template(id_: str, **more: str) -> dict[str, Any]:
    parts = [{"url": "template", "valueReference": {"reference": f"#{id_}"}}]
    parts += [{"url": name, "valueString": text} for name, text in more.items()]
    return {"url": f"{SDC}templateExtract", "extension": parts}


# ---- before: what is asked and filled in ---------------------------------------------------------

LAUNCHED = [
    launch("patient", "Patient"),
    query("pressures", "Observation?patient={{%patient.id}}&code=85354-9&_count=1"),
]


def test_a_form_says_what_it_asks_of_the_records() -> None:
    asked = form(item("q"), extension=LAUNCHED)
    found = questions(asked, around(patient=PATIENT))
    assert found == {"pressures": "Observation?patient=p1&code=85354-9&_count=1"}


def test_what_a_launch_brings_cannot_change_the_search() -> None:
    asked = form(item("q"), extension=LAUNCHED)
    found = questions(asked, around(patient={**PATIENT, "id": "p1&patient=p2"}))
    assert found["pressures"].startswith("Observation?patient=p1%26patient%3Dp2&")


def test_a_form_without_what_it_is_opened_with_is_refused() -> None:
    with pytest.raises(Invalid, match="opened with patient"):
        questions(form(item("q"), extension=LAUNCHED), around())


def test_what_is_in_the_records_is_filled_in() -> None:
    pressures = {
        "resourceType": "Bundle",
        "entry": [{"resource": {"resourceType": "Observation",
                                "valueQuantity": {"value": Decimal(128), "code": "mm[Hg]"}}}],
    }  # fmt: skip
    asked = form(
        item("born", "date", initially("%patient.birthDate"), readOnly=True),
        item("last", "decimal", initially("%pressures.entry.resource.value.value")),
        item("none", "string", initially("%patient.name.family")),
        extension=LAUNCHED,
    )
    filling = prefill(asked, around(patient=PATIENT, pressures=pressures))
    assert answers_of(filling.response()) == {"born": ["1970-05-01"], "last": [Decimal(128)]}


def test_a_group_is_filled_once_for_each_thing_found() -> None:
    medicines = [{"name": "a", "dose": 1}, {"name": "b", "dose": 2}]
    population = extension(f"{SDC}itemPopulationContext", **path("%medicines", name="one"))
    group = item("m", "group", population, repeats=True,
                 item=[item("name", "string", initially("%one.name")),
                       item("dose", "integer", initially("%one.dose"))])  # fmt: skip
    filling = prefill(form(group), around(medicines=medicines))
    assert answers_of(filling.response()) == {"name": ["a", "b"], "dose": [1, 2]}
    empty = prefill(form(group), around(medicines=[]))
    assert [place.key for place in empty.walk()] == ["m.0", "m.0/name", "m.0/dose"]


def test_initial_values_and_options_stand_in_a_new_response() -> None:
    chosen = {**options("a")[0], "initialSelected": True}
    asked = form(
        item("n", "integer", initial=[{"valueInteger": 3}]),
        item("c", "choice", answerOption=[chosen, *options("b")]),
    )
    answers = answers_of(prefill(asked, around()).response())
    assert answers["n"] == [3]
    assert answers["c"][0]["code"] == "a"


# ---- after: what is made of it -------------------------------------------------------------------

PRESSURE = {
    "resourceType": "Observation",
    "id": "pressure",
    "status": "final",
    "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
    "subject": {"_reference": value("%resource.subject.reference")},
    "_effectiveDateTime": value("%resource.authored"),
    "component": [
        {
            "extension": [context("item.where(linkId='systolic')")],
            "code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
            "valueQuantity": {
                "_value": value("answer.value"),
                "unit": "mmHg",
                "system": UCUM,
                "code": "mm[Hg]",
            },
        },
        {
            "extension": [context("item.where(linkId='diastolic')")],
            "code": {"coding": [{"system": LOINC, "code": "8462-4"}]},
            "valueQuantity": {"_value": value("answer.value"), "code": "mm[Hg]", "system": UCUM},
        },
    ],
    "note": [{"_text": value("item.where(linkId='note').answer.value")}],
}
HEAD = {
    "resourceType": "QuestionnaireResponse",
    "status": "in-progress",
    "subject": {"reference": "Patient/p1"},
    "authored": "2026-11-22T08:00:00+08:00",
}


def pressure_form(**more: str) -> Any:
    return form(
        item(
            "pressure",
            "group",
            template("pressure", **more),
            item=[item("systolic", "integer"), item("diastolic", "integer"), item("note")],
        ),
        contained=[PRESSURE],
    )


def made(asked: Any, **sent: str) -> list[Any]:
    texts = {f"pressure/{name}": [text] for name, text in sent.items()}
    bundle = extract(fill(asked, around(), texts, HEAD))
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
    return list(bundle["entry"])


def test_a_record_is_made_of_what_was_answered() -> None:
    (entry,) = made(pressure_form(), systolic="128", diastolic="82")
    assert entry["request"] == {"method": "POST", "url": "Observation"}
    assert entry["fullUrl"].startswith("urn:uuid:")
    resource = entry["resource"]
    assert "id" not in resource
    assert "note" not in resource, "what nobody answered leaves nothing"
    assert resource["subject"] == {"reference": "Patient/p1"}
    assert resource["effectiveDateTime"] == "2026-11-22T08:00:00+08:00"
    assert [one["valueQuantity"]["value"] for one in resource["component"]] == [128, 82]
    assert resource["component"][0]["valueQuantity"]["unit"] == "mmHg"
    assert "extension" not in resource["component"][0]


def test_what_nobody_answered_leaves_its_part_out() -> None:
    (entry,) = made(pressure_form(), systolic="128")
    (component,) = entry["resource"]["component"]
    assert component["code"]["coding"][0]["code"] == "8480-6"


def test_an_empty_group_makes_no_record() -> None:
    assert made(pressure_form()) == []


def test_a_record_is_put_to_its_id_or_made_where_there_is_none() -> None:
    own = "'own-' + %resource.subject.reference.replace('Patient/', '')"
    (entry,) = made(pressure_form(resourceId=own), systolic="128")
    assert entry["request"] == {"method": "PUT", "url": "Observation/own-p1"}
    assert entry["resource"]["id"] == "own-p1"
    (entry,) = made(pressure_form(ifNoneExist="'identifier=urn:x|1'"), systolic="128")
    assert entry["request"]["ifNoneExist"] == "identifier=urn:x|1"


def test_each_occurrence_of_a_group_makes_its_own_record_that_others_may_name() -> None:
    condition = {
        "resourceType": "Condition",
        "id": "found",
        "subject": {"_reference": value("%resource.subject.reference")},
        "code": {"_text": value("item.where(linkId='what').answer.value")},
        "evidence": [{"detail": [{"_reference": value("%seen")}]}],
    }
    asked = form(
        item("g", "group", template("found"), repeats=True, item=[item("what")]),
        contained=[condition, PRESSURE],
        extension=[
            extension(f"{SDC}extractAllocateId", valueString="seen"),
            template("pressure", fullUrl="%seen"),
        ],
    )
    filling = fill(asked, around(), {"g.0/what": ["a"], "g.1/what": ["b"]}, HEAD)
    first, *others = extract(filling)["entry"]
    assert [one["resource"]["code"]["text"] for one in others] == ["a", "b"]
    references = {one["resource"]["evidence"][0]["detail"][0]["reference"] for one in others}
    assert references == {first["fullUrl"]}


def test_a_closed_group_makes_nothing() -> None:
    asked = form(
        item("a", "boolean"),
        item(
            "pressure",
            "group",
            template("pressure"),
            enableWhen=[{"question": "a", "operator": "=", "answerBoolean": True}],
            item=[item("systolic", "integer")],
        ),
        contained=[PRESSURE],
    )
    sent = {"a": ["false"], "pressure/systolic": ["128"]}
    assert extract(fill(asked, around(), sent, HEAD))["entry"] == []


def test_a_template_that_fails_is_named() -> None:
    broken = {**PRESSURE, "note": [{"_text": value("item.answer.value.toQuantity() + 1 'm'")}]}
    asked = form(
        item("pressure", "group", template("pressure"), item=[item("systolic", "integer"),
             item("diastolic", "integer")]),
        contained=[broken],
    )  # fmt: skip
    with pytest.raises(Invalid, match="Observation pressure"):
        made(asked, systolic="1", diastolic="2")


def test_a_quantity_keeps_its_unit_in_what_is_made() -> None:
    weight = {"resourceType": "Observation", "id": "w", "status": "final",
              "valueQuantity": value("answer.value")}  # fmt: skip
    asked = compile_form(
        {
            "resourceType": "Questionnaire",
            "url": "http://example.org/weight",
            "contained": [weight],
            "item": [item("w", "quantity", template("w"), unit("kg"))],
        }
    )
    (entry,) = extract(fill(asked, around(), {"w": ["71.50"]}, HEAD))["entry"]
    assert entry["resource"]["valueQuantity"] == {
        "value": Decimal("71.50"),
        "unit": "kg",
        "system": UCUM,
        "code": "kg",
    }
