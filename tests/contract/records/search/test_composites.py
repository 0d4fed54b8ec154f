"""Composites: what their components ask for must be found in one element of a record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from shelf import find_all, observation_of, put_away, query_of
from stores import coded, create, update

from quanmin.base.problems import Malformed, NotSupported
from quanmin.records.operation import Operation
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

UCUM = "http://unitsofmeasure.org"


def measured(code: str, number: float, unit: str = "mm[Hg]") -> dict[str, Any]:
    quantity = {"value": number, "system": UCUM, "code": unit, "unit": unit}
    return {"code": coded(code), "valueQuantity": quantity}


def shelf() -> list[Operation]:
    uses = [("age", 5, "a"), ("gender", 9, "mo")]
    context = [
        {"code": {"code": code}, "valueQuantity": {"value": number, "code": unit, "system": UCUM}}
        for code, number, unit in uses
    ]
    plan = {
        "resourceType": "Questionnaire",
        "id": "plan",
        "status": "draft",
        "useContext": [*context, {"code": {"code": "venue"}, "valueCodeableConcept": coded("x")}],
    }
    relates = [
        {"code": "replaces", "target": {"reference": "DocumentReference/old"}},
        {"code": "appends", "target": {"reference": "DocumentReference/other"}},
    ]
    document = {
        "resourceType": "DocumentReference",
        "id": "new",
        "status": "current",
        "content": [{"attachment": {"title": "a"}}],
        "relatesTo": relates,
    }
    return [
        observation_of("low", component=[measured("systolic", 110), measured("diastolic", 70)]),
        observation_of("high", component=[measured("systolic", 180), measured("diastolic", 110)]),
        observation_of("alone", **measured("systolic", 190)),
        observation_of("kilo", **measured("systolic", 20, "kPa")),
        observation_of("both", component=[measured("systolic", 181)], **measured("pulse", 60)),
        observation_of("date", code=coded("due"), valueDateTime="2026-05-05"),
        observation_of("text", code=coded("note"), valueString="白市 $5, a|b"),
        observation_of("sign", code=coded("sign"), valueCodeableConcept=coded("found")),
        update("Questionnaire", "plan", json.dumps(plan).encode()),
        update("DocumentReference", "new", json.dumps(document).encode()),
    ]


ASKED = [
    ("Observation", "component-code-value-quantity", "systolic$110", {"low"}),
    ("Observation", "component-code-value-quantity", "diastolic$110", {"high"}),
    ("Observation", "component-code-value-quantity", "urn:codes|diastolic$gt80", {"high"}),
    ("Observation", "component-code-value-quantity", "urn:other|diastolic$gt80", set()),
    ("Observation", "component-code-value-quantity", "systolic$lt80,diastolic$lt80", {"low"}),
    ("Observation", "component-code-value-quantity", "pulse$60", set()),
    ("Observation", "combo-code-value-quantity", "systolic$gt150", {"high", "alone", "both"}),
    ("Observation", "combo-code-value-quantity", "pulse$gt150", set()),
    ("Observation", "combo-code-value-quantity", "pulse$60,systolic$110", {"both", "low"}),
    ("Observation", "code-value-quantity", f"systolic$gt150|{UCUM}|mm[Hg]", {"alone", "kilo"}),
    ("Observation", "code-value-quantity", f"systolic$gt25|{UCUM}|kPa", {"alone"}),
    ("Observation", "code-value-quantity", "pulse$190,systolic$60", set()),
    ("Observation", "code-value-quantity", "pulse$60,systolic$190", {"alone", "both"}),
    ("Observation", "code-value-date", "due$ge2026-05", {"date"}),
    ("Observation", "code-value-date", "due$lt2026-05", set()),
    ("Observation", "code-value-string", r"note$白市 \$5\, a\|b", {"text"}),
    ("Observation", "code-value-string", "sign$白市", set()),
    ("Observation", "code-value-concept", "sign$urn:codes|found", {"sign"}),
    ("Observation", "combo-code-value-concept", "sign$found,note$found", {"sign"}),
    ("Questionnaire", "context-type-quantity", f"age$5|{UCUM}|a", {"plan"}),
    ("Questionnaire", "context-type-quantity", f"gender$5|{UCUM}|a", set()),
    ("Questionnaire", "context-type-value", "venue$x", {"plan"}),
    ("Questionnaire", "context-type-value", "age$x", set()),
    ("DocumentReference", "relationship", "replaces$DocumentReference/old", {"new"}),
    ("DocumentReference", "relationship", "replaces$DocumentReference/other", set()),
    ("DocumentReference", "relationship", "appends$other,replaces$other", {"new"}),
    ("Patient", "_has:Observation:subject:combo-code-value-quantity", "pulse$60", {"one"}),
]


async def test_components_are_found_in_one_element(store: Store) -> None:
    await put_away(store, [create("Patient", b'{"resourceType":"Patient"}'), *shelf()])
    await put_away(store, [update("Patient", "one", b'{"resourceType":"Patient","id":"one"}')])
    for type_, name, value, expected in ASKED:
        for sort in (("_sort", "-_id"), ("_sort", "_tag")):
            query = query_of(type_, (name, value), sort)
            found = [one.id for one in await find_all(store, query, Everything(), size=2)]
            assert (set(found), len(found)) == (expected, len(expected)), (name, value)
        query = query_of(type_, (name, value), ("_summary", "count"), ("_total", "accurate"))
        async with store.reading() as connection:
            hits = await search(connection, store.context, query, Everything())
        assert (hits.total, hits.total_is_exact) == (len(expected), True), (name, value)


@pytest.mark.parametrize("value", ["a", "a$", "$5", "a$5$6", r"a\$5", "a$x", "a$5,b"])
def test_a_composite_needs_a_value_for_each_component(value: str) -> None:
    with pytest.raises(Malformed) as refused:
        query_of("Observation", ("code-value-quantity", value))
    assert "value" in refused.value.text
    assert value not in refused.value.text or value == "a"


def test_a_composite_takes_no_modifier_and_sorts_nothing() -> None:
    for pair in (("code-value-quantity:missing", "true"), ("_sort", "code-value-quantity")):
        with pytest.raises(NotSupported, match="code-value-quantity"):
            query_of("Observation", pair)


async def test_conditional_criteria_take_no_composites(store: Store) -> None:
    criteria = query_of("Observation", ("code-value-quantity", "a$5"))
    with pytest.raises(NotSupported, match="composites"):
        await put_away(store, [create("Observation", b"{}", criteria=criteria)])
