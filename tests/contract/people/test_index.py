"""Which source Patients become one person: a valid, agreeing identity number, and nothing less."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from stores import create, delete, open_context, open_store, patient, update

from quanmin.people import PersonIndex
from quanmin.records.operation import Sender
from quanmin.records.store import Store
from quanmin.records.visibility import Everything


@pytest.fixture
def store(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Store:
    return open_store(pool, open_context(tmp_path))


@pytest.fixture
async def sender(store: Store) -> Sender:
    return Sender(await store.sender("hospital-a"), Everything(), Everything())


async def register(store: Store, sender: Sender, body: bytes) -> int:
    [outcome] = await store.write(sender, [create("Patient", body)])
    assert outcome is not None
    return outcome.stored.rid


async def person(store: Store, pool: asyncpg.Pool[asyncpg.Record], rid: int) -> int | None:
    async with pool.acquire() as connection:
        return await PersonIndex(store.context.keying).person_of(connection, rid)


def check_character(stem: str) -> str:
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    total = sum(int(d) * w for d, w in zip(stem, weights, strict=True))
    return "10X98765432"[total % 11]


MALE = "58010119900307851" + check_character("58010119900307851")
FEMALE = "58010119900307852" + check_character("58010119900307852")


async def test_two_registrations_with_one_number_are_one_person(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    first = await register(store, sender, patient(MALE, birthDate="1990-03-07", gender="male"))
    second = await register(store, sender, patient(MALE.lower()))
    assert await person(store, pool, first) == await person(store, pool, second) is not None
    async with pool.acquire() as connection:
        index = PersonIndex(store.context.keying)
        assert await index.patients_of(
            connection, await index.person_of(connection, first) or 0
        ) == sorted([first, second])
        assert await index.counts(connection, [first], Everything()) == {first: 2}


@pytest.mark.parametrize(
    "body",
    [
        patient(MALE[:-1] + "X" if MALE[-1] != "X" else MALE[:-1] + "1"),
        patient(MALE, birthDate="1990-03-08"),
        patient(MALE, gender="female"),
        patient(MALE, name="司马清风"),
        patient("111111111111111111"),
        patient(None),
    ],
    ids=["wrong check", "other birth date", "other sex", "other name", "dummy", "no number"],
)
async def test_what_is_less_than_certain_stays_unlinked(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record], body: bytes
) -> None:
    first = await register(store, sender, patient(MALE))
    second = await register(store, sender, body)
    assert await person(store, pool, first) is not None
    assert await person(store, pool, second) is None


async def test_a_corrected_number_unlinks_and_links_by_events(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    [made] = await store.write(sender, [update("Patient", "p", patient(MALE, id="p"))])
    assert made is not None
    before = await person(store, pool, made.stored.rid)
    await store.write(sender, [update("Patient", "p", patient(FEMALE, id="p"))])
    after = await person(store, pool, made.stored.rid)
    assert before is not None
    assert after not in {None, before}
    await store.write(sender, [delete("Patient", "p")])
    assert await person(store, pool, made.stored.rid) is None
    events = await pool.fetch("select kind, reasons from people.link_event order by event")
    assert [event["kind"] for event in events] == ["link", "unlink", "link", "unlink"]
    assert events[1]["reasons"] == ["details-changed"]
    assert events[3]["reasons"] == ["patient-deleted"]


async def test_an_update_that_keeps_the_number_keeps_the_link(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await store.write(sender, [update("Patient", "p", patient(MALE, id="p"))])
    await store.write(
        sender, [update("Patient", "p", patient(MALE, id="p", birthDate="1990-03-07"))]
    )
    assert await pool.fetchval("select count(*) from people.link_event") == 1


async def test_no_identity_number_stands_in_the_database(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await register(store, sender, patient(MALE))
    for table in ("people.person", "people.number", "people.link", "people.link_event"):
        rows = await pool.fetch(f"select t::text as line from {table} t")
        assert rows
        assert all(MALE not in row["line"] and "欧阳" not in row["line"] for row in rows)
