"""Many writers and readers at once: one record for one condition, no update lost, no gap."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from stores import bundle, observation, open_context, open_guard, patient, post

from quanmin.base.problems import Conflict, Gone, PreconditionFailed
from quanmin.fhir.grammar import QueryLimits, parse_query
from quanmin.fhir.query import Query
from quanmin.records import feed
from quanmin.trust import Actor, Guard, GuardedRecords

RACERS = 16
WRITERS = READERS = 32
SYSTEM = "https://hospital.example/records"
HOSPITALS = ("hospital-a", "hospital-b")


@pytest.fixture
def guard(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Guard:
    return open_guard(pool, open_context(tmp_path))


def records_of(guard: Guard, code: str = "hospital-a") -> GuardedRecords:
    actor = Actor(code=code, role="institution", name=code, sender=code)
    return guard.records(actor, purpose="TREAT", request_id="race")


def asked(guard: Guard, type_: str, *pairs: tuple[str, str]) -> Query:
    zone = guard.store.context.zone
    return parse_query(type_, pairs, strict=True, zone=zone, limits=QueryLimits())


def numbered(number: str) -> bytes:
    body = json.loads(patient(name="欧阳明月"))
    return json.dumps(body | {"identifier": [{"system": SYSTEM, "value": number}]}).encode()


async def test_racing_conditional_creates_make_one_record(guard: Guard) -> None:
    criteria = asked(guard, "Patient", ("identifier", f"{SYSTEM}|7"))

    async def create() -> tuple[str, bool]:
        made = await records_of(guard).create("Patient", numbered("7"), if_none_exist=criteria)
        return made.stored.id, made.created

    answers = await asyncio.gather(*(create() for _ in range(RACERS)))
    assert len({id_ for id_, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1
    assert len((await records_of(guard).search(criteria)).matches) == 1


async def test_each_institution_makes_its_own_and_learns_nothing_of_others(guard: Guard) -> None:
    criteria = asked(guard, "Patient", ("identifier", f"{SYSTEM}|7"))

    async def create(code: str) -> str:
        made = await records_of(guard, code).create(
            "Patient", numbered("7"), if_none_exist=criteria
        )
        return f"{code} {made.stored.id}"

    racing = [create(code) for code in HOSPITALS for _ in range(RACERS // 2)]
    assert len(set(await asyncio.gather(*racing))) == len(HOSPITALS)


async def test_racing_bundles_with_the_same_condition_make_one_of_each(guard: Guard) -> None:
    condition = {"ifNoneExist": f"identifier={SYSTEM}|9"}
    whole = bundle(
        "transaction",
        post(numbered("9"), "urn:uuid:5c2f0f6e-58a7-4a59-8f2a-1f0f7f7d3a10", **condition),
        post(observation("urn:uuid:5c2f0f6e-58a7-4a59-8f2a-1f0f7f7d3a10")),
    )

    async def send() -> str | None:
        _, (who, what) = await records_of(guard).bundle(whole)
        assert what.stored is not None
        assert what.stored.body is not None
        reference = json.loads(what.stored.body)["subject"]["reference"]
        assert who.stored is not None
        assert reference == f"Patient/{who.stored.id}"
        return str(reference)

    assert len(set(await asyncio.gather(*(send() for _ in range(RACERS))))) == 1


async def test_racing_conditional_updates_make_one_record_with_every_version(guard: Guard) -> None:
    criteria = asked(guard, "Observation", ("identifier", f"{SYSTEM}|3"))

    async def change(value: int) -> int:
        body = observation(value=str(value), identifier=[{"system": SYSTEM, "value": "3"}])
        return (await records_of(guard).update_where(criteria, body)).stored.version

    versions = await asyncio.gather(*(change(value) for value in range(RACERS)))
    assert sorted(versions) == list(range(1, RACERS + 1))


async def test_counting_up_by_read_and_if_match_loses_no_step(guard: Guard) -> None:
    await records_of(guard).update("Observation", "n", observation(id="n", value="0"))
    steps = 4

    async def step() -> None:
        records = records_of(guard)
        while True:
            now = await records.read("Observation", "n")
            value = json.loads(now.body or b"")["valueQuantity"]["value"]
            body = observation(id="n", value=str(value + 1))
            try:
                await records.update("Observation", "n", body, if_match=now.version)
            except (PreconditionFailed, Conflict):
                continue
            return

    async def steps_of_one() -> None:
        for _ in range(steps):
            await step()

    await asyncio.gather(*(steps_of_one() for _ in range(8)))
    last = await records_of(guard).read("Observation", "n")
    assert json.loads(last.body or b"")["valueQuantity"]["value"] == 8 * steps
    assert last.version == 8 * steps + 1


async def test_readers_beside_writers_see_whole_versions_in_order(
    guard: Guard, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    async with pool.acquire() as connection:
        await feed.enrol(connection, "mirror", from_start=True)
    await records_of(guard).update("Observation", "x", observation(id="x", value="1"))
    done = asyncio.Event()

    async def write(value: int) -> None:
        body = observation(id="x", value=str(value))
        await records_of(guard).update("Observation", "x", body)

    async def watch() -> int:
        seen = 0
        while not done.is_set():
            found = await records_of(guard).read("Observation", "x")
            said = json.loads(found.body or b"")["meta"]["versionId"]
            assert str(found.version) == said
            assert found.version >= seen
            seen = found.version
        return seen

    watching = [asyncio.create_task(watch()) for _ in range(READERS)]
    await asyncio.gather(*(write(value) for value in range(2, WRITERS + 2)))
    done.set()
    await asyncio.gather(*watching)
    versions = await records_of(guard).history("Observation", "x", count=100)
    assert [one.version for one in versions.versions] == list(range(WRITERS + 1, 0, -1))
    async with pool.acquire() as connection, connection.transaction():
        heard = await feed.take(connection, "mirror", 1000)
    assert sorted(entry.version for entry in heard) == list(range(1, WRITERS + 2))


async def test_deleting_and_writing_at_once_leave_no_gap(guard: Guard) -> None:
    async def change(value: int) -> None:
        records = records_of(guard)
        if value % 4:
            await records.update("Observation", "y", observation(id="y", value=str(value)))
        else:
            await records.delete("Observation", "y")

    await asyncio.gather(*(change(value) for value in range(WRITERS)))
    found = (await records_of(guard).history("Observation", "y", count=100)).versions
    assert [one.version for one in found] == list(range(len(found), 0, -1))
    if found[0].body is None:
        with pytest.raises(Gone):
            await records_of(guard).read("Observation", "y")
