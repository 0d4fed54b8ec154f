"""Data keys are replaced, and all bodies sealed again, while records are read and written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from stores import create, delete, observation, open_context, open_store, patient, update
from workers import at_work

from quanmin.base.crypto import Tampered
from quanmin.base.database import Connection
from quanmin.base.jobs import Job, JobLimits, Kind, Worker, cancel, find
from quanmin.base.keys import FileKeys
from quanmin.base.problems import Conflict, Gone
from quanmin.records import rotating
from quanmin.records.codec import DataKey
from quanmin.records.model import Stored
from quanmin.records.operation import Sender
from quanmin.records.rewrapping import count_wrapped, refuse_used
from quanmin.records.rotating import count_former, put_rotating, rotate_kind
from quanmin.records.rows import lock_clocks
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
LIMITS = JobLimits(poll_seconds=0.05, turn_seconds=0.1, backoff_seconds=0.01)
PRACTITIONER = b'{"resourceType":"Practitioner","name":[{"text":"\xe6\xac\xa7\xe9\x98\xb3"}]}'
EVERYTHING = """
    select 'record' as place, type, rid, version, updated, seq, flags, patient, body
    from records.record
    union all select 'history', type, rid, version, updated, seq, flags, patient, body
    from records.history order by 1, 2, 3, 4
"""


@pytest.fixture(autouse=True)
def small_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotating, "_KEYS_A_STEP", 7)
    monkeypatch.setattr(rotating, "_ROWS_A_LOOK", 9)
    monkeypatch.setattr(rotating, "_ROWS_A_STEP", 4)
    monkeypatch.setattr(rotating, "_LINGER_SECONDS", 0.05)
    monkeypatch.setattr(rotating, "_MARGIN_SECONDS", 0.05)


def process(pool: Pool, folder: Path, suite: str = "international") -> Store:
    """What another process of the node opens."""
    return open_store(pool, open_context(folder, suite, data_key_seconds_max=0.2))


@pytest.fixture
def store(pool: Pool, tmp_path: Path) -> Store:
    return process(pool, tmp_path)


@pytest.fixture
def other(pool: Pool, tmp_path: Path) -> Store:
    return process(pool, tmp_path)


async def write(store: Store, *operations: Any, by: str = "clinic") -> list[Stored]:
    sender = Sender(await store.sender(by), Everything(), Everything())
    outcomes = await store.write(sender, operations)
    return [outcome.stored for outcome in outcomes if outcome is not None]


async def somebody(store: Store) -> list[Stored]:
    """A person with a record in two versions, one that was deleted, and one about nobody."""
    [person] = await write(store, create("Patient", patient()))
    about = f"Patient/{person.id}"
    result, dropped, doctor = await write(
        store,
        create("Observation", observation(about)),
        create("Observation", observation(about, value="6.1")),
        create("Practitioner", PRACTITIONER),
    )
    changed = observation(about, value="7.2", id=result.id)
    [result] = await write(store, update("Observation", result.id, changed))
    await write(store, delete("Observation", dropped.id))
    return [person, result, doctor]


async def see(store: Store, stored: Stored) -> None:
    assert (await store.glance(Everything(), stored.type, stored.id)).body == stored.body


async def put_in(pool: Pool, *patients: int) -> int:
    async with pool.acquire() as connection:
        return await put_rotating(connection, "node", patients or None)


async def end_of(pool: Pool, job: int) -> Any:
    listed = await find(pool, job)
    for _ in range(600):
        if listed.state not in {"waiting", "running"}:
            break
        await asyncio.sleep(0.02)
        listed = await find(pool, job)
    assert listed.state == "done", (listed.state, listed.message, listed.reasons)
    return listed.result


async def rotate(pool: Pool, store: Store, *patients: int, kind: Kind | None = None) -> Any:
    job = await put_in(pool, *patients)
    async with at_work(Worker(pool, [kind or rotate_kind(store.context)], LIMITS)):
        return await end_of(pool, job)


async def rows(pool: Pool) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch(EVERYTHING)]


def without_body(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "body"} for row in found]


@pytest.mark.parametrize("suites", [("international", "gm"), ("gm", "international")])
async def test_everything_is_sealed_again_in_the_suite_in_force_and_says_the_same(
    pool: Pool, tmp_path: Path, suites: tuple[str, str]
) -> None:
    old, new = (process(pool, tmp_path, suite) for suite in suites)
    seen = [one for _ in range(9) for one in await somebody(old)]
    # Whoever is there keeps their key until then, and can be written about in the new suite.
    seen += await write(new, create("Observation", observation(f"Patient/{seen[0].id}")))
    before = await rows(pool)
    result = await rotate(pool, new)
    assert result == {"keys": 10, "bodies": len(before), "unopened": 0}
    after = await rows(pool)
    assert without_body(after) == without_body(before)
    assert {row["body"][0] for row in after} == {new.context.suite.number | 1 << 4}
    assert await count_former(pool) == 0
    for each in (old, new, process(pool, tmp_path, suites[1])):
        for stored in seen:
            await see(each, stored)


async def test_the_replaced_key_opens_nothing_any_more(pool: Pool, store: Store) -> None:
    [person, *_] = await somebody(store)
    context, holder = store.context, store.context.holder(person.rid, 0)
    old = (await context.codec.data_keys(pool, [holder]))[holder]
    await rotate(pool, store)
    row = await pool.fetchrow("select * from records.record where rid = $1", person.rid)
    assert row is not None
    place = context.place(row["type"], row["rid"], row["version"], row["patient"], row["updated"])
    for key in (old, DataKey(old.key, 1), DataKey(old.key, 2, old.key)):
        with pytest.raises(Tampered):
            context.codec.open(key, place, row["body"])
    [key] = (await context.codec.read_keys(pool, [holder])).values()
    assert (key.generation, key.former) == (1, None)
    assert key.key != old.key
    wrapped = await pool.fetchval("select former from records.data_key where former is not null")
    assert wrapped is None


async def test_the_keys_of_one_person_are_replaced_and_nobody_elses(
    pool: Pool, store: Store, other: Store
) -> None:
    [mine, *_], [theirs, *rest] = await somebody(store), await somebody(store)
    await see(other, mine)
    before = await rows(pool)
    result = await rotate(pool, store, mine.rid)
    assert result["keys"] == 1
    after = await rows(pool)
    assert without_body(after) == without_body(before)
    for old, new in zip(before, after, strict=True):
        assert (old["body"] != new["body"]) == (old["patient"] == mine.rid)
        assert new["body"][0] >> 4 == (1 if old["patient"] == mine.rid else 0)
    for stored in (mine, theirs, *rest):
        await see(other, stored)
    result = await rotate(pool, store, mine.rid)
    assert result["bodies"] == sum(row["patient"] == mine.rid for row in before)
    await see(other, mine)


async def test_readers_and_writers_of_other_processes_go_on_and_nothing_is_lost(
    pool: Pool, store: Store, tmp_path: Path
) -> None:
    others = [process(pool, tmp_path) for _ in range(2)]
    seen = [one for _ in range(4) for one in await somebody(store)]
    [counted] = await write(store, create("Observation", observation(f"Patient/{seen[0].id}")))
    ending, values = asyncio.Event(), 0

    async def go_on(mine: Store) -> int:
        nonlocal values
        count = 0
        while not ending.is_set():
            await see(mine, seen[count % len(seen)])
            values += 1
            body = observation(f"Patient/{seen[0].id}", value=f"{values}.0", id=counted.id)
            await write(mine, update("Observation", counted.id, body))
            await write(mine, create("Practitioner", PRACTITIONER))
            await asyncio.sleep(0.01)
            count += 1
        return count

    going = [asyncio.create_task(go_on(each)) for each in others]
    await rotate(pool, store)
    await rotate(pool, store, seen[0].rid)
    ending.set()
    written = sum(await asyncio.gather(*going))
    assert written > 10
    current = await store.glance(Everything(), "Observation", counted.id)
    assert current.version == written + 1
    fresh = process(pool, tmp_path)
    versions = await pool.fetch(
        "select version, body from records.history where rid = $1", counted.rid
    )
    assert sorted(row["version"] for row in versions) == list(range(1, written + 1))
    async with fresh.reading() as connection:
        everything = await connection.fetch(
            "select r.* from (select rid, type, version, updated, sender, patient, low, labels,"
            " flags, body from records.record union all select rid, type, version, updated, sender,"
            " patient, low, labels, flags, body from records.history) r"
        )
        assert len(await fresh.context.open(connection, everything)) == len(everything)
    assert await count_former(pool) == 0


async def test_a_job_that_is_killed_in_every_step_goes_on(pool: Pool, store: Store) -> None:
    seen = [one for _ in range(4) for one in await somebody(store)]
    before = await rows(pool)
    kind = rotate_kind(store.context)
    killed: set[str] = set()

    async def step(connection: Any, job: Any) -> Any:
        said = await kind.step(connection, job)
        position = json.dumps(job.position)
        if position not in killed:
            killed.add(position)
            raise OSError("killed in the middle of a step")
        return said

    await rotate(pool, store, kind=Kind(kind.name, step))
    assert len(killed) > 10
    after = await rows(pool)
    assert without_body(after) == without_body(before)
    assert {row["body"][0] >> 4 for row in after} == {1}
    for stored in seen:
        await see(store, stored)


async def test_what_a_cancelled_job_left_is_done_by_the_next(pool: Pool, store: Store) -> None:
    seen = [one for _ in range(3) for one in await somebody(store)]
    kind = rotate_kind(store.context)

    async def until_made(connection: Any, job: Any) -> Any:
        if await count_former(connection) > 2:
            await cancel(pool, job.number)
        return await kind.step(connection, job)

    job = await put_in(pool)
    with pytest.raises(Conflict, match="already"):
        await put_in(pool, seen[0].rid)
    async with at_work(Worker(pool, [Kind(kind.name, until_made)], LIMITS)):
        with pytest.raises(AssertionError, match="cancelled"):
            await end_of(pool, job)
    assert await count_former(pool) > 0
    for stored in seen:
        await see(store, stored)
    await rotate(pool, store)
    assert await count_former(pool) == 0
    assert {row["body"][0] >> 4 for row in await rows(pool)} <= {1, 2}
    for stored in seen:
        await see(store, stored)


async def test_the_old_key_stays_while_a_writing_under_it_is_not_over(
    pool: Pool, store: Store, other: Store
) -> None:
    await somebody(store)
    [doctor] = await write(other, create("Practitioner", PRACTITIONER))
    is_written, may_commit = asyncio.Event(), asyncio.Event()

    async def hold(*_: object) -> None:
        is_written.set()
        await may_commit.wait()

    sender = Sender(await other.sender("clinic"), Everything(), Everything())
    held = asyncio.create_task(other.write(sender, [create("Practitioner", PRACTITIONER)], hold))
    await is_written.wait()
    job = await put_in(pool)
    async with at_work(Worker(pool, [rotate_kind(store.context)], LIMITS)):
        await asyncio.sleep(1.0)
        listed = await find(pool, job)
        assert (listed.state, listed.message) == ("running", "waits for what began before")
        may_commit.set()
        [made] = await held
        await end_of(pool, job)
    assert made is not None
    for stored in (made.stored, doctor):
        await see(store, stored)
        await see(other, stored)


async def test_a_writer_with_an_old_key_at_hand_begins_again(
    pool: Pool, store: Store, tmp_path: Path
) -> None:
    slow = open_store(pool, open_context(tmp_path))  # keeps keys for a minute
    [mine, result, _] = await somebody(slow)
    await rotate(pool, store, mine.rid)
    again = observation(f"Patient/{mine.id}", value="8.1", id=result.id)
    [written] = await write(slow, update("Observation", result.id, again))
    head = await pool.fetchval("select body from records.record where rid = $1", written.rid)
    assert head[0] >> 4 == 1
    await see(process(pool, tmp_path), written)


async def test_somebody_who_is_erased_meanwhile_stays_erased(pool: Pool, store: Store) -> None:
    people = [(await somebody(store))[0] for _ in range(3)]
    kind = rotate_kind(store.context)
    is_erased = False

    async def choose(_: object) -> list[int]:
        return [people[1].rid]

    async def note(*_: object) -> None:
        return

    async def step(connection: Any, job: Any) -> Any:
        nonlocal is_erased
        if not is_erased and await count_former(pool) > 3:
            is_erased = True
            await store.erase(choose, note)
        return await kind.step(connection, job)

    await rotate(pool, store, kind=Kind(kind.name, step))
    assert is_erased
    destroyed = await pool.fetchrow(
        "select wrapped, former, succession from records.data_key where holder = $1", people[1].rid
    )
    assert destroyed is not None
    assert tuple(destroyed) == (b"", None, None)
    with pytest.raises(Gone, match="erased"):
        await store.glance(Everything(), "Patient", people[1].id)
    await see(store, people[2])


async def test_a_body_that_was_tampered_with_is_told_and_holds_nothing_up(
    pool: Pool, store: Store
) -> None:
    [person, result, _] = await somebody(store)
    await pool.execute(
        "update records.record set body = overlay(body placing '\\xffff'::bytea from 30)"
        " where rid = $1",
        result.rid,
    )
    told = await rotate(pool, store)
    assert told["unopened"] == 1
    await see(store, person)


async def test_a_data_key_is_not_put_under_a_key_that_went_while_the_clocks_were_waited_for(
    pool: Pool, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [person] = await write(store, create("Patient", patient()))
    keys = FileKeys(tmp_path / "keys")
    keys.add(2)
    gone: list[int] = []

    async def wait_long(connection: Connection, buckets: Collection[int]) -> None:
        await lock_clocks(connection, buckets)
        if not gone:
            keys.add(3)
            keys.remove(2)
            gone.append(2)

    monkeypatch.setattr(rotating, "lock_clocks", wait_long)
    await rotate(pool, store)
    assert gone == [2]
    assert set(await count_wrapped(pool)) <= {1, 3}
    await see(process(pool, tmp_path), person)


async def test_a_key_of_the_node_cannot_go_while_an_old_data_key_needs_it(
    pool: Pool, store: Store, tmp_path: Path
) -> None:
    await somebody(store)
    keys = FileKeys(tmp_path / "keys")
    keys.add(2)
    kind, job = rotate_kind(store.context), await put_in(pool)
    async with pool.acquire() as connection, connection.transaction():
        position = None
        while position is None or position["phase"] == "make":
            listed = await find(connection, job)
            said = await kind.step(connection, _job(listed, position))
            position = said.position  # type: ignore[union-attr]  # it is not done yet
        assert await count_wrapped(connection) == {1: 2, 2: 2}
        with pytest.raises(Conflict, match="being replaced"):
            await refuse_used(connection, 1)


def _job(listed: Any, position: Any) -> Job:
    return Job(listed.number, listed.kind, "node", listed.payload, position, 0, None, 0)
