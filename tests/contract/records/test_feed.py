"""The change feed skips and repeats nothing, and keeps the order of commits within a bucket."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from importlib import resources

import asyncpg
import pytest
from stores import create, delete, observation, patient, update

from quanmin.base.migrations import read_migrations
from quanmin.base.problems import NotFound
from quanmin.records import feed
from quanmin.records.operation import Sender
from quanmin.records.store import Store


async def drain(pool: asyncpg.Pool[asyncpg.Record], consumer: str, count: int) -> list[feed.Entry]:
    entries: list[feed.Entry] = []
    while True:
        async with pool.acquire() as connection, connection.transaction():
            taken = await feed.take(connection, consumer, count)
        if not taken:
            return entries
        entries += taken


async def test_a_consumer_hears_every_version_once(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    async with pool.acquire() as connection:
        await feed.enrol(connection, "mirror", from_start=True)
    await store.write(sender, [update("Observation", "x", observation(id="x", value="1"))])
    await store.write(sender, [update("Observation", "x", observation(id="x", value="2"))])
    await store.write(sender, [delete("Observation", "x")])
    entries = await drain(pool, "mirror", 2)
    assert [(entry.version, entry.is_deletion) for entry in entries] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert await drain(pool, "mirror", 2) == []


async def test_a_cursor_moves_only_with_the_consumers_own_transaction(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    async with pool.acquire() as connection:
        await feed.enrol(connection, "mirror", from_start=True)
    await store.write(sender, [create("Observation", observation())])
    async with pool.acquire() as connection:
        attempt = connection.transaction()
        await attempt.start()
        assert len(await feed.take(connection, "mirror", 10)) == 1
        await attempt.rollback()
    assert len(await drain(pool, "mirror", 10)) == 1


async def test_replay_begins_again(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    async with pool.acquire() as connection:
        await feed.enrol(connection, "late", from_start=False)
    await store.write(sender, [create("Patient", patient())])
    assert len(await drain(pool, "late", 10)) == 1
    async with pool.acquire() as connection:
        await feed.replay(connection, "late")
    assert len(await drain(pool, "late", 10)) == 1


async def test_places_come_in_order_across_the_blocks_they_are_indexed_by(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """Of current versions and of replaced ones, from any place of a block on."""
    async with pool.acquire() as connection:
        await feed.enrol(connection, "mirror", from_start=True)
    [made] = await store.write(sender, [create("Patient", patient())])
    assert made is not None
    subject = f"Patient/{made.stored.id}"
    for turn in range(1, 4):
        await store.write(sender, [create("Observation", observation(subject)) for _ in range(40)])
        named = patient(name="王" * turn, id=made.stored.id)
        await store.write(sender, [update("Patient", made.stored.id, named)])
    entries = await drain(pool, "mirror", 10)
    assert [entry.seq for entry in entries] == list(range(1, 1 + 3 * 41 + 1))


async def test_what_was_written_before_the_blocks_is_heard_after_the_migration(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    steps = read_migrations(resources.files("quanmin.node") / "migrations")
    [blocks] = [step for step in steps if step.name == "longer_blocks_of_the_feed"]
    async with pool.acquire() as connection:
        await feed.enrol(connection, "mirror", from_start=True)
        for table in ("record", "history"):
            name = {"record": "record_by_feed", "history": "history_feed"}[table]
            await connection.execute(f"drop index records.{name}")
            await connection.execute(f"create index {name} on records.{table} (bucket, seq)")
    await store.write(sender, [create("Patient", patient()), create("Patient", patient())])
    async with pool.acquire() as connection:
        await connection.execute(blocks.sql)
    entries = await drain(pool, "mirror", 10)
    assert [entry.version for entry in entries] == [1, 1]


async def test_the_feed_is_read_along_its_indexes(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    async with pool.acquire() as connection:
        await connection.execute("set enable_seqscan = off")
        rows = await connection.fetch(f"explain {feed._NEXT}", "mirror", 100)
        await connection.execute("reset enable_seqscan")
    plan = "\n".join(row[0] for row in rows)
    condition = "Index Cond: ((bucket = b.bucket) AND ((seq >> 7) >= (b.seq >> 7)))"
    partitions = await pool.fetchval(
        "select count(*) from pg_inherits"
        " where inhparent in ('records.record'::regclass, 'records.history'::regclass)"
    )
    assert plan.count(condition) == partitions


async def test_a_consumer_that_is_unknown_is_refused(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(NotFound):
            await feed.take(connection, "nobody", 10)


async def test_readers_beside_32_writers_miss_nothing(
    store: Store, sender: Sender, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    async with pool.acquire() as connection:
        await feed.enrol(connection, "mirror", from_start=True)
    made = await store.write(sender, [create("Patient", patient()) for _ in range(4)])
    patients = [f"Patient/{outcome.stored.id}" for outcome in made if outcome is not None]
    done = asyncio.Event()

    async def send(number: int) -> None:
        for _ in range(6):
            subject = patients[number % len(patients)]
            await store.write(sender, [create("Observation", observation(subject))])

    async def follow() -> list[feed.Entry]:
        entries: list[feed.Entry] = []
        while not done.is_set():
            entries += await drain(pool, "mirror", 7)
            await asyncio.sleep(0)
        return entries + await drain(pool, "mirror", 7)

    following = asyncio.create_task(follow())
    await asyncio.gather(*(send(number) for number in range(32)))
    done.set()
    entries = await following
    assert len(entries) == len({(e.rid, e.version) for e in entries}) == 4 + 32 * 6
    by_bucket: dict[int, list[int]] = defaultdict(list)
    for entry in entries:
        by_bucket[entry.bucket].append(entry.seq)
    for seqs in by_bucket.values():
        assert seqs == list(range(1, len(seqs) + 1))
