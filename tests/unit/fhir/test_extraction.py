"""What a record can be searched by: each kind of parameter, and what is left out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from quanmin.fhir.extraction import index_values
from quanmin.fhir.values import (
    Link,
    Number,
    Quantity,
    Said,
    Spot,
    Text,
    Token,
    Typed,
    Uri,
    Value,
    When,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = 86_400_000_000


def values(resource: dict[str, Any], name: str) -> list[Value] | None:
    """The values of one parameter; None when it has no element."""
    found = index_values(resource["resourceType"], resource, SHANGHAI)
    by_name = {param.name: values for param, values in found}
    assert len(by_name) == len(found)
    return by_name.get(name)


def observation(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", **members}


def patient(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **members}


CODE = {"coding": [{"system": "s", "code": "a"}, {"code": "b"}, {"system": "t"}, {"display": "x"}]}


def test_every_coding_of_a_concept_is_a_token() -> None:
    expected = [Token("s", "a"), Token(None, "b"), Token("t", None), Said(("x",))]
    assert values(observation(code=CODE), "code") == expected
    combined = observation(code=CODE, component=[{"code": {"coding": [{"code": "c"}]}}, {}])
    assert values(combined, "combo-code") == [*expected, Token(None, "c")]
    assert values(combined, "code") == expected


def test_texts_and_displays_of_an_element_are_said_together() -> None:
    concept = {"text": "both", "coding": [{"display": "a"}, {"code": "b", "display": "both"}]}
    assert values(observation(code=concept), "code") == [Token(None, "b"), Said(("both", "a"))]
    assert values(observation(code={"text": "only text"}), "code") == [Said(("only text",))]
    typed = {"value": "v", "type": {"text": "t", "coding": [{"system": "s", "code": "c"}, {}]}}
    assert values(patient(identifier=[typed]), "identifier") == [
        Token(None, "v"),
        Said(("t",)),
        Typed("s", "c", "v"),
        Typed(None, None, "v"),
    ]


def test_what_has_an_element_but_nothing_to_compare_is_not_missing() -> None:
    assert values(observation(code={"id": "nothing"}), "code") == []
    assert values(observation(subject={"display": "someone"}), "subject") == []
    assert values(observation(), "code") is None
    assert values(observation(subject={"display": "someone"}), "patient") is None


@pytest.mark.parametrize(
    ("name", "members", "expected"),
    [
        ("gender", {"gender": "male"}, Token(None, "male", alone=True)),
        ("active", {"active": False}, Token(None, "false", alone=True)),
        ("_id", {"id": "a"}, Token(None, "a", alone=True)),
        ("identifier", {"identifier": [{"system": "s", "value": "v"}]}, Token("s", "v")),
        (
            "phone",
            {"telecom": [{"system": "email", "value": "e"}, {"system": "phone", "value": "1"}]},
            Token(None, "1", alone=True),
        ),
        ("language", {"communication": [{"language": CODE}]}, Token("s", "a")),
        ("_profile", {"meta": {"profile": ["http://p"]}}, Uri("http://p")),
        ("_tag", {"meta": {"tag": [{"system": "s", "code": "t"}]}}, Token("s", "t")),
        ("address-city", {"address": [{"city": "成都"}]}, Text("成都")),
    ],
)
def test_each_type_becomes_the_value_of_its_kind(
    name: str, members: dict[str, Any], expected: Value
) -> None:
    assert (values(patient(**members), name) or [])[0] == expected


def test_deceased_is_told_of_every_patient() -> None:
    for members, told in (
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2026-01-01"}, "true"),
    ):
        assert values(patient(**members), "deceased") == [Token(None, told, alone=True)]


def test_a_name_is_its_parts_and_the_whole_as_it_is_said() -> None:
    chinese = patient(name=[{"family": "欧阳", "given": ["小", "明"]}])
    assert values(chinese, "name") == [Text(t) for t in ("欧阳", "小", "明", "欧阳小明")]
    western = patient(name=[{"family": "Chalmers", "given": ["Peter", "James"], "prefix": ["Dr"]}])
    assert values(western, "name") == [
        Text(t) for t in ("Chalmers", "Peter", "James", "Dr", "Peter James Chalmers")
    ]
    told = patient(name=[{"text": "王 五", "family": "王"}])
    assert values(told, "name") == [Text("王"), Text("王 五")]
    assert values(told, "family") == [Text("王")]


def test_dates_are_read_at_the_nodes_zone_and_keep_their_precision() -> None:
    (birth,) = values(patient(birthDate="2000-05-01"), "birthdate") or []
    assert isinstance(birth, When)
    assert birth.high is not None
    assert birth.low is not None
    assert birth.high - birth.low == DAY
    assert birth.low % DAY == 16 * 3_600_000_000


def test_periods_may_be_open_and_timings_span_their_events() -> None:
    def date(**members: Any) -> list[Value]:
        return values(observation(**members), "date") or []

    (open_end,) = date(effectivePeriod={"start": "2020-01-01T00:00:00Z"})
    assert open_end == When(1_577_836_800_000_000, None)
    assert date(effectivePeriod={"extension": [{"url": "u"}]}) == []
    (span,) = date(effectiveTiming={"event": ["2020-01-03T00:00:00Z", "2020-01-01T00:00:00Z"]})
    assert span == When(1_577_836_800_000_000, 1_578_009_601_000_000)
    (bounded,) = date(effectiveTiming={"repeat": {"boundsPeriod": {"end": "2020-01-01T00:00:00Z"}}})
    assert bounded == When(None, 1_577_836_801_000_000)


def test_quantities_keep_their_digits_and_their_comparators() -> None:
    def value(**members: Any) -> list[Value]:
        return values(observation(**members), "value-quantity") or []

    ten = {"value": Decimal("10.00"), "unit": "mg", "system": "u", "code": "mg"}
    assert value(valueQuantity=ten) == [Quantity(Decimal(10), Decimal(10), "u", "mg", "mg")]
    assert value(valueQuantity={"value": 5, "comparator": "<"}) == [
        Quantity(None, Decimal(5), None, None, None)
    ]
    assert value(valueQuantity={"value": 5, "comparator": ">="}) == [
        Quantity(Decimal(5), None, None, None, None)
    ]
    sampled = {"origin": {"value": 0, "code": "mV"}, "lowerLimit": -1, "upperLimit": 3, "factor": 2}
    assert value(valueSampledData=sampled) == [Quantity(Decimal(-2), Decimal(6), None, "mV", None)]
    risk = {
        "resourceType": "RiskAssessment",
        "prediction": [{"probabilityRange": {"low": {"value": 1}}}, {"probabilityDecimal": 2}],
    }
    assert values(risk, "probability") == [
        Number(Decimal(2), Decimal(2)),
        Number(Decimal(1), None),
    ] or values(risk, "probability") == [
        Number(Decimal(1), None),
        Number(Decimal(2), Decimal(2)),
    ]
    claim = {"resourceType": "Invoice", "totalNet": {"value": 3, "currency": "CNY"}}
    assert values(claim, "totalnet") == [
        Quantity(Decimal(3), Decimal(3), "urn:iso:std:iso:4217", "CNY", None)
    ]


def test_a_number_no_index_can_hold_is_left_out() -> None:
    for value in (Decimal("1E+999999"), Decimal("1E-999999"), 10**400):
        assert values(observation(valueQuantity={"value": value}), "value-quantity") == []


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"reference": "Patient/1"}, Link("Patient", "1")),
        ({"reference": "Patient/1/_history/3"}, Link("Patient", "1")),
        (
            {"reference": "http://a/fhir/Patient/1"},
            Link("Patient", None, "http://a/fhir/Patient/1"),
        ),
        ({"reference": "urn:uuid:1", "type": "Patient"}, Link("Patient", None, "urn:uuid:1")),
        (
            {"type": "Patient", "identifier": {"system": "s", "value": "v"}},
            Link("Patient", None, None, Token("s", "v")),
        ),
    ],
)
def test_a_reference_is_a_link_and_a_patient_when_it_says_so(
    reference: dict[str, Any], expected: Link
) -> None:
    assert values(observation(subject=reference), "subject") == [expected]
    assert values(observation(subject=reference), "patient") == [expected]


def test_references_to_contained_resources_and_to_others_are_not_patients() -> None:
    assert values(observation(subject={"reference": "#p"}), "subject") == []
    assert values(observation(subject={"reference": "Group/1"}), "patient") is None
    assert values(observation(subject={"reference": "http://a/fhir/Group/1"}), "patient") is None


def test_a_versioned_canonical_is_found_with_and_without_its_version() -> None:
    plan = {
        "resourceType": "PlanDefinition",
        "relatedArtifact": [
            {"type": "depends-on", "resource": "http://l|1"},
            {"type": "composed-of", "resource": "http://m"},
        ],
    }
    assert values(plan, "depends-on") == [
        Link(None, None, "http://l|1"),
        Link(None, None, "http://l"),
    ]
    assert values(plan, "composed-of") == [Link(None, None, "http://m")]


def test_the_first_entry_of_a_bundle_is_its_composition() -> None:
    document = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": {"resourceType": "Composition", "id": "c"}},
            {"resource": {"resourceType": "Patient", "id": "p"}},
        ],
    }
    assert values(document, "composition") == [Link("Composition", "c")]


def test_composite_parameters_are_left_out() -> None:
    resource = observation(code=CODE, valueString="x")
    names = {param.name for param, _ in index_values("Observation", resource, SHANGHAI)}
    assert names == {"code", "combo-code", "value-string"}


def test_a_position_is_a_spot_on_the_earth() -> None:
    near = {"resourceType": "Location", "position": {"longitude": 1, "latitude": 2}}
    assert values(near, "near") == [Spot(2.0, 1.0)]
    near["position"] = {"longitude": 181, "latitude": 2}
    assert values(near, "near") == []
