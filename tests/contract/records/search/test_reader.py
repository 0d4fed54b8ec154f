"""A search has its time, and no more; the connection is as good afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import asyncpg
import pytest
from stores import open_context

from quanmin.base.problems import TooCostly
from quanmin.records.search.reader import Reader, Statement


async def test_a_statement_is_stopped_when_the_searchs_time_is_over(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    context = open_context(tmp_path, search_seconds_max=0.2)
    async with pool.acquire() as connection:
        reader = Reader(connection, context)
        begun = time.monotonic()
        with pytest.raises(TooCostly, match=r"longer than 0\.2 seconds: narrow it"):
            await reader.rows("select pg_sleep(20)", Statement())
        assert time.monotonic() - begun < 10
        assert await connection.fetchval("select 1") == 1
    async with pool.acquire() as connection:
        running = await connection.fetchval(
            "select count(*) from pg_stat_activity where query = 'select pg_sleep(20)'"
            " and state = 'active'"
        )
        assert running == 0


async def test_the_time_is_that_of_all_statements_together(
    pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> None:
    context = open_context(tmp_path, search_seconds_max=0.3)
    async with pool.acquire() as connection:
        reader = Reader(connection, context)
        await reader.rows("select pg_sleep(0.2)", Statement())
        with pytest.raises(TooCostly):
            await reader.rows("select pg_sleep(0.2)", Statement())
