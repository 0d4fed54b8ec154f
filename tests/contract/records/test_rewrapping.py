"""The node's key is changed while records are read and written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest
from stores import create, observation, open_context, open_store, patient, reopen_context
from workers import at_work

from quanmin.base.crypto import Tampered
from quanmin.base.jobs import JobLimits, Worker, find
from quanmin.base.keys import FileKeys, Keyed
from quanmin.base.problems import Conflict, Gone
from quanmin.records import rewrapping
from quanmin.records.model import Stored
from quanmin.records.operation import Sender
from quanmin.records.rewrapping import (
    begin_rewrapping,
    count_wrapped,
    put_rewrapping,
    refuse_used,
    rewrap_kind,
)
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
LIMITS = JobLimits(poll_seconds=0.1, turn_seconds=0.1)


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrapping, "_KEYS_A_STEP", 7)


@pytest.fixture
def store(pool: Pool, tmp_path: Path) -> Store:
    return open_store(pool, open_context(tmp_path))


@pytest.fixture
def other(pool: Pool, tmp_path: Path, store: Store) -> Store:
    """Another process of the node, open before the key is changed."""
    return open_store(pool, reopen_context(tmp_path, store.context))


async def people(store: Store, count: int) -> list[Stored]:
    sender = Sender(await store.sender("clinic"), Everything(), Everything())
    made = await store.write(sender, [create("Patient", patient()) for _ in range(count)])
    return [one.stored for one in made if one is not None]


async def see(store: Store, stored: Stored) -> None:
    assert (await store.glance(Everything(), stored.type, stored.id)).body == stored.body


async def erase(store: Store, rid: int) -> None:
    async def choose(_: object) -> list[int]:
        return [rid]

    async def note(*_: object) -> None:
        return

    await store.erase(choose, note)


async def work_off(pool: Pool, store: Store, job: int) -> None:
    async with at_work(Worker(pool, [rewrap_kind(store.context.codec)], LIMITS)):
        for _ in range(300):
            if (await find(pool, job)).state == "done":
                return
            await asyncio.sleep(0.05)
    raise AssertionError((await find(pool, job)).reasons)


async def test_every_data_key_is_wrapped_by_the_new_key_and_the_old_one_can_go(
    pool: Pool, store: Store, other: Store, tmp_path: Path
) -> None:
    seen = await people(store, 30)
    erased = (await people(store, 1))[0]
    await erase(store, erased.rid)
    keys = FileKeys(tmp_path / "keys")
    assert await count_wrapped(pool) == {1: 30}
    keys.add(2)
    # A process that was open before knows the new key without being told.
    seen += await people(other, 3)
    assert await count_wrapped(pool) == {1: 30, 2: 3}
    async with pool.acquire() as connection:
        job = await put_rewrapping(connection, "node")
        assert await put_rewrapping(connection, "node") == job
        with pytest.raises(Conflict, match="still wraps"):
            async with connection.transaction():
                await refuse_used(connection, 1)
    await work_off(pool, store, job)
    assert (await find(pool, job)).result == {"keys": 30, "by": 2}
    assert await count_wrapped(pool) == {2: 33}
    async with pool.acquire() as connection, connection.transaction():
        await refuse_used(connection, 1)
        keys.remove(1)
    assert keys.numbers() == (2,)
    fresh = open_store(pool, reopen_context(tmp_path, store.context))
    for worker in (store, other, fresh):
        for stored in seen:
            await see(worker, stored)
        with pytest.raises(Gone, match="erased"):
            await worker.glance(Everything(), "Patient", erased.id)
        sender = Sender(await worker.sender("clinic"), Everything(), Everything())
        about = observation(f"Patient/{seen[0].id}")
        await worker.write(sender, [create("Observation", about)])


async def test_reads_and_writes_go_on_meanwhile(pool: Pool, store: Store, other: Store) -> None:
    seen = await people(store, 40)
    async with pool.acquire() as connection:
        FileKeys(store.context.codec._keys._folder).add(2)  # type: ignore[attr-defined]  # as files
        job = await put_rewrapping(connection, "node")
    ending = asyncio.Event()

    async def go_on() -> int:
        count = 0
        while not ending.is_set():
            [made] = await people(other, 1)
            await see(store, made)
            await see(other, seen[count % len(seen)])
            count += 1
        return count

    going = asyncio.create_task(go_on())
    await work_off(pool, store, job)
    ending.set()
    assert await going > 0
    assert list(await count_wrapped(pool)) == [2]


async def test_a_rotation_that_was_killed_goes_on_where_it_stopped(
    pool: Pool, store: Store, tmp_path: Path
) -> None:
    await people(store, 30)
    FileKeys(tmp_path / "keys").add(2)
    async with pool.acquire() as connection:
        job = await put_rewrapping(connection, "node")
    kind = rewrap_kind(store.context.codec)
    steps = 0
    is_killed = asyncio.Event()

    async def until_killed(connection: object, job: object) -> object:
        nonlocal steps
        steps += 1
        said = await kind.step(connection, job)  # type: ignore[arg-type]  # passed on
        if steps == 3:
            is_killed.set()
            raise OSError("killed in the middle of a step")
        return said

    killed = type(kind)(kind.name, until_killed)  # type: ignore[arg-type]  # the same shape
    limits = JobLimits(poll_seconds=0.1, backoff_seconds=0.1)
    async with at_work(Worker(pool, [killed], limits)):
        await is_killed.wait()
    counts = await count_wrapped(pool)
    assert counts[1] >= 7
    assert sum(counts.values()) == 30
    await work_off(pool, store, job)
    assert await count_wrapped(pool) == {2: 30}


class Paused(FileKeys):
    """Keys of a process that stood still after it wrapped, and missed that its key went."""

    paused = False

    def wrap(self, keys: Sequence[Keyed]) -> list[bytes]:
        wrapped = super().wrap(keys)
        if self.paused:
            self.paused = False
            newest = self.numbers()[-1]
            self.add(newest + 1)
            self.remove(newest)
        return wrapped


async def test_who_stood_still_while_the_key_went_wraps_again(
    pool: Pool, store: Store, tmp_path: Path
) -> None:
    keys = Paused(tmp_path / "keys")
    store.context.codec._keys = keys
    keys.paused = True
    [new] = await people(store, 1)
    assert await count_wrapped(pool) == {2: 1}
    await see(open_store(pool, reopen_context(tmp_path, store.context)), new)

    keys.add(4)
    async with pool.acquire() as connection:
        job = await put_rewrapping(connection, "node")
    keys.paused = True
    await work_off(pool, store, job)
    assert await count_wrapped(pool) == {5: 1}


async def test_of_two_who_rotate_at_once_each_makes_a_key_of_its_own(
    database: str, store: Store, tmp_path: Path
) -> None:
    class Slow(FileKeys):
        def numbers(self) -> tuple[int, ...]:
            found = super().numbers()
            time.sleep(0.05)
            return found

    async def rotated() -> int:
        connection = await asyncpg.connect(database)
        try:
            return (await begin_rewrapping(connection, Slow(tmp_path / "keys"), "node"))[0]
        finally:
            await connection.close()

    assert store.context.codec.wrapping_key() == 1
    begun = await asyncio.gather(*(asyncio.to_thread(asyncio.run, rotated()) for _ in range(3)))
    assert sorted(begun) == [2, 3, 4]


def test_a_key_that_is_gone_opens_nothing(tmp_path: Path) -> None:
    keys = FileKeys.create(tmp_path / "keys")
    [wrapped] = keys.wrap([(b"key", b"place")])
    keys.add(2)
    keys.remove(1)
    with pytest.raises(Tampered):
        keys.unwrap([(wrapped, b"place")])
    [again] = keys.wrap([(b"key", b"place")])
    assert FileKeys(tmp_path / "keys").unwrap([(again, b"place")]) == [b"key"]
