"""What is indexed while other processes write and are killed: nothing is missing, nothing there
twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import asyncpg
from definitions import OPEN, definition, found, nation, packed
from stores import create, open_context, open_store

from quanmin.fhir.json import decode
from quanmin.records.operation import Sender
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

PROGRAM = Path(__file__).resolve().parents[2] / "indexing_process.py"
WALKED = "select case when state = 'done' then 1000000 + done else done end from jobs.job"
STORED = "select count(*) from records.record"
KILLS = 3


async def bodies(store: Store) -> dict[str, Any]:
    """Every Patient by id, read and not searched for."""
    async with store.reading() as connection:
        rows = await connection.fetch(
            "select r.* from records.record r where r.type = 103 and r.flags & 1 <> 1"
        )
        opened = await store.context.open(connection, rows)
    return {one.id: decode(one.body or b"{}") for one in opened}


@contextmanager
def process(role: str, database: str, folder: Path, seed: int = 0) -> Iterator[Popen[bytes]]:
    command = [sys.executable, str(PROGRAM), role, database, str(folder), str(seed)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), *sys.path])}
    started = Popen(command, env=environment)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


async def test_what_processes_write_while_others_are_killed_is_found_exactly(
    database: str, pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    store = open_store(pool, open_context(tmp_path))
    sender = Sender(await store.sender("centre"), Everything(), Everything())
    with (
        process("write", database, tmp_path, 1) as first,
        process("write", database, tmp_path, 2) as second,
    ):
        await _until(pool, STORED, 300)
        both = [nation(), definition("day", "date", "Patient.birthDate")]
        await store.write(
            sender,
            [create("SearchParameter", packed(one), position=n) for n, one in enumerate(both)],
        )
        walked = 0
        for _ in range(KILLS):
            with process("index", database, tmp_path):
                walked = min(await _until(pool, WALKED, walked + 1), 999_999)
        for writer in (first, second):
            writer.send_signal(signal.SIGTERM)
        for writer in (first, second):
            assert await asyncio.to_thread(writer.wait, 30) == 0
    with process("index", database, tmp_path):
        await _until(pool, f"select ({OPEN}) is null", 1)
    there = await bodies(store)
    assert len(there) > 200
    for code in ("01", "02", "03"):
        expected = {id_ for id_, body in there.items() if _nation_of(body) == code}
        assert sorted(await found(store, ("nation", code))) == sorted(expected)
    for day in ("1950-01-01", "1957-01-01"):
        expected = {id_ for id_, body in there.items() if body["birthDate"] == day}
        assert sorted(await found(store, ("day", day))) == sorted(expected)
    assert await pool.fetchval("select count(*) from records.dated") == len(there)


async def _until(pool: asyncpg.Pool[asyncpg.Record], question: str, least: int) -> int:
    """Ask until the answer is so much; the answer."""
    async with asyncio.timeout(120):
        number = int(await pool.fetchval(question))
        while number < least:
            await asyncio.sleep(0.02)
            number = int(await pool.fetchval(question))
    return number


def _nation_of(body: Any) -> str:
    coding = body["extension"][0]["valueCodeableConcept"]["coding"][0]
    return str(coding["code"])
