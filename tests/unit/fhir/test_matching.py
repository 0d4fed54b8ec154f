"""What a search means, value by value (R4 search.html)."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from quanmin.fhir.conversion import CONVERTERS
from quanmin.fhir.dates import interval
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.matching import holds
from quanmin.fhir.query import Clause
from quanmin.fhir.values import Link, Number, Quantity, Text, Token, Uri, Value, When

UTC = ZoneInfo("UTC")
UCUM = "http://unitsofmeasure.org"


def clause(type_: str, name: str, value: str) -> Clause:
    query = parse_query(type_, [(name, value)], strict=True, zone=UTC, limits=QueryLimits())
    return query.clauses[0]


def finds(type_: str, name: str, value: str, *values: Value) -> bool:
    return holds(clause(type_, name, value), values)


def test_tokens_compare_system_and_code() -> None:
    coded, plain = Token("s", "a"), Token(None, "a")
    for value, with_system, without in (
        ("a", True, True),
        ("s|a", True, False),
        ("|a", False, True),
        ("s|", True, False),
        ("t|a", False, False),
        ("A", False, False),
    ):
        assert finds("Observation", "code", value, coded) is with_system
        assert finds("Observation", "code", value, plain) is without


def test_a_code_of_one_possible_system_is_found_with_it_and_without() -> None:
    male = Token(None, "male", alone=True)
    for value in ("male", "http://hl7.org/fhir/administrative-gender|male", "|male"):
        assert finds("Patient", "gender", value, male)
    assert finds("Patient", "gender", "http://hl7.org/fhir/administrative-gender|", male)
    assert not finds("Patient", "gender", "other|male", male)


def test_not_finds_also_what_has_no_value() -> None:
    assert finds("Patient", "gender:not", "male")
    assert finds("Patient", "gender:not", "male", Token(None, "female", alone=True))
    assert not finds("Patient", "gender:not", "male,female", Token(None, "female", alone=True))


def test_missing_asks_for_the_element() -> None:
    asked = clause("Observation", "code:missing", "true")
    assert holds(asked, [])
    assert not holds(asked, [Token("s", "a")])
    assert not holds(asked, [], is_present=True)
    assert holds(clause("Observation", "code:missing", "false"), [], is_present=True)


@pytest.mark.parametrize(
    ("name", "value", "text", "is_found"),
    [
        ("name", "eve", "Eve", True),
        ("name", "eve", "Severine", False),
        ("name", "eve", "Mary-Eve", True),
        ("name", "jose", "José", True),
        ("name", "李", "李明", True),
        ("name:contains", "eve", "Severine", True),
        ("name:contains", "明", "李小明", True),
        ("name:exact", "Eve", "Eve", True),
        ("name:exact", "eve", "Eve", False),
        ("name:exact", "Eve", "Evelyn", False),
        ("name", "-", "Eve", False),
    ],
)
def test_texts_compare_by_their_modifier(
    name: str, value: str, text: str, *, is_found: bool
) -> None:
    assert finds("Patient", name, value, Text(text)) is is_found


def when(low: str | None, high: str | None = None) -> When:
    """From the beginning of `low` to the end of `high` (default: the same)."""
    first = interval(low, UTC) if low else None
    last = interval(high or low or "", UTC) if high or low else None
    return When(first[0] if first else None, last[1] if last and high != "" else None)


@pytest.mark.parametrize(
    ("value", "found", "not_found"),
    [
        ("2020-05", ["2020-05", "2020-05-31", "2020-05-31T23:59:59Z"], ["2020", "2020-06-01"]),
        ("ne2020-05", ["2020", "2020-06-01"], ["2020-05-01"]),
        ("gt2020-05", ["2020-06", "2020"], ["2020-05", "2020-04"]),
        ("lt2020-05", ["2020-04", "2020"], ["2020-05", "2020-06"]),
        ("ge2020-05", ["2020-05-07", "2020-06", "2020"], ["2020-04"]),
        ("le2020-05", ["2020-05-07", "2020-04", "2020"], ["2020-06"]),
        ("sa2020-05", ["2020-06-01", "2021"], ["2020", "2020-05-31"]),
        ("eb2020-05", ["2020-04-30", "2019"], ["2020", "2020-05-01"]),
    ],
)
def test_date_prefixes_compare_whole_intervals(
    value: str, found: list[str], not_found: list[str]
) -> None:
    assert [date for date in found if not finds("Observation", "date", value, when(date))] == []
    assert [date for date in not_found if finds("Observation", "date", value, when(date))] == []


def test_an_open_period_reaches_as_far_as_there_is_time() -> None:
    since_2020 = When(1_577_836_800_000_000, None)
    for value in ("gt2090", "ge2020", "ne2020", "lt2021"):
        assert finds("Observation", "date", value, since_2020)
    for value in ("2020", "sa2020", "eb2090", "lt2020"):
        assert not finds("Observation", "date", value, since_2020)


@pytest.mark.parametrize(
    ("value", "found", "not_found"),
    [
        ("100", ["99.5", "100", "100.49"], ["99.49", "100.5"]),
        ("ne100", ["99.4", "100.5"], ["100"]),
        ("gt100", ["100.1"], ["100", "99"]),
        ("ge100", ["100"], ["99.9"]),
        ("lt100", ["99.9"], ["100"]),
        ("le100", ["100"], ["100.1"]),
        ("sa100", ["100.1"], ["100"]),
        ("eb100", ["99.9"], ["100"]),
        ("ap100", ["91", "109"], ["89", "111"]),
    ],
)
def test_number_prefixes_compare_as_exactly_as_r4_says(
    value: str, found: list[str], not_found: list[str]
) -> None:
    def is_found(number: str) -> bool:
        exact = Decimal(number)
        return finds("RiskAssessment", "probability", value, Number(exact, exact))

    assert [number for number in found if not is_found(number)] == []
    assert [number for number in not_found if is_found(number)] == []


def test_a_range_is_compared_by_its_ends() -> None:
    def is_found(value: str) -> bool:
        span = Number(Decimal(1), Decimal(3))
        return finds("RiskAssessment", "probability", value, span)

    assert [is_found(value) for value in ("gt2", "lt2", "ap2", "ne2")] == [True] * 4
    assert [is_found(value) for value in ("2", "sa1", "eb3", "gt3", "lt1")] == [False] * 5


def test_quantities_of_one_dimension_are_one() -> None:
    mg = Quantity(Decimal(100), Decimal(100), UCUM, "mg/dL", "mg/dL")
    for value in (f"1|{UCUM}|g/L", f"100|{UCUM}|mg/dL", "100||mg/dL", "100", f"100|{UCUM}|"):
        assert finds("Observation", "value-quantity", value, mg)
    for value in (f"1|{UCUM}|mmol/L", f"1|{UCUM}|g", "100||g", "100|other|mg/dL", "1||g/L"):
        assert not finds("Observation", "value-quantity", value, mg)


def test_a_unit_in_words_is_found_as_it_is_written() -> None:
    pills = Quantity(Decimal(2), Decimal(2), None, None, "片")
    assert finds("Observation", "value-quantity", "2||片", pills)
    assert not finds("Observation", "value-quantity", f"2|{UCUM}|片", pills)


def test_a_value_that_is_only_bounded_answers_by_its_bound() -> None:
    below = Quantity(None, Decimal(5), None, None, None)
    assert finds("Observation", "value-quantity", "lt5", below)
    assert finds("Observation", "value-quantity", "lt1", below)
    assert not finds("Observation", "value-quantity", "gt5", below)
    assert not finds("Observation", "value-quantity", "5", below)


def test_links_compare_by_type_and_id_or_by_url_or_by_identifier() -> None:
    link = Link("Patient", "1", None, Token("s", "v"))
    for name, value in (
        *(("subject", "Patient/1"), ("subject", "1"), ("subject:Patient", "1")),
        *(("subject:identifier", "s|v"), ("subject:identifier", "v")),
    ):
        assert finds("Observation", name, value, link)
    for name, value in (
        *(("subject", "Group/1"), ("subject", "2"), ("subject:identifier", "|v")),
        *(("subject", "http://a/Patient/1"), ("subject:identifier", "t|v")),
    ):
        assert not finds("Observation", name, value, link)
    assert finds("Observation", "subject", "http://a/P/1", Link(None, None, "http://a/P/1"))


def test_uris_are_equal_or_not() -> None:
    assert finds("Observation", "_profile", "http://p", Uri("http://p"))
    assert not finds("Observation", "_profile", "http://p", Uri("http://p/q"))


def test_every_converter_bears_any_json_value() -> None:
    junk: tuple[object, ...] = (
        None,
        True,
        1,
        Decimal("NaN"),
        "x",
        [],
        [None],
        {},
        {"coding": 1, "value": [], "low": 1},
    )
    out: list[Value] = []
    for convert in CONVERTERS.values():
        for value in junk:
            convert(value, out, UTC)
    assert out
