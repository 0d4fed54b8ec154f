"""Records put away with what Python finds in them, and questions whose answers it knows."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import shared
from questions import questions
from stores import create, update

from quanmin.base.problems import Malformed, NotSupported
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Clause, MissingOperand, Query
from quanmin.fhir.table import load_table
from quanmin.fhir.validation import validate
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.operation import Operation, Sender
from quanmin.records.search import search
from quanmin.records.search.deciding import Values, is_hit, values_of
from quanmin.records.store import Store
from quanmin.records.visibility import Everything, Visibility

ZONE = ZoneInfo("Asia/Shanghai")
UCUM = "http://unitsofmeasure.org"


def query_of(type_: str | None, *pairs: tuple[str, str]) -> Query:
    return parse_query(type_, pairs, strict=True, zone=ZONE, limits=QueryLimits())


async def find_all(
    store: Store, query: Query, visibility: Visibility, size: int = 200
) -> list[Stored]:
    """Every hit, through as many slices as it takes."""
    found: list[Stored] = []
    cursor: str | None = None
    while True:
        slice_ = msgspec.structs.replace(query, count=size, cursor=cursor)
        async with store.reading() as connection:
            hits = await search(connection, store.context, slice_, visibility)
        found += hits.matches
        cursor = hits.next
        if cursor is None:
            return found


class Shelf:
    """What has been stored, with the values that Python finds in it."""

    def __init__(self, records: Iterable[Stored], context: Context) -> None:
        self.by_type: dict[str, list[tuple[Stored, Values]]] = {}
        for stored in records:
            pair = (stored, values_of(stored, context))
            self.by_type.setdefault(stored.type, []).append(pair)
        self._context = context

    def expected(self, query: Query) -> set[int]:
        rows = self.by_type.get(query.type or "", [])
        return {
            stored.rid
            for stored, values in rows
            if all(self._holds(stored, values, clause) for clause in query.clauses)
        }

    def _holds(self, stored: Stored, values: Values, clause: Clause) -> bool:
        operand = clause.operands[0]
        if isinstance(operand, MissingOperand):
            return operand.missing is (clause.param.name not in values)
        return is_hit(stored, [clause], self._context)


async def put_away(store: Store, operations: list[Operation]) -> Shelf:
    """Write in lots, and remember what now holds."""
    sender = Sender(await store.sender("hospital-a"), Everything(), Everything())
    made: list[Stored] = []
    for start in range(0, len(operations), 500):
        outcomes = await store.write(sender, operations[start : start + 500])
        made += [outcome.stored for outcome in outcomes if outcome is not None]
    return Shelf(made, store.context)


async def disagreements(
    store: Store, shelf: Shelf, asked: Iterable[Query]
) -> tuple[int, list[str]]:
    wrong, number = [], 0
    for query in asked:
        number += 1
        expected = shelf.expected(query)
        found = [stored.rid for stored in await find_all(store, query, Everything())]
        if set(found) != expected or len(found) != len(set(found)):
            wrong.append(
                f"{query.type}?{query.pairs}: {len(found)} found, {len(expected)} expected"
            )
    return number, wrong


def asked_of(shelf: Shelf, seed: int, each: int) -> Iterator[Query]:
    """For each parameter of each type some questions made from its values."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable choice, no secret
    for type_, rows in shelf.by_type.items():
        by_param: dict[str, set[tuple[str, str]]] = {}
        for _, values in rows:
            for name, found in values.items():
                for value in found[:4]:
                    param = load_table().types[type_].params[name]
                    by_param.setdefault(name, set()).update(questions(param, value))
        for name in sorted(by_param):
            pairs = sorted(by_param[name])
            chosen = chance.sample(pairs, min(each, len(pairs)))
            for pair in [*chosen, (f"{name}:missing", "true"), (f"{name}:missing", "false")]:
                try:
                    yield query_of(type_, pair)
                except (Malformed, NotSupported):
                    continue


def made_up() -> list[Operation]:
    """Records with what third-party samples seldom have: periods, several units, several events."""
    return [*_observations(), *_requests(), *_patients(), *_tasks(), *_allergies()]


def _observations() -> Iterator[Operation]:
    ends = [(None, "2026-03"), ("2026-02-27", None), ("2026", "2026")]
    for number, (low, high) in enumerate(ends):
        period = {key: value for key, value in (("start", low), ("end", high)) if value}
        yield observation_of(f"period-{number}", effectivePeriod=period)
    for number, unit in enumerate(["mg/dL", "g/L", "mmol/L", "mg"]):
        quantity = {"value": 5.4 + number, "system": UCUM, "code": unit, "unit": unit}
        yield observation_of(f"unit-{number}", valueQuantity=quantity)
    yield observation_of("plain", valueQuantity={"value": 7, "unit": "tablets"})
    more = {"value": 9, "comparator": ">", "unit": "tablets"}
    yield observation_of("more", valueQuantity=more)
    events = {"event": ["2026-01-01", "2026-06-01T08:00:00Z"]}
    yield observation_of("timing", effectiveTiming=events)
    yield observation_of("instant", effectiveInstant="2026-03-01T00:00:00.123+08:00")
    yield observation_of("undated", note=[{"text": "no time"}])
    yield observation_of("year", effectiveDateTime="2026")


VALUES = ("0", "-7.5", "5.4", "540", "5.4000001", "27.34112671227889", "16777217", "1e35", "1e-35")


def valued() -> Iterator[Operation]:
    """Observations of one code: numbers that four bytes do not hold, units that are commensurable
    and not, ranges, several values, none.
    """
    for number, value in enumerate(VALUES):
        for unit in ("mg/dL", "g/L", "mg"):
            quantity = {"value": float(value), "system": UCUM, "code": unit}
            yield observation_of(f"{unit}-{number}".replace("/", "-"), valueQuantity=quantity)
    for number, comparator in enumerate(("<", "<=", ">=", ">")):
        quantity = {"value": 6, "comparator": comparator, "system": UCUM, "code": "mg/dL"}
        yield observation_of(f"range-{number}", valueQuantity=quantity)
    yield observation_of("text", valueString="5.4")


def observation_of(id_: str, **more: Any) -> Operation:
    """A result of Patient/one under an id of our choosing."""
    body: dict[str, Any] = {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "subject": {"reference": "Patient/one"},
        "performer": [{"reference": "Patient/two"}, {"identifier": {"value": "42"}}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]},
        **more,
    }
    return update("Observation", id_, json.dumps(body, ensure_ascii=False).encode())


def _requests() -> Iterator[Operation]:
    for number, events in enumerate([["2026-01-01", "2026-05-05"], ["2026-02-01"], []]):
        body: dict[str, Any] = {
            "resourceType": "MedicationRequest",
            "id": f"request-{number}",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/one"},
            "medicationCodeableConcept": {"coding": [{"code": "A"}, {"system": "s", "code": "A"}]},
        }
        if events:
            body["dosageInstruction"] = [{"timing": {"event": events}}]
        yield update("MedicationRequest", body["id"], json.dumps(body).encode())


def _patients() -> Iterator[Operation]:
    for number, name in enumerate(["王小明", "单雄信", "买买提·艾力", "José Álvarez", "O'Brien"]):
        body: dict[str, Any] = {
            "resourceType": "Patient",
            "id": f"name-{number}",
            "active": number % 2 == 0,
            "name": [{"text": name}],
            "address": [{"text": f"四川省成都市锦江区红星路{number}号"}],
            "identifier": [{"system": "urn:ids", "value": f"{number}"}, {"value": "same"}],
        }
        if number:
            body["birthDate"] = f"19{number}0-01"
        yield update("Patient", body["id"], json.dumps(body, ensure_ascii=False).encode())


def _tasks() -> Iterator[Operation]:
    body = {"resourceType": "Task", "status": "draft", "intent": "order"}
    yield create("Task", json.dumps({**body, "lastModified": "2026-01-01"}).encode())


def _allergies() -> Iterator[Operation]:
    """Records with several extents of their main date, of which each clause may mean another."""
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    for number, onsets in enumerate([["2020", "2026-03-01"], ["2022-05"], ["2019-01-01", "2024"]]):
        id_ = f"allergy-{number}"
        body = {
            "resourceType": "AllergyIntolerance",
            "id": id_,
            "clinicalStatus": {"coding": [{"system": system, "code": "active"}]},
            "patient": {"reference": "Patient/one"},
            "reaction": [{"manifestation": [{"text": "rash"}], "onset": onset} for onset in onsets],
        }
        yield update("AllergyIntolerance", id_, json.dumps(body).encode())


def samples(archive: str, types_max: int) -> list[Operation]:
    """Valid third-party records, so many of each type."""
    found: dict[str, dict[str, Operation]] = {}
    for _, raw in shared.members(archive):
        body = json.loads(raw)
        type_, id_ = body.get("resourceType"), body.get("id")
        of_type = found.setdefault(type_, {})
        if type_ not in load_table().types or not id_ or len(of_type) >= types_max:
            continue
        if not any(issue.severity == "error" for issue in validate(type_, raw)):
            of_type[id_] = update(type_, id_, raw)
    return [operation for of_type in found.values() for operation in of_type.values()]
