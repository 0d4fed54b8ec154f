"""Exports whose processes are killed, and exports while others write."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import export_process
import pytest
from contract.proof.examination import IS_WHOLE
from outlet import begin, exports_in, fetch, take, working
from stores import bundle, observation, patient, post

from quanmin.api import DoorLimits
from quanmin.api.export import Exports
from quanmin.base.jobs import find
from quanmin.trust import Actor

LIMITS = DoorLimits(polls_per_second=10_000, polls_burst=10_000)
WRITER = Actor("center", "operator", "County centre", "center")
RECORDS, KILLS = (3000, 4) if IS_WHOLE else (1500, 2)


async def fill(house: Any, number: int) -> list[bytes]:
    """Patients with results; the lines an export must have, sorted."""
    records = house.guard.records(WRITER, purpose="TREAT", request_id="fill")
    lines: list[bytes] = []
    for begin_ in range(0, number, 500):
        entries = [post(patient(), "urn:uuid:00000000-0000-4000-8000-000000000001")]
        subject = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}
        entries += [
            post(observation(subject=subject, note=[{"text": f"{begin_ + place} " * 5}]))
            for place in range(499)
        ]
        _, outcomes = await records.bundle(bundle("transaction", *entries))
        lines += [outcome.stored.body for outcome in outcomes]
    return sorted(lines)


def start(dsn: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(Path(export_process.__file__)), dsn, str(folder)],
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
async def test_an_export_whose_process_is_killed_again_and_again_loses_and_repeats_nothing(
    house: Any, database: str, tmp_path: Path
) -> None:
    expected = await fill(house, RECORDS)
    exports = exports_in(tmp_path)
    client = house.client(limits=LIMITS, exports=exports)
    where = await begin(client, "/$export")
    number = int(where.rpartition("/")[2])
    chance = random.Random(7)  # noqa: S311 - when to kill
    killed_at: list[int] = []
    process = start(database, tmp_path)
    try:
        for kill in range(KILLS):
            wanted = (kill + 1) * RECORDS // (KILLS + 2)
            async with asyncio.timeout(60):
                while (await find(house.pool, number)).done < wanted:  # noqa: ASYNC110 - a row
                    await asyncio.sleep(0.002)
            await asyncio.sleep(chance.uniform(0, 0.02))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed_at.append((await find(house.pool, number)).done)
            # As if it had been killed between the disk and the database.
            for file in exports.folder.glob(f"{number}/*"):
                with file.open("ab") as opened:
                    opened.write(b"half a piece")
            process = start(database, tmp_path)
        taken = await fetch(client, where)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert all(0 < done < RECORDS for done in killed_at)
    lines = [line for lines in taken.lines.values() for line in lines]
    assert sorted(lines) == expected
    assert len(taken.manifest["output"]) > RECORDS // 400
    noted = await house.pool.fetch(
        "select unnest(records) as rid, count(*) from trust.access"
        " where action = 'export' group by 1"
    )
    # What a killed step had read is not in the log: its entry was rolled back with it.
    assert {row["count"] for row in noted} == {1}
    assert len(noted) == RECORDS


@pytest.mark.parametrize("since", [False, True])
async def test_whatever_was_answered_before_is_in_the_export_while_others_write(
    house: Any, tmp_path: Path, *, since: bool
) -> None:
    """Exports in a row, each asking for what is new since the last one, miss nothing."""
    exports = exports_in(tmp_path, step_records=10)
    client = house.client(limits=LIMITS, exports=exports)
    answered: dict[str, str] = {}
    stop = asyncio.Event()
    ids = [f"record-{number}" for number in range(40)]
    chance = random.Random(11)  # noqa: S311 - what to write

    async def write() -> None:
        records = house.guard.records(WRITER, purpose="TREAT", request_id="write")
        while not stop.is_set():
            some = chance.sample(ids, 5)
            entries = []
            for id_ in some:
                value = json.loads(observation(note=[{"text": str(chance.random())}]))
                request = {"method": "PUT", "url": f"Observation/{id_}"}
                entries.append({"resource": value | {"id": id_}, "request": request})
            _, outcomes = await records.bundle(bundle("transaction", *entries))
            for outcome in outcomes:
                answered[outcome.stored.id] = outcome.stored.body.decode()
            await asyncio.sleep(0)

    writers = [asyncio.create_task(write()) for _ in range(3)]
    known: dict[str, dict[str, Any]] = {}
    try:
        async with working(house.pool, house.guard, house.actors, exports):
            last = ""
            for _ in range(6):
                before = {id_: json.loads(body) for id_, body in answered.items()}
                url = f"/$export?_since={last}" if since and last else "/$export"
                taken = await take(client, url)
                found = {one["id"]: one for one in taken.of("Observation")}
                moment = taken.manifest["transactionTime"]
                last = moment.replace("+", "%2B")
                assert all(one["meta"]["lastUpdated"] <= moment for one in found.values())
                known |= found
                for id_, body in before.items():
                    version = int(body["meta"]["versionId"])
                    now = int(json.loads(answered[id_])["meta"]["versionId"])
                    have = int(known.get(id_, {"meta": {"versionId": "0"}})["meta"]["versionId"])
                    assert have >= version or now > version
            stop.set()
            await asyncio.gather(*writers)
            final = await take(client, f"/$export?_since={last}")
            known |= {one["id"]: one for one in final.of("Observation")}
    finally:
        stop.set()
        await asyncio.gather(*writers)
    assert known == {id_: json.loads(body) for id_, body in answered.items()}


async def test_a_writing_that_is_open_is_waited_for_and_in_the_end_told_of(
    house: Any, tmp_path: Path
) -> None:
    await fill(house, 500)
    house.guard.now = lambda: time.time_ns() // 1000
    exports = exports_in(tmp_path, settle_seconds_max=0.4)
    client = house.client(limits=LIMITS, exports=exports)
    async with (
        working(house.pool, house.guard, house.actors, exports),
        house.pool.acquire() as connection,
        connection.transaction(),
    ):
        oldest = await connection.fetchval("select extract(epoch from now()) * 1000000")
        where = await begin(client, "/$export")
        await asyncio.sleep(0.2)
        waiting = await client.get(where)
        assert "waiting for writers" in waiting.headers["x-progress"]
        taken = await fetch(client, where)
    (result,) = await house.pool.fetch("select result::json ->> 'moment' as moment from jobs.job")
    assert 0 < oldest - int(result["moment"]) < 10_000
    assert len(taken.ids()) == 500


async def test_the_sweeper_removes_what_nobody_keeps_and_nothing_else(
    house: Any, tmp_path: Path
) -> None:
    await fill(house, 500)
    exports = exports_in(tmp_path)
    client = house.client(limits=LIMITS, exports=exports)
    async with working(house.pool, house.guard, house.actors, exports):
        kept = await begin(client, "/$export")
        old = await begin(client, "/$export")
        for where in (kept, old):
            await fetch(client, where)
    for name in ("9999", "notes"):
        (exports.folder / name).mkdir()
    number = int(old.rpartition("/")[2])
    await house.pool.execute(
        "update jobs.job set ended_at = ended_at - 90000000000 where job = $1", number
    )
    now = await house.pool.fetchval("select jobs.now()")
    await exports.shelf.sweep(_finder(house), now)
    left = {path.name for path in exports.folder.iterdir()}
    assert left == {kept.rpartition("/")[2], "notes"}
    assert len((await fetch(client, kept)).ids()) == 500


def _finder(house: Any) -> Any:
    async def find_job(number: int) -> Any:
        rows = await house.pool.fetch("select 1 from jobs.job where job = $1", number)
        return await find(house.pool, number) if rows else None

    return find_job


async def test_a_full_disk_makes_an_export_wait(house: Any, tmp_path: Path) -> None:
    await fill(house, 500)
    room = [False]
    exports = Exports(folder=tmp_path / "exports", has_room=lambda: room[0])
    client = house.client(limits=LIMITS, exports=exports)
    async with working(house.pool, house.guard, house.actors, exports):
        where = await begin(client, "/$export")
        async with asyncio.timeout(30):
            told = ""
            while "failures" not in told:
                await asyncio.sleep(0.02)
                told = (await client.get(where)).headers["x-progress"]
        room[0] = True
        assert len((await fetch(client, where)).ids()) == 500
