"""However a clause is asked, by what it measures, the hits and their order are the same."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from shelf import UCUM, VALUES, Shelf, asked_of, find_all, made_up, put_away, query_of, valued

from quanmin.fhir.query import Query, SortKey
from quanmin.fhir.table import load_table
from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.search import narrowing, search, timed
from quanmin.records.search.deciding import values_of
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.store import Store
from quanmin.records.visibility import Everything, OfPatient


@pytest.fixture(
    params=[(1_000, 8_000, 32), (1, 4, 32), (0, 0, 32), (0, 0, 10**9)],
    ids=["few", "some", "many", "beside"],
)
def measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so low that small sets are asked for as large ones are; the last make values be told
    by what stands beside the code.
    """
    monkeypatch.setattr(narrowing, "FEW", request.param[0])
    monkeypatch.setattr(narrowing, "MANY", request.param[1])
    monkeypatch.setattr(narrowing, "ASKED_MAX", request.param[1])
    monkeypatch.setattr(narrowing, "SORTED_MAX", request.param[1])
    monkeypatch.setattr(narrowing, "STEPS", request.param[2])
    monkeypatch.setattr(timed, "WIDE_MAX", request.param[0])


def _conjunctions(shelf: Shelf) -> list[Query]:
    """Pairs of clauses on one type, many on one date, with every order that indexes keep."""
    chance = random.Random(7)  # noqa: S311 - a repeatable choice, no secret
    by_type: dict[str, list[Query]] = {}
    for query in asked_of(shelf, seed=3, each=6):
        by_type.setdefault(query.type or "", []).append(query)
    found = []
    for type_, queries in by_type.items():
        dated = [query for query in queries if query.clauses[0].param.kind == "date"]
        for number in range(220):
            one, other = chance.choice(queries), chance.choice(queries)
            if number >= 150:
                one = chance.choice(dated)
                name = one.clauses[0].param.name
                other = chance.choice([q for q in dated if q.clauses[0].param.name == name])
            sort = _sort(type_, chance)
            found.append(Query(type=type_, clauses=(*one.clauses, *other.clauses), sort=sort))
    return found


def _sort(type_: str, chance: random.Random) -> tuple[SortKey, ...]:
    definition = load_table().types[type_]
    names = ["_lastUpdated", "_id", *definition.time_params[:1]]
    chosen = chance.sample(names, chance.randint(0, len(names)))
    return tuple(SortKey(definition.params[name], chance.random() < 0.5) for name in chosen)


def _is_ordered(found: list[Stored], sort: tuple[SortKey, ...], context: Context) -> bool:
    if not sort or sort[0].param.name == "_id":
        return True
    name = sort[0].param.name
    times = [
        # The row's time may be another date, where the record has none of this name.
        one.updated
        if name == "_lastUpdated"
        else one.facts.time
        if values_of(one, context).get(name)
        else None
        for one in found
    ]
    known = [time for time in times if time is not None]
    is_last = all(time is None for time in times[len(known) :])
    return is_last and known == sorted(known, reverse=sort[0].descending)


@pytest.mark.usefixtures("measured")
async def test_hits_are_the_same_by_every_plan(store: Store) -> None:
    shelf = await put_away(store, made_up())
    wrong = []
    for query in _conjunctions(shelf):
        found = await find_all(store, query, Everything(), size=3)
        rids = [stored.rid for stored in found]
        if set(rids) != shelf.expected(query) or len(set(rids)) != len(rids):
            wrong.append(query)
        if not _is_ordered(found, query.sort, store.context):
            wrong.append(query)
    assert wrong == []


@pytest.mark.usefixtures("measured")
async def test_totals_are_the_same_by_every_plan(store: Store) -> None:
    shelf = await put_away(store, made_up())
    wrong = []
    for query in _conjunctions(shelf)[::3]:
        counted = msgspec.structs.replace(query, count=1, total="accurate")
        async with store.reading() as connection:
            hits = await search(connection, store.context, counted, Everything())
        if hits.total != len(shelf.expected(query)) or not hits.total_is_exact:
            wrong.append((query, hits.total))
    assert wrong == []


@pytest.mark.usefixtures("measured")
async def test_a_visibility_of_few_patients_changes_the_plan_and_not_the_meaning(
    store: Store,
) -> None:
    shelf = await put_away(store, made_up())
    one = store.context.rid_of("Patient", "one")
    assert one is not None
    visible = OfPatient(frozenset({one}))
    mine = {
        stored.rid
        for rows in shelf.by_type.values()
        for stored, _ in rows
        if stored.facts.patient == one
    }
    wrong = []
    for query in _conjunctions(shelf)[::4]:
        found = await find_all(store, query, visible, size=3)
        if {stored.rid for stored in found} != shelf.expected(query) & mine:
            wrong.append(query)
    assert wrong == []
    assert await find_all(store, query_of("Observation"), visible)


async def test_what_stands_beside_a_code_tells_its_values(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("FEW", "MANY", "SORTED_MAX"):
        monkeypatch.setattr(narrowing, limit, 0)
    monkeypatch.setattr(narrowing, "STEPS", 10**9)
    asked: list[str] = []
    run = Reader.rows

    async def rows(reader: Reader, text: str, statement: Statement) -> list[Any]:
        asked.append(text)
        return await run(reader, text, statement)

    monkeypatch.setattr(Reader, "rows", rows)
    shelf = await put_away(store, list(valued()))
    wrong = []
    for prefix in ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap"):
        for value in VALUES:
            for unit in ("mg/dL", "g/L"):
                operand = f"{prefix}{value}|{UCUM}|{unit}"
                query = query_of("Observation", ("code", "2339-0"), ("value-quantity", operand))
                asked.clear()
                found = await find_all(store, query, Everything(), size=4)
                rids, expected = {stored.rid for stored in found}, shelf.expected(query)
                is_told = any("s.value" in text for text in asked)
                if rids != expected or is_told is not bool(expected):
                    wrong.append(operand)
    assert wrong == []
