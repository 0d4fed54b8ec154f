"""Where a result stands, at the bounds of its range and beside what the laboratory says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from quanmin.web.ranges import standing_of

THERAPEUTIC = {"coding": [{"code": "therapeutic"}]}
SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


def quantity(value: str, unit: str = "mmol/L", **more: str) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": unit, "code": unit, **more}


def span(low: str | None, high: str | None, unit: str = "mmol/L", **more: Any) -> dict[str, Any]:
    bounds = {"low": low, "high": high}
    return {name: quantity(one, unit) for name, one in bounds.items() if one} | more


def result(value: str, *ranges: dict[str, Any], said: str = "", **more: str) -> dict[str, Any]:
    body: dict[str, Any] = {"valueQuantity": quantity(value, **more)}
    if ranges:
        body["referenceRange"] = [*ranges]
    if said:
        body["interpretation"] = [{"coding": [{"system": SYSTEM, "code": said}]}]
    return body


@pytest.mark.parametrize(
    ("value", "side"),
    [("3.8", "below"), ("3.899", "below"), ("3.9", "within"), ("3.90", "within"), ("5", "within"),
     ("6.1", "within"), ("6.10", "within"), ("6.101", "above"), ("6.2", "above"), ("-1", "below")],
)  # fmt: skip
def test_the_bounds_belong_to_the_range(value: str, side: str) -> None:
    told = standing_of(result(value, span("3.9", "6.1")))
    assert (told.side, told.reasons) == (side, ("range",))


@pytest.mark.parametrize(
    ("value", "low", "high", "side"),
    [("0", None, "5", "within"), ("5", None, "5", "within"), ("5.1", None, "5", "above"),
     ("1", "1", None, "within"), ("0.9", "1", None, "below"), ("99", "1", None, "within")],
)  # fmt: skip
def test_an_open_end_bounds_nothing(value: str, low: str, high: str, side: str) -> None:
    assert standing_of(result(value, span(low, high))).side == side


@pytest.mark.parametrize(
    ("comparator", "value", "side"),
    [("<", "4", "below"), ("<", "4.1", "unknown"), ("<=", "3.9", "below"), ("<=", "4", "unknown"),
     (">", "6", "above"), (">", "5.9", "unknown"), (">=", "6.1", "above"), (">=", "6", "unknown"),
     ("ad", "5", "unknown")],
)  # fmt: skip
def test_a_comparator_decides_only_what_it_cannot_leave_open(
    comparator: str, value: str, side: str
) -> None:
    told = standing_of(result(value, span("4", "6"), comparator=comparator))
    assert told.side == side
    assert told.reasons == (("comparator",) if side == "unknown" else ("range",))
    open_end = standing_of(result("6", span(None, "6"), comparator="<"))
    assert open_end.side == "within"


@pytest.mark.parametrize(
    ("body", "side", "reason"),
    [
        (result("5"), "unknown", "no-range"),
        (result("5", {"text": "see leaflet"}), "unknown", "text-range"),
        (result("5", span("3", "6", "mg/dL")), "unknown", "other-unit"),
        (result("5", span("6", "7"), span("3", "6")), "unknown", "several-ranges"),
        (result("8", span("6", "7"), span("3", "6")), "above", "range"),
        (result("5", span("6", "7", type=THERAPEUTIC)), "unknown", "no-range"),
        (result("5", said="H"), "above", "interpretation"),
        (result("5", said="LL"), "below", "interpretation"),
        (result("5", said="N"), "within", "interpretation"),
        (result("5", said="A"), "beyond", "interpretation"),
        (result("5", said="POS"), "stated", "interpretation"),
        (result("5", said="?"), "unknown", "no-range"),
        (result("7", span("3", "6"), said="H"), "above", "range"),
        (result("7", span("3", "6"), said="A"), "above", "range"),
        (result("5", span("3", "6"), said="H"), "unknown", "disagree"),
        (result("5", span("3", "6"), said="A"), "unknown", "disagree"),
        (result("7", span("3", "6"), said="N"), "unknown", "disagree"),
        ({"valueString": "5"}, "unknown", "no-range"),
        ({"dataAbsentReason": {"text": "none"}}, "unknown", "no-value"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_not_told_and_says_why(
    body: dict[str, Any], side: str, reason: str
) -> None:
    told = standing_of(body)
    assert (told.side, told.reasons[0]) == (side, reason)


@pytest.mark.parametrize(("said", "is_critical"), [("HH", True), ("H", False), ("LL", True)])
def test_what_is_far_out_is_what_the_laboratory_marks_so(said: str, *, is_critical: bool) -> None:
    value = "9" if said[0] == "H" else "1"
    assert standing_of(result(value, span("3", "6"), said=said)).is_critical is is_critical
    assert standing_of(result(value, said=said)).is_critical is is_critical


@pytest.mark.parametrize(
    ("value", "said"), [("5", ("HH",)), ("1", ("HH",)), ("9", ("AA", "HH")), ("9", ("HH", "LL"))]
)
def test_a_mark_of_danger_is_kept_whatever_else_is_said(value: str, said: tuple[str, ...]) -> None:
    body = result(value, span("3", "6"))
    body["interpretation"] = [{"coding": [{"system": SYSTEM, "code": one}]} for one in said]
    assert standing_of(body).is_critical


def test_a_side_is_more_exact_than_beyond() -> None:
    body = result("9", span("3", "6"))
    body["interpretation"] = [{"coding": [{"system": SYSTEM, "code": one}]} for one in ("AA", "HH")]
    assert standing_of(body).reasons == ("range", "interpretation")


@pytest.mark.parametrize(
    ("value", "bound", "is_same"),
    [
        ({"code": "mmol/L"}, {"unit": "mg/dL"}, False),
        ({"unit": "mmol/L"}, {"code": "mg/dL"}, False),
        ({"code": "mmol/L"}, {"unit": "mmol/L"}, True),
        ({"code": "mmol/L", "unit": "毫摩尔/升"}, {"unit": "毫摩尔/升"}, True),
        ({"code": "mmol/L", "unit": "x"}, {"code": "mg/dL", "unit": "x"}, False),
        ({"code": "mmol/L"}, {}, True),
    ],
)
def test_units_are_compared_by_whatever_names_them(
    value: dict[str, str], bound: dict[str, str], *, is_same: bool
) -> None:
    body = {
        "valueQuantity": {"value": Decimal("5.6"), **value},
        "referenceRange": [{"low": {"value": 70, **bound}, "high": {"value": 110, **bound}}],
    }
    assert standing_of(body).side == ("below" if is_same else "unknown")


def test_a_code_of_another_system_is_no_interpretation() -> None:
    body = result("5") | {"interpretation": [{"coding": [{"system": "urn:local", "code": "H"}]}]}
    assert standing_of(body).side == "unknown"


@pytest.mark.parametrize(
    ("gender", "side", "reasons"),
    [("male", "below", ("range",)), ("female", "within", ("range",)),
     ("other", "unknown", ("several-ranges",)), ("", "unknown", ("several-ranges",))],
)  # fmt: skip
def test_a_range_for_the_other_sex_is_none(gender: str, side: str, reasons: tuple[str]) -> None:
    sexes = {"female": "248152002", "male": "248153007"}
    applies = {
        name: [{"coding": [{"system": "http://snomed.info/sct", "code": code}]}]
        for name, code in sexes.items()
    }
    ranges = (
        span("120", "160", "g/L", appliesTo=applies["male"]),
        span("110", "150", "g/L", appliesTo=applies["female"]),
    )
    told = standing_of(result("115", *ranges, unit="g/L"), gender)
    assert (told.side, told.reasons) == (side, reasons)
    race = [{"coding": [{"system": "http://snomed.info/sct", "code": "77386006"}]}]
    alone = standing_of(
        result("115", span("110", "150", "g/L", appliesTo=race), unit="g/L"), gender
    )
    assert alone.side == "within", "what names no sex holds of everybody"
