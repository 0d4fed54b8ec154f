"""A process that is killed while a timer fires leaves it to others, who fire it once."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
from cards import ZONE, body_of, entered, pages_of, settle, task_of
from clinic import Clinic
from ruling import brought_by, under
from stores import open_guard

from quanmin.web.application import discover
from quanmin.web.clocks import Clocks
from quanmin.workflow.states import read_case

PROCESS = Path(__file__).parents[2] / "clock_process.py"


async def test_a_timer_whose_process_is_killed_between_fires_once(
    pool: asyncpg.Pool[asyncpg.Record], database: str, tmp_path: Path
) -> None:
    clinic = Clinic(pool, tmp_path)
    await clinic.fill()
    county = await settle(clinic)
    _, where = await entered(county, pages_of(county))
    (brought,) = discover("trials")
    workflow = brought.application.workflow
    assert workflow is not None
    since = read_case(workflow, body_of(await task_of(county, where)), ZONE).since
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROCESS), database, str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"inside\n"
        process.kill()
        await process.wait()
    assert (await task_of(county, where)).version == 1
    assert await pool.fetchval("select count(*) from trust.notice") == 0
    guard = under(open_guard(pool, county.guard.store.context), brought=brought_by("trials"))
    at = since + timedelta(hours=2)
    guard.now = lambda: round(at.timestamp() * 1_000_000)
    clocks = Clocks(guard, discover("trials"))
    async with asyncio.timeout(30):  # until the database has noticed that the process is gone
        assert await clocks.fire() == 1
    assert await clocks.fire() == 0
    kinds = [row["kind"] for row in await pool.fetch("select kind from trust.notice")]
    assert kinds == ["infection_card.waiting"]
    assert (await task_of(county, where)).version == 2
