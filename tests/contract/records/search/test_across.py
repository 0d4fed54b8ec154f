"""Searches of several types at once (R4 search.html): `_type` and what types share."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from shelf import find_all, put_away, query_of
from stores import coded, delete, of, to

from quanmin.records.operation import Operation
from quanmin.records.search import search
from quanmin.records.store import Store
from quanmin.records.visibility import Either, Everything, OfPatient, OfType, Visibility

TYPES = "Observation,Condition,Procedure"
SYSTEM = "urn:codes"


def ward() -> list[Operation]:
    def about(patient: str, code: str, number: str) -> dict[str, Any]:
        identifier = [{"system": "urn:ids", "value": number}]
        return {
            "subject": to(f"Patient/{patient}"),
            "code": coded(code, text="so called"),
            "identifier": identifier,
        }

    return [
        of("Patient", "one", gender="male", identifier=[{"system": "urn:ids", "value": "1"}]),
        of("Patient", "two", gender="female"),
        of(
            "Observation",
            "o1",
            status="final",
            effectiveDateTime="2026-01-03",
            **about("one", "A", "1"),
        ),
        of(
            "Observation",
            "o2",
            status="amended",
            effectiveDateTime="2026-01-01",
            **about("two", "B", "2"),
        ),
        of("Condition", "c1", onsetDateTime="2026-01-04", **about("one", "A", "3")),
        of("Condition", "c2", recordedDate="2026-01-05", **about("two", "A", "1")),
        of(
            "Procedure",
            "p1",
            status="completed",
            performedDateTime="2026-01-02",
            **about("one", "A", "5"),
        ),
        of("Procedure", "p2", status="completed", **about("one", "B", "6")),
        of(
            "Encounter",
            "e1",
            status="finished",
            subject=to("Patient/one"),
            **{
                "class": {"code": "AMB"},
                "period": {"start": "2026-01-02T08:00:00+08:00"},
            },
        ),
    ]


async def ids(
    store: Store, *pairs: tuple[str, str], visibility: Visibility | None = None, size: int = 2
) -> list[str]:
    query = query_of(None, *pairs)
    return [one.id for one in await find_all(store, query, visibility or Everything(), size=size)]


ASKED: list[tuple[list[tuple[str, str]], set[str]]] = [
    ([], {"o1", "o2", "c1", "c2", "p1", "p2"}),
    ([("patient", "one")], {"o1", "c1", "p1", "p2"}),
    ([("subject", "Patient/two")], {"o2", "c2"}),
    ([("code", "A")], {"o1", "c1", "c2", "p1"}),
    ([("code", f"{SYSTEM}|B")], {"o2", "p2"}),
    ([("code:not", "A")], {"o2", "p2"}),
    ([("code", "A"), ("patient", "one")], {"o1", "c1", "p1"}),
    ([("identifier", "urn:ids|1")], {"o1", "c2"}),
    ([("identifier", ",".join(["1", *(f"x{n}" for n in range(3000))]))], {"o1", "c2"}),
    ([("patient.gender", "female")], {"o2", "c2"}),
    ([("subject:Patient.identifier", "urn:ids|1")], {"o1", "c1", "p1", "p2"}),
    ([("_id", "o1,p2,e1")], {"o1", "p2"}),
    ([("_lastUpdated", "ge2000"), ("code", "B")], {"o2", "p2"}),
    ([("_filter", "code eq B or identifier eq 3")], {"o2", "p2", "c1"}),
    ([("code:text", "so called"), ("patient", "two")], {"o2", "c2"}),
]


@pytest.mark.parametrize(
    "more", [[], [("_sort", "_id")], [("_sort", "code,-_id")], [("_sort", "-code")]]
)
async def test_search_across_types_several_are_asked_by_what_they_share(
    store: Store, more: list[tuple[str, str]]
) -> None:
    await put_away(store, ward())
    for pairs, expected in ASKED:
        found = await ids(store, ("_type", TYPES), *pairs, *more)
        assert (set(found), len(found)) == (expected, len(expected)), pairs


async def test_one_type_is_asked_by_all_that_it_has(store: Store) -> None:
    await put_away(store, ward())
    assert await ids(store, ("_type", "Observation"), ("status", "amended")) == ["o2"]
    assert await ids(store, ("_type", "Observation"), ("combo-code", "A")) == ["o1"]
    assert await ids(store, ("_type", "Account")) == []
    assert await ids(store, ("_type", "Account,Basic"), ("_sort", "-patient")) == []


async def test_dates_of_each_type_are_one_order_where_they_are_its_main_date(store: Store) -> None:
    await put_away(store, ward())
    kinds = ("_type", "Observation,Procedure")
    assert await ids(store, kinds, ("_sort", "date")) == ["o2", "p1", "o1", "p2"]
    assert await ids(store, kinds, ("_sort", "-date")) == ["o1", "p1", "o2", "p2"]
    assert await ids(store, kinds, ("_sort", "-date,code")) == ["o1", "p1", "o2", "p2"]
    three = ("_type", "Observation,Procedure,Encounter")
    assert await ids(store, three, ("_sort", "date")) == ["o2", "p1", "e1", "o1", "p2"]
    assert await ids(store, three, ("_sort", "-date")) == ["o1", "e1", "p1", "o2", "p2"]
    assert set(await ids(store, three, ("date", "2026-01-02"))) == {"p1"}
    assert set(await ids(store, three, ("date", "ge2026-01-02"))) == {"p1", "o1", "e1"}


async def test_what_is_decided_of_a_type_is_decided_of_its_own_records(store: Store) -> None:
    """`status` of one type has the system that the other's lacks, and both are decided."""
    await put_away(store, ward())
    kinds = ("_type", "Observation,Procedure,Encounter")
    assert set(await ids(store, kinds, ("status", "final,completed"))) == {"o1", "p1", "p2"}
    assert set(await ids(store, kinds, ("status", "|final"))) == {"o1"}
    assert set(await ids(store, kinds, ("status:not", "final"))) == {"o2", "p1", "p2", "e1"}
    people = ("_type", "Patient,Practitioner")
    await put_away(store, [of("Practitioner", "d1", name=[{"family": "王"}], gender="male")])
    assert await ids(store, people, ("family", "wang")) == ["d1"]
    assert set(await ids(store, people, ("gender", "male"))) == {"one", "d1"}


async def test_totals_includes_and_deletions_are_those_of_all_types(store: Store) -> None:
    await put_away(store, ward())
    query = query_of(
        None,
        ("_type", TYPES),
        ("code", "A"),
        ("_total", "accurate"),
        ("_count", "2"),
        ("_include", "Observation:subject"),
        ("_include", "Condition:subject"),
    )
    async with store.reading() as connection:
        hits = await search(connection, store.context, query, Everything())
    assert (hits.total, len(hits.matches)) == (4, 2)
    counting = msgspec.structs.replace(query, summary="count")
    async with store.reading() as connection:
        assert (await search(connection, store.context, counting, Everything())).total == 4
    whole = msgspec.structs.replace(query, count=10)
    async with store.reading() as connection:
        hits = await search(connection, store.context, whole, Everything())
    assert {one.id for one in hits.included} == {"one", "two"}
    await put_away(store, [delete("Condition", "c1")])
    assert set(await ids(store, ("_type", TYPES), ("code", "A"))) == {"o1", "c2", "p1"}


async def test_each_type_shows_what_may_be_seen_of_it(store: Store) -> None:
    await put_away(store, ward())
    patient = store.context.rid_of("Patient", "one")
    assert patient is not None
    mine = OfPatient(frozenset({patient}))
    found = await ids(store, ("_type", TYPES), visibility=mine)
    assert set(found) == {"o1", "c1", "p1", "p2"}
    more = Either((mine, OfType(frozenset({"Condition"}))))
    found = await ids(store, ("_type", TYPES), ("code", "A"), visibility=more)
    assert set(found) == {"o1", "c1", "c2", "p1"}
    # The patient of the other is not seen, so that nothing is found by her.
    assert await ids(store, ("_type", TYPES), ("patient.gender", "female"), visibility=mine) == []


async def test_a_compartment_may_be_asked_by_types(store: Store) -> None:
    await put_away(store, ward())
    for types, pairs, expected in (
        ("Observation", [], {"o1"}),
        (TYPES, [], {"o1", "c1", "p1", "p2"}),
        (TYPES, [("code", "A")], {"o1", "c1", "p1"}),
        ("Observation,Practitioner", [], {"o1"}),
        ("Procedure", [("status", "completed")], {"p1", "p2"}),
    ):
        query = query_of(None, ("_type", types), *pairs)
        query = msgspec.structs.replace(query, compartment=("Patient", "one"))
        found = {one.id for one in await find_all(store, query, Everything())}
        assert found == expected, (types, pairs)
