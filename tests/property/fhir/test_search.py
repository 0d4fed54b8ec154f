"""Extraction, grammar and matching together: nothing breaks them, and what is there is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st
from property.fhir.generated import damaged, resources, write

from quanmin.base.problems import Malformed, NotSupported, TooCostly
from quanmin.fhir.extraction import index_values
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.json import decode
from quanmin.fhir.matching import holds
from quanmin.fhir.query import Clause
from quanmin.fhir.table import load_table
from quanmin.fhir.values import (
    Link,
    Number,
    Quantity,
    SearchParameter,
    Text,
    Token,
    Uri,
    Value,
    When,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
LIMITS = QueryLimits(value_length_max=10_000)
TYPES = tuple(load_table().types)
# In the east the first day of the calendar begins in a year that no search can write.
YEAR_ONE = (datetime(1, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
    microseconds=1
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_no_resource_breaks_extraction(resource: dict[str, Any]) -> None:
    name = resource.get("resourceType")
    if isinstance(name, str) and name in load_table().types:
        found = index_values(name, decode(write(resource)), SHANGHAI)
        assert all(param.type == name for param, _ in found)


NAMES = st.sampled_from(
    [name for each in load_table().types.values() for name in each.params]
    + ["_sort", "_count", "_include", "_revinclude", "_elements", "_total", "_summary", "x", ""]
)
MODIFIERS = st.sampled_from(
    ("", ":", ":not", ":exact", ":missing", ":Patient", ":identifier", ":x")
)
VALUES = st.text(max_size=12) | st.sampled_from(
    (
        "",
        "|",
        "\\",
        "a\\",
        "1e9",
        "gt2020",
        "ap1||mg",
        "Patient/1",
        "-date",
        "Patient:link",
        "true",
        "1",
    )
)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from((*TYPES, None)),
    st.lists(st.tuples(st.builds(str.__add__, NAMES, MODIFIERS), VALUES), max_size=3),
)
@example("Observation", [("date", "ap0001")])
@example("Observation", [("value-quantity", "1e300||mg")])
def test_any_search_is_read_or_refused(type_: str | None, pairs: list[tuple[str, str]]) -> None:
    try:
        query = parse_query(type_, pairs, strict=True, zone=SHANGHAI, limits=LIMITS)
    except (Malformed, NotSupported, TooCostly):
        return
    again = parse_query(type_, query.pairs, strict=True, zone=SHANGHAI, limits=LIMITS)
    assert again.pairs == query.pairs
    assert len(again.clauses) == len(query.clauses)


@settings(max_examples=150, deadline=None)
@given(resources())
def test_a_record_is_found_by_each_of_its_own_values(resource: dict[str, Any]) -> None:
    name = resource["resourceType"]
    for param, values in index_values(name, decode(write(resource)), SHANGHAI):
        for value in values:
            asked = written(param, value)
            if asked is None:
                continue
            clause = read(name, asked[0], asked[1])
            assert holds(clause, values), asked
            assert holds(clause, [value]), asked


def read(type_: str, name: str, text: str) -> Clause:
    query = parse_query(type_, [(name, text)], strict=True, zone=SHANGHAI, limits=LIMITS)
    return query.clauses[0]


def escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


def written(param: SearchParameter, value: Value) -> tuple[str, str] | None:
    """A parameter and a value that ask for exactly this; None where no search can say it."""
    match value:
        case Token(system, code):
            return param.name, f"{escaped(system or '')}|{escaped(code or '')}"
        case Text(text):
            return f"{param.name}:exact", escaped(text)
        case Uri(uri):
            return param.name, escaped(uri)
        case Link(type_, id_, None, _) if type_ and id_:
            return param.name, f"{type_}/{id_}"
        case When(low, high) if low is not None and high is not None and low >= YEAR_ONE:
            start = EPOCH + timedelta(microseconds=low)
            return param.name, f"ge{start.isoformat().replace('+00:00', 'Z')}"
        case Number(low, high) if low is not None and low == high:
            return param.name, str(low)
        case Quantity(low, high, system, code, unit) if low is not None and low == high:
            named = f"|{escaped(system or '')}|{escaped(code or unit or '')}"
            return param.name, str(low) + (named if system or code or unit else "")
    return None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.sampled_from(("", "e1")))
def test_a_number_lies_within_what_its_own_digits_cover(value: Decimal, exponent: str) -> None:
    clause = read("RiskAssessment", "probability", f"{value:f}{exponent}")
    exact = Decimal(f"{value:f}{exponent}")
    assert holds(clause, [Number(exact, exact)])
