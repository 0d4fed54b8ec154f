"""Lists of thousands of values find what their values find one by one, wherever they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from shelf import find_all, put_away, query_of
from stores import update

from quanmin.base.problems import TooCostly
from quanmin.records.operation import Operation
from quanmin.records.search import key_lists
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

NUMBER = 60


def _person(number: int) -> Operation:
    body: dict[str, Any] = {
        "resourceType": "Patient",
        "id": f"p{number}",
        "gender": "female" if number % 2 else "male",
        "identifier": [{"system": "urn:ids", "value": f"n{number}"}],
    }
    return update("Patient", body["id"], json.dumps(body).encode())


def _result(number: int) -> Operation:
    body: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final" if number % 3 else "amended",
        "code": {"coding": [{"system": "urn:codes", "code": f"c{number}"}]},
        "method": {"coding": [{"system": "urn:codes", "code": f"m{number}"}]},
        "subject": {"reference": f"Patient/p{number}"},
        "performer": [{"reference": f"Patient/p{(number + 1) % NUMBER}"}],
        "focus": [{"reference": f"https://elsewhere.example/Device/{number}"}],
        "effectiveDateTime": f"20{10 + number % 10}-01-01",
    }
    return update("Observation", body["id"], json.dumps(body).encode())


@pytest.fixture
async def filled(store: Store) -> Store:
    operations = [_person(number) for number in range(NUMBER)]
    operations += [_result(number) for number in range(NUMBER)]
    await put_away(store, operations)
    return store


# Values that nothing has come first, so that a list cut short would be noticed.
def _list(form: str, number: int = 4000) -> str:
    several = [form.format(f"x{n}") for n in range(number)]
    return ",".join([*several, *(form.format(n) for n in range(0, NUMBER, 2))])


EVEN = {f"o{number}" for number in range(0, NUMBER, 2)}
ODD = {f"o{number}" for number in range(1, NUMBER, 2)}
EVEN_PEOPLE = {f"p{number}" for number in range(0, NUMBER, 2)}
ASKED = [
    ("Observation", "_id", _list("o{}"), EVEN),
    ("Observation", "code", _list("c{}"), EVEN),
    ("Observation", "code", _list("urn:codes|c{}"), EVEN),
    ("Observation", "code:not", _list("c{}"), ODD),
    ("Observation", "combo-code", _list("c{}"), EVEN),
    ("Observation", "method", _list("m{}"), EVEN),
    ("Observation", "method", _list("urn:codes|m{}"), EVEN),
    ("Observation", "method:not", _list("urn:codes|m{}"), ODD),
    ("Observation", "subject", _list("Patient/p{}"), EVEN),
    ("Observation", "patient", _list("p{}"), EVEN),
    ("Observation", "performer:Patient", _list("p{}"), ODD | {"o59"}),
    ("Observation", "focus", _list("https://elsewhere.example/Device/{}"), EVEN),
    ("Observation", "patient._id", _list("p{}"), EVEN),
    ("Observation", "patient.identifier", _list("urn:ids|n{}"), EVEN),
    ("Observation", "performer:Patient.identifier", _list("n{}"), ODD),
    ("Patient", "identifier", _list("urn:ids|n{}"), EVEN_PEOPLE),
    ("Patient", "_has:Observation:patient:code", _list("c{}"), EVEN_PEOPLE),
    ("Patient", "_has:Observation:patient:_id", _list("o{}"), EVEN_PEOPLE),
    ("Patient", "_has:Observation:subject:method", _list("m{}"), EVEN_PEOPLE),
]


@pytest.mark.parametrize("short_max", [16, 0, 100_000])
async def test_a_list_finds_what_its_values_find(
    filled: Store, monkeypatch: pytest.MonkeyPatch, short_max: int
) -> None:
    monkeypatch.setattr(key_lists, "_SHORT_MAX", short_max)
    wrong = []
    for type_, name, value, expected in ASKED:
        query = query_of(type_, (name, value))
        found = {one.id for one in await find_all(filled, query, Everything(), size=7)}
        if found != expected:
            wrong.append(f"{type_}?{name}: {sorted(found ^ expected)[:5]} of {len(found)}")
    assert wrong == []


async def test_lists_go_with_an_order_and_with_other_conditions(filled: Store) -> None:
    pairs = [("patient", _list("p{}")), ("status", "amended"), ("_sort", "-date,_id")]
    found = await find_all(filled, query_of("Observation", *pairs), Everything(), size=3)
    years = [json.loads(one.body or b"")["effectiveDateTime"] for one in found]
    assert {one.id for one in found} == {f"o{number}" for number in range(0, NUMBER, 6)}
    assert years == sorted(years, reverse=True)


def test_a_list_is_as_long_as_its_kind_may_be() -> None:
    assert len(query_of("Observation", ("code", _list("c{}"))).clauses[0].operands) == 4030
    with pytest.raises(TooCostly, match="at most 10000 values"):
        query_of("Observation", ("code", _list("c{}", 10_000)))
    with pytest.raises(TooCostly, match="at most 500 values"):
        query_of("Patient", ("name", _list("n{}", 500)))
    with pytest.raises(TooCostly, match="longer than 2000 characters"):
        query_of("Observation", ("code", f"a,{'b' * 2001},c"))
    with pytest.raises(TooCostly, match="longer than 2000 characters"):
        query_of("Observation", ("_sort", "x," * 1001))


def test_commas_that_are_escaped_part_no_values() -> None:
    (clause,) = query_of("Observation", ("code", r"a\,b,c\\,d\|e,\$f")).clauses
    assert [operand.code for operand in clause.operands if hasattr(operand, "code")] == [
        "a,b",
        "c\\",
        "d|e",
        "$f",
    ]
