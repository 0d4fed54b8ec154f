"""How results of one examination went: each value under its own name, by its own range."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

from quanmin.trust import Stored
from quanmin.web.drawing import Figure, Pen
from quanmin.web.reading import Reader
from quanmin.web.results import tell_results, trend
from quanmin.web.visit import Visit

CHINA = ZoneInfo("Asia/Shanghai")
VISIT = cast(
    "Visit",
    SimpleNamespace(
        language="en",
        colon=": ",
        semicolon="; ",
        say=str,
        reader=Reader("en", CHINA),
        pen=Pen("en", str, is_large=False),
        house=SimpleNamespace(settings=SimpleNamespace(zone=CHINA)),
    ),
)
UPPER, LOWER = "8480-6", "8462-4"


def measured(code: str, value: float | None, unit: str = "mmHg", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"code": {"coding": [{"system": "urn:lab", "code": code}]}}
    if value is not None:
        found["valueQuantity"] = {"value": value, "unit": unit, **more}
    return found


def drawn(*bodies: dict[str, Any]) -> Figure | None:
    entries = []
    for number, body in enumerate(bodies, 1):
        whole = {"resourceType": "Observation", "status": "final", **body}
        whole["effectiveDateTime"] = f"2026-05-0{number}"
        entries.append(SimpleNamespace(id=str(number), body=json.dumps(whole).encode()))
    return trend(VISIT, "trend", tell_results(VISIT, cast("list[Stored]", entries)), "T")


def pressure(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"code": {"coding": [{"system": "urn:lab", "code": "bp"}]}, "component": list(parts)}


def rows(figure: Figure | None) -> list[tuple[str, ...]]:
    assert figure is not None
    return [row[1:] for row in figure.rows]


def test_both_pressures_stand_under_their_own_names_in_whatever_order_they_came() -> None:
    figure = drawn(
        pressure(measured(LOWER, 90), measured(UPPER, 140)),
        pressure(measured(UPPER, None), measured(LOWER, 88)),
        pressure(measured(UPPER, 150), measured(LOWER, 95)),
    )
    assert [row[:2] for row in rows(figure)] == [("140", "90"), ("–", "88"), ("150", "95")]


def test_each_value_is_judged_by_its_own_range_and_none_is_drawn_that_is_not_of_all() -> None:
    def within(value: int, high: int) -> dict[str, Any]:
        bound = {"value": high, "unit": "U/L"}
        return {**measured("alt", value, "U/L"), "referenceRange": [{"high": bound}]}

    figure = drawn(within(45, 50), within(30, 40))
    assert rows(figure) == [("45", "within the range"), ("30", "within the range")]
    assert figure is not None
    assert not figure.keys
    common = drawn(within(45, 40), within(30, 40))
    assert rows(common) == [("45", "above the range"), ("30", "within the range")]
    assert common is not None
    assert len(common.keys) == 1


def test_what_is_not_told_exactly_is_no_point_and_stands_as_it_was_told() -> None:
    figure = drawn(
        measured("crp", 5, "mg/L", comparator="<"),
        measured("crp", 7, "mg/L"),
        measured("crp", 9, "mg/L"),
        measured("crp", 1, "mg/dL"),
        measured("crp", 8, "mg/L"),
    )
    assert [row[0] for row in rows(figure)] == ["<5 mg/L", "7", "9", "1 mg/dL", "8"]
    assert drawn(measured("crp", 5, "mg/L", comparator="<"), measured("crp", 7, "mg/L")) is None
