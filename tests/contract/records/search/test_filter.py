"""`_filter` on a real store: its operators, what it joins, and where it is refused (R4
search_filter.html).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from shelf import UCUM, find_all, put_away, query_of
from stores import create, update

from quanmin.base.problems import Malformed, NotSupported, Problem, TooCostly
from quanmin.records.operation import Operation
from quanmin.records.search import filtered as filtered_module
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

LOINC = "http://loinc.org"


def body(type_: str, id_: str, **more: Any) -> Operation:
    text = json.dumps({"resourceType": type_, "id": id_, **more}, ensure_ascii=False)
    return update(type_, id_, text.encode())


def person(id_: str, family: str, *given: str, **more: Any) -> Operation:
    return body("Patient", id_, name=[{"family": family, "given": list(given)}], **more)


def measured(id_: str, code: str, value: float, of: str, **more: Any) -> Operation:
    return body(
        "Observation",
        id_,
        status="final",
        subject={"reference": f"Patient/{of}"},
        code={"coding": [{"system": LOINC, "code": code}]},
        valueQuantity={"value": value, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"},
        **more,
    )


PATIENTS = [
    person("peter", "Chalmers", "Peter", "James", gender="male", birthDate="2014-10-10"),
    person("petra", "Petersen", "Petra", gender="female", birthDate="2014-10-11"),
    person("ann", "Miller", "Ann", birthDate="1960"),
    body("Patient", "nameless", gender="male"),
]
MEASURED = [
    measured("low", "2345-7", 3.1, "peter", effectiveDateTime="2026-01-05"),
    measured("high", "2345-7", 9.7, "peter", effectiveDateTime="2026-02"),
    measured("sodium", "2951-2", 140, "petra", effectiveDateTime="2026-02-03T10:00:00+08:00"),
    measured("hers", "2345-7", 5.0, "ann", performer=[{"reference": "Patient/petra"}]),
    body(
        "RiskAssessment",
        "risky",
        status="final",
        subject={"reference": "Patient/ann"},
        prediction=[{"probabilityDecimal": 0.25}],
    ),
]


async def found(store: Store, type_: str, text: str, *more: tuple[str, str]) -> set[str]:
    query = query_of(type_, ("_filter", text), *more)
    hits = await find_all(store, query, Everything(), size=2)
    assert len({one.id for one in hits}) == len(hits)
    async with store.reading() as connection:
        total = query_of(
            type_, ("_filter", text), ("_total", "accurate"), ("_summary", "count"), *more
        )
        counted = await search(connection, store.context, total, Everything())
    assert counted.total == len(hits)
    return {one.id for one in hits}


@pytest.fixture
async def filled(store: Store) -> Store:
    await put_away(store, [*PATIENTS, *MEASURED])
    return store


PATIENT_FILTERS: list[tuple[str, set[str]]] = [
    ('name co "pet"', {"peter", "petra"}),
    ('name co "ete"', {"peter", "petra"}),
    ('given eq "peter"', {"peter"}),
    ('given eq "pete"', set()),
    ("given eq PETER", {"peter"}),
    ('given ne "peter"', {"peter", "petra", "ann"}),
    ('family sw "Peter"', {"petra"}),
    ('family ew "ers"', {"peter"}),
    ('family gt "d"', {"petra", "ann"}),
    ('family lt "M"', {"peter"}),
    ('family le "M"', {"peter", "ann"}),
    ('family ge "p"', {"petra"}),
    ("name pr false", {"nameless"}),
    ("name pr true", {"peter", "petra", "ann"}),
    ("birthdate ge 2014-10-10", {"peter", "petra"}),
    ("birthdate eq 2014-10-10", {"peter"}),
    ("birthdate ne 2014-10-10", {"petra", "ann"}),
    ("birthdate co 2014-10-10T10:00:00+08:00", {"peter"}),
    ("birthdate co 1960-05", {"ann"}),
    ("birthdate po 2014-10", {"peter", "petra"}),
    ("birthdate sa 2014-10-10", {"petra"}),
    ("birthdate eb 2014", {"ann"}),
    ("gender eq male", {"peter", "nameless"}),
    ("gender eq MALE", {"peter", "nameless"}),
    ("gender ne male", {"petra"}),
    ("not (gender eq male)", {"petra", "ann"}),
    ("id eq ann", {"ann"}),
    ('given eq "peter" and birthdate ge 2014-10-10', {"peter"}),
    ("gender eq female or birthdate eq 1960", {"petra", "ann"}),
    # From left to right, "and" not before "or".
    ("gender eq male or gender eq female and birthdate eq 2014-10-11", {"petra"}),
    (
        "gender eq male or (gender eq female and birthdate eq 2014-10-11)",
        {"peter", "petra", "nameless"},
    ),
    ('not (name co "pet" or birthdate eq 1960)', {"nameless"}),
    ('not (name co "pet") and not(birthdate pr false)', {"ann"}),
    ("_has:Observation:patient:code eq loinc|2951-2", {"petra"}),
    ("not (_has:Observation:patient:code eq 2345-7)", {"petra", "nameless"}),
    ("_has:Observation:performer:code eq 2345-7 or gender pr false", {"petra", "ann"}),
]


@pytest.mark.parametrize(("text", "expected"), PATIENT_FILTERS)
async def test_search_filter_3_1_3_2_operators(
    filled: Store, text: str, expected: set[str]
) -> None:
    assert await found(filled, "Patient", text) == expected


OBSERVATION_FILTERS: list[tuple[str, set[str]]] = [
    ("code eq http://loinc.org|2345-7", {"low", "high", "hers"}),
    ("code eq loinc|2345-7 and value-quantity gt 5", {"high"}),
    ("code eq 2951-2 or value-quantity lt 4", {"sodium", "low"}),
    ("value-quantity ge 5|ucum|mmol/L", {"high", "sodium", "hers"}),
    ("value-quantity ge 5000||umol/L", set()),
    ("value-quantity ge 9000|ucum|umol/L", {"high", "sodium"}),
    ("not (value-quantity ge 5)", {"low"}),
    ("subject re Patient/peter", {"low", "high"}),
    ("not (subject re Patient/peter)", {"sodium", "hers"}),
    ('subject.name co "pet"', {"low", "high", "sodium"}),
    ("patient[gender eq male].birthdate ge 2014", {"low", "high"}),
    ('patient[gender eq male or name co "ann"].birthdate ge 1900', {"low", "high", "hers"}),
    ("subject:Patient.id eq ann or code eq 2951-2", {"hers", "sodium"}),
    ("date po 2026-02-03", {"high", "sodium"}),
    ("date co 2026-02-03", {"high"}),
    ("date eq 2026-02", {"high", "sodium"}),
    ("not (date eq 2026-02)", {"low", "hers"}),
    ("date ge 2026-01-10 and date le 2026-02-10", {"high", "sodium"}),
    (
        "(code eq 2345-7 and value-quantity lt 4) or (code eq 2951-2 and value-quantity gt 100)",
        {"low", "sodium"},
    ),
    (
        "(code eq 2345-7 or code eq 2951-2) and (subject re Patient/ann or date sa 2026-02-02)",
        {"hers", "sodium"},
    ),
    ("code-value-quantity eq 2345-7$gt5", {"high"}),
    ("not (code-value-quantity eq 2345-7$gt5)", {"low", "sodium", "hers"}),
    ('performer.name co "Petra" or subject.name co "Petra"', {"hers", "sodium"}),
]


@pytest.mark.parametrize("is_driven", [False, True])
@pytest.mark.parametrize(("text", "expected"), OBSERVATION_FILTERS)
async def test_search_filter_3_1_3_1_expressions(
    filled: Store, text: str, expected: set[str], *, is_driven: bool
) -> None:
    more = [("_id", "low,high,sodium,hers")] if is_driven else []
    assert await found(filled, "Observation", text, *more) == expected


@pytest.mark.parametrize(("text", "expected"), OBSERVATION_FILTERS)
async def test_what_many_records_have_is_asked_of_each_row(
    filled: Store, monkeypatch: pytest.MonkeyPatch, text: str, expected: set[str]
) -> None:
    monkeypatch.setattr(filtered_module, "MANY", -1)
    assert await found(filled, "Observation", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("probability co 0.253", {"risky"}),
        ("probability co 0.256", set()),
        ("probability ap 0.26", {"risky"}),
        ("probability gt 0.2", {"risky"}),
    ],
)
async def test_search_filter_3_1_3_2_a_number_includes_what_its_precision_covers(
    filled: Store, text: str, expected: set[str]
) -> None:
    assert await found(filled, "RiskAssessment", text) == expected


async def test_several_filters_and_parameters_must_all_hold(filled: Store) -> None:
    more = ("_filter", "birthdate ge 2014")
    assert await found(filled, "Patient", "gender pr true", more, ("name", "pet")) == {
        "peter",
        "petra",
    }


@pytest.mark.parametrize(
    ("text", "problem", "says"),
    [
        ("", Malformed, "from character 1"),
        ("gender", Malformed, "from character 7"),
        ("gender eq", Malformed, "from character 10"),
        ("gender eq male and", Malformed, "from character 19"),
        ("gender eq male xor gender eq male", Malformed, "from character 16"),
        ("(gender eq male", Malformed, "from character 16"),
        ("gender eq male)", Malformed, "from character 15"),
        ("not gender eq male", Malformed, "not"),
        ('name eq "open', Malformed, "from character 9"),
        ("name[gender eq male] pr true", Malformed, "']'"),
        ("birthdate ge yesterday", Malformed, "from character 1: .*birthdate"),
        ("gender eq male or nothing eq x", NotSupported, "from character 19.*nothing"),
        ("gender co male", NotSupported, "gender.*'co'"),
        ("name sa x", NotSupported, "'sa'"),
        ("link eq Patient/1", NotSupported, "'eq'.*re"),
        ("link.name zz x", NotSupported, "'zz'"),
        ("name.x eq 1", NotSupported, "no reference"),
        ("_list eq 42", NotSupported, "_list"),
        ("active pr maybe", Malformed, "true or false"),
        (" and ".join(["active pr true"] * 41), TooCostly, "40"),
        ("(" * 30 + "active pr true" + ")" * 30, TooCostly, "20"),
        ("link.link.link.link.name co x", TooCostly, "3 references"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_with_its_place(
    text: str, problem: type[Problem], says: str
) -> None:
    with pytest.raises(problem, match=says):
        query_of("Patient", ("_filter", text))


async def test_a_filter_is_asked_of_each_type_that_is_named(filled: Store) -> None:
    await put_away(filled, [body("Practitioner", "doctor", name=[{"family": "Petrov"}])])
    types = ("_type", "Patient,Practitioner")
    text = 'name co "pet" and not (gender eq female)'
    hits = await find_all(filled, query_of(None, types, ("_filter", text)), Everything(), size=1)
    assert {one.id for one in hits} == {"peter", "doctor"}
    with pytest.raises(NotSupported, match="birthdate"):
        query_of(None, types, ("_filter", "birthdate ge 2000"))


def test_a_filter_needs_a_type() -> None:
    with pytest.raises(NotSupported, match="_filter"):
        query_of(None, ("_filter", "_id eq x"))


async def test_conditional_criteria_take_no_filter(filled: Store) -> None:
    criteria = query_of("Patient", ("_filter", "gender eq male or active eq true"))
    with pytest.raises(NotSupported, match="_filter"):
        await put_away(
            filled, [create("Patient", b'{"resourceType":"Patient"}', criteria=criteria)]
        )
