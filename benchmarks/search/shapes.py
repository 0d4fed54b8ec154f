"""The shapes that are asked, each with other values every time.

A shape with `half` asks for the code on half of all records, one with `heavy` for the patient with
a tenth of all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from search.facts import LOINC, Facts, Record, coding, day_of
from search.skewed import HALF, HEAVY

Pairs = list[tuple[str, str]]
Asked = tuple[str, Pairs]
Shape = Callable[[Facts], Asked]

_PAGE = ("_count", "50")
_NEWEST = ("_sort", "-date")
_HALF_CODE = ("code", f"{LOINC}|{HALF}")
_MANY_IDS = 1_000


def _observations(*pairs: tuple[str, str]) -> Asked:
    return "Observation", [*pairs, _PAGE]


def _patients(*pairs: tuple[str, str]) -> Asked:
    return "Patient", [*pairs, ("_count", "20")]


def _identifier(facts: Facts) -> Asked:
    return _patients(("identifier", _identifier_of(facts)))


def _identifier_of(facts: Facts) -> str:
    one = facts.dice.choice(facts.patient()["identifier"])
    return f"{one['system']}|{one['value']}"


def _text(patient: Record) -> str:
    name = patient["name"][0]
    return str(name.get("text") or name["family"])


def _prefix(facts: Facts) -> Asked:
    return _patients(("name", _text(facts.patient())[:2]))


def _family(facts: Facts) -> Asked:
    return _patients(("family", facts.dice.choice("王李张刘陈杨黄赵")))


def _contains(facts: Facts) -> Asked:
    return _patients(("name:contains", facts.patient()["name"][0]["given"][0]))


def _pinyin(facts: Facts) -> Asked:
    from pypinyin import lazy_pinyin  # noqa: PLC0415 - slow to load, needed by one shape

    return _patients(("name", "".join(lazy_pinyin(_text(facts.patient())))))


def _window(first: str, days: int) -> Pairs:
    last = date.fromisoformat(first) + timedelta(days=days)
    return [("date", f"ge{first}"), ("date", f"lt{last.isoformat()}")]


def _day(facts: Facts, days: int) -> Pairs:
    return _window(day_of(facts.observation()), days)


def _above(one: Record) -> tuple[str, str]:
    value = one["valueQuantity"]
    return "value-quantity", f"gt{value['value']}|http://unitsofmeasure.org|{value['code']}"


def _code_value(facts: Facts) -> Asked:
    one = facts.dice.choice(facts.measured)
    return _observations(("code", coding(one)), _above(one))


def _half_above(facts: Facts, low: int, high: int) -> Asked:
    value = f"gt{facts.dice.uniform(low, high):.2f}|http://unitsofmeasure.org|/min"
    return _observations(_HALF_CODE, ("value-quantity", value))


def _patient_code(facts: Facts) -> Asked:
    one = facts.observation()
    return _observations(("patient", one["subject"]["reference"]), ("code", coding(one)), _NEWEST)


def _of_ids(facts: Facts, *pairs: tuple[str, str]) -> Asked:
    return _observations(("patient._id", ",".join(facts.patient_ids(_MANY_IDS))), *pairs)


def _referred(code: tuple[str, str], *pairs: tuple[str, str]) -> Asked:
    return _patients(("_has:Observation:patient:code", code[1]), *pairs)


_Make = Callable[[Facts], tuple[tuple[str, str], ...]]


def _of(make: _Make) -> Shape:
    return lambda facts: _observations(*make(facts))


def _any_code(facts: Facts) -> tuple[str, str]:
    return "code", facts.code()


def _any_patient(facts: Facts) -> tuple[str, str]:
    return "patient", f"Patient/{facts.patient()['id']}"


_HEAVY = ("patient", f"Patient/{HEAVY}")
_EXACT = ("_total", "accurate")

SHAPES: dict[str, Shape] = {
    "identifier": _identifier,
    "name_prefix": _prefix,
    "name_family_frequent": _family,
    "name_contains": _contains,
    "name_pinyin": _pinyin,
    "code": _of(lambda facts: (_any_code(facts),)),
    "code_half": _of(lambda _: (_HALF_CODE,)),
    "code_newest": _of(lambda facts: (_any_code(facts), _NEWEST)),
    "code_half_newest": _of(lambda _: (_HALF_CODE, _NEWEST)),
    "code_date": _of(lambda facts: (_any_code(facts), *_day(facts, 30))),
    "code_half_date": _of(lambda facts: (_HALF_CODE, *_day(facts, 1))),
    "code_value": _code_value,
    "code_half_value": lambda facts: _half_above(facts, 60, 110),
    "code_half_value_tail": lambda facts: _half_above(facts, 120, 135),
    "patient_newest": _of(lambda facts: (_any_patient(facts), _NEWEST)),
    "patient_heavy_newest": _of(lambda _: (_HEAVY, _NEWEST)),
    "patient_code_newest": _patient_code,
    "patient_heavy_code_newest": _of(lambda facts: (_HEAVY, _any_code(facts), _NEWEST)),
    "patient_heavy_half_newest": _of(lambda _: (_HEAVY, _HALF_CODE, _NEWEST)),
    "date_only": _of(lambda facts: tuple(_day(facts, 1))),
    "chain": _of(lambda facts: (("patient.identifier", _identifier_of(facts)),)),
    "chain_name": _of(lambda facts: (("patient:Patient.name", _text(facts.patient())), _NEWEST)),
    "chain_1000_ids": _of_ids,
    "chain_1000_ids_newest": lambda facts: _of_ids(facts, _NEWEST),
    "has": lambda facts: _referred(_any_code(facts)),
    "has_half": lambda facts: _referred(_HALF_CODE, ("name", _text(facts.patient())[:2])),
    "has_half_only": lambda _: _referred(_HALF_CODE),
    "include": _of(lambda facts: (_any_patient(facts), ("_include", "Observation:encounter"))),
    "include_half": _of(lambda _: (_HALF_CODE, ("_include", "Observation:patient"))),
    "total": _of(lambda facts: (_any_code(facts), _EXACT)),
    "total_patient": _of(lambda facts: (_any_patient(facts), _EXACT)),
    "total_heavy": _of(lambda _: (_HEAVY, _EXACT)),
    "total_half": _of(lambda _: (_HALF_CODE, _EXACT)),
}

COLD_SHAPES = (
    *("identifier", "name_prefix", "name_contains", "name_pinyin"),
    *("code", "code_half_newest", "code_date", "code_value"),
    *("patient_code_newest", "patient_heavy_code_newest", "date_only"),
    *("chain", "chain_1000_ids", "has", "include", "total"),
)
"""Those that are asked cold too: each takes a restart."""
