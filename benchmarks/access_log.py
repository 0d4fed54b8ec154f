"""How many events a second the access log takes, each durable before it is told so, and what an
event costs: processor time, bytes in the database and outside, and the time to verify it.

As in the node: readers wait for the commit that holds their entry, several logs each on a lane and
a connection of its own, and writes that end at once take lanes that are free.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from figures import Figure
from node_under_test import Bench

from quanmin.base.postgres import open_pool
from quanmin.node.own_keys import open_keys, open_notary
from quanmin.node.reach import reached_database
from quanmin.trust.log import Access, AccessLog, Notary, Witness
from quanmin.trust.log.verifying import verify

LOGS = 8
READERS_A_LOG = 16
WRITERS = 16
SECONDS = 5.0
_WARM_SECONDS = 1.0
_BYTES = """
    select sum(pg_relation_size(c.oid))::bigint from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'trust' and c.relkind in ('r', 'i')
        and (c.relname ~ '^access_2' or c.relname ~ '^subtree')
"""

Noting = Callable[[int], Awaitable[object]]


def measure(bench: Bench) -> list[Figure]:
    """On the node's own log, with its keys and beside its witness."""
    settings = bench.node.settings
    notary = open_notary(settings, open_keys(bench.node.places, settings.keys, is_new=False))
    with reached_database(settings) as dsn:
        return asyncio.run(_measure(bench, dsn, notary))


async def _measure(bench: Bench, dsn: str, notary: Notary) -> list[Figure]:
    pool = await open_pool(dsn, name="benchmark", connections_min=LOGS, connections_max=WRITERS)
    witness = Witness(bench.node.places.witness)
    try:
        before = await _sizes(pool, witness)
        bench.say(f"reading over {LOGS} connections")
        figures = await _reads(bench, pool, notary, witness)
        after = await _sizes(pool, witness)
        figures += _bytes_of(before, after)
        bench.say(f"writing over {WRITERS} connections")
        figures += await _writes(bench, pool, notary, witness)
        bench.say("verifying")
        figures.append(await _verified(pool, notary, witness))
    finally:
        await pool.close()
    return figures


async def _reads(
    bench: Bench, pool: asyncpg.Pool[asyncpg.Record], notary: Notary, witness: Witness
) -> list[Figure]:
    logs = [AccessLog(pool, notary, witness) for _ in range(LOGS)]

    async def note(number: int) -> None:
        await logs[number % LOGS].note([_entry(number)])

    return await _timed(bench, "access_log", LOGS * READERS_A_LOG, note)


async def _writes(
    bench: Bench, pool: asyncpg.Pool[asyncpg.Record], notary: Notary, witness: Witness
) -> list[Figure]:
    log = AccessLog(pool, notary, witness)

    async def write(number: int) -> None:
        async with pool.acquire() as connection, connection.transaction():
            head = await log.note_in(connection, [_entry(number)])
        log.witness_all([head])

    return await _timed(bench, "access_log.single", WRITERS, write)


async def _timed(bench: Bench, name: str, hands: int, noting: Noting) -> list[Figure]:
    """So many hands do it again and again, each waiting for what it did."""
    done = 0

    async def work(hand: int) -> None:
        nonlocal done
        number = hand
        while time.perf_counter() < end:
            await noting(number)
            number += hands
            done += 1

    end = time.perf_counter() + _WARM_SECONDS
    await asyncio.gather(*map(work, range(hands)))
    done, used, own = 0, bench.node.used(), time.process_time()
    begun = time.perf_counter()
    end = begun + SECONDS
    await asyncio.gather(*map(work, range(hands)))
    seconds, own = time.perf_counter() - begun, time.process_time() - own
    spent = bench.node.used().since(used)
    remark = f"{hands} at once, each waits for its commit; fsync on"
    return [
        Figure(f"{name}.rate", round(done / seconds), "events/s", remark),
        Figure(f"{name}.cpu_python", round(own / done * 1e6, 1), "us/event"),
        Figure(f"{name}.cpu_postgres", round(spent.postgres / done * 1e6, 1), "us/event"),
    ]


def _entry(number: int) -> Access:
    """A read of one record of one Patient, as most are."""
    return Access(
        at=time.time_ns() // 1000,
        request=f"{number:08x}-0000-4000-8000-000000000000",
        actor="hospital-a",
        role="institution",
        purpose="TREAT",
        action="read",
        type="Observation",
        outcome="ok",
        hits=1,
        records=(number << 18 | 96,),
        patients=(number % 5000 << 18 | 103,),
    )


async def _sizes(pool: asyncpg.Pool[asyncpg.Record], witness: Witness) -> tuple[int, int, int]:
    """Events, bytes in the database, and bytes outside."""
    events = await pool.fetchval("select count(*) from trust.access")
    outside = sum(path.stat().st_size for path in _files(witness.folder))
    return events, await pool.fetchval(_BYTES) or 0, outside


def _files(folder: Path) -> list[Path]:
    return [*folder.iterdir()] if folder.is_dir() else []


def _bytes_of(before: tuple[int, int, int], after: tuple[int, int, int]) -> list[Figure]:
    events, inside, outside = (new - old for new, old in zip(after, before, strict=True))
    return [
        Figure(
            "access_log.bytes", round(inside / events), "bytes/event", "rows, indexes, subtrees"
        ),
        Figure(
            "access_log.witness",
            round(outside / events, 1),
            "bytes/event",
            "outside, kept for two hours; a quiet node has one line for each event",
        ),
    ]


async def _verified(pool: asyncpg.Pool[asyncpg.Record], notary: Notary, witness: Witness) -> Figure:
    async with pool.acquire() as connection:
        begun = time.process_time()
        verified = await verify(connection, notary, witness)
        spent = time.process_time() - begun
    if verified.findings:
        raise SystemExit(f"the log is not whole: {verified.findings[0].text}")
    remark = f"processor time of {verified.entries:,} entries"
    return Figure("access_log.verify", round(spent / verified.entries * 1e6, 1), "us/event", remark)
