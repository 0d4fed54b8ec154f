"""Migrations run once, in order, and refuse a history that is not theirs."""

from __future__ import annotations

import asyncio
import time
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from quanmin.base.migrations import Migration, migrate, read_migrations, schema_version
from quanmin.base.postgres import connect
from quanmin.base.problems import Unusable
from quanmin.records.months import ensure_months

OURS = resources.files("quanmin.node") / "migrations"
FIRST = Migration(1, "first", "create table first (id int)", "a")
SECOND = Migration(2, "second", "create table second (id int)", "b")


async def tables(connection: asyncpg.Connection[asyncpg.Record]) -> set[str]:
    rows = await connection.fetch(
        "select schemaname || '.' || tablename from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema')"
    )
    return {row[0] for row in rows}


async def test_an_empty_database_gets_every_table(empty_database: str) -> None:
    connection = await connect(empty_database)
    applied = await migrate(connection, read_migrations(OURS))
    assert len(applied) == len(read_migrations(OURS))
    assert "records.record" in await tables(connection)
    assert await schema_version(connection) == len(applied)
    await connection.close()


async def test_the_second_run_does_nothing(database: str) -> None:
    connection = await connect(database)
    assert await migrate(connection, read_migrations(OURS)) == ()
    await connection.close()


@pytest.mark.parametrize("earlier", range(1, len(read_migrations(OURS)) + 1))
async def test_every_earlier_version_reaches_the_newest(
    empty_database: str, database: str, earlier: int
) -> None:
    connection, newest = await connect(empty_database), await connect(database)
    await migrate(connection, read_migrations(OURS)[:earlier])
    assert await schema_version(connection) == earlier
    await migrate(connection, read_migrations(OURS))
    await ensure_months(connection, time.time_ns() // 1000)
    assert await tables(connection) == await tables(newest)
    await connection.close()
    await newest.close()


async def test_two_programs_migrating_at_once_apply_each_step_once(empty_database: str) -> None:
    one, other = await connect(empty_database), await connect(empty_database)
    results = await asyncio.gather(migrate(one, (FIRST, SECOND)), migrate(other, (FIRST, SECOND)))
    assert sorted(len(result) for result in results) == [0, 2]
    await one.close()
    await other.close()


async def test_a_changed_migration_is_refused(empty_database: str) -> None:
    connection = await connect(empty_database)
    await migrate(connection, (FIRST,))
    changed = Migration(1, "first", "create table first (id bigint)", "changed")
    with pytest.raises(Unusable, match="another text"):
        await migrate(connection, (changed, SECOND))
    assert await schema_version(connection) == 1
    await connection.close()


async def test_a_database_newer_than_the_program_is_refused(empty_database: str) -> None:
    connection = await connect(empty_database)
    await migrate(connection, (FIRST, SECOND))
    with pytest.raises(Unusable, match="newer version"):
        await migrate(connection, (FIRST,))
    await connection.close()


async def test_a_failing_migration_leaves_nothing_behind(empty_database: str) -> None:
    connection = await connect(empty_database)
    broken = Migration(2, "broken", "create table half (id int); select 1 / 0", "b")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, (FIRST, broken))
    assert await schema_version(connection) == 1
    assert "public.half" not in await tables(connection)
    await connection.close()


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_later.sql").write_text("select 1")
    with pytest.raises(Unusable, match="without a gap"):
        read_migrations(tmp_path)


def test_a_misnamed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tables.sql").write_text("select 1")
    with pytest.raises(Unusable, match="no migration's name"):
        read_migrations(tmp_path)
