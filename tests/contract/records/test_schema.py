"""The schema can be distributed: every unique key of a distributed table holds the shard key."""

from __future__ import annotations

import asyncpg

from quanmin.records.months import ensure_months

# Small tables that a distributed database keeps a copy of on every machine.
# The ledger of erasures and refusals is one sequence, as its file is.
REFERENCE_TABLES = {"sender", "unit", "wording", "consumer", "ledger", "label_set"}

# Schemas of the node, which a distributed database keeps whole on one machine.
NODE_WIDE = {
    *("node", "people", "trust", "jobs", "terminology", "profiles", "imports", "indexing"),
    "plans",
}

UNIQUE_KEYS = """
    select c.relname as table, array_agg(a.attname::text) as columns
    from pg_index i
    join pg_class c on c.oid = i.indrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
    where n.nspname = 'records' and i.indisunique
    group by c.relname, i.indexrelid
"""


async def test_every_unique_key_holds_the_shard_key(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    keys = await pool.fetch(UNIQUE_KEYS)
    assert len(keys) > 20
    without = {
        row["table"]
        for row in keys
        if not {"bucket", "home"} & set(row["columns"]) and row["table"] not in REFERENCE_TABLES
    }
    assert without == set()


async def test_every_schema_is_distributed_or_of_the_node(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    rows = await pool.fetch(
        "select nspname from pg_namespace"
        " where nspname !~ '^pg_' and nspname not in ('public', 'information_schema')"
    )
    assert {row["nspname"] for row in rows} == {"records"} | NODE_WIDE


async def test_no_index_has_a_pending_list(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    rows = await pool.fetch(
        "select c.relname, c.reloptions from pg_class c join pg_am m on m.oid = c.relam"
        " where m.amname = 'gin'"
    )
    assert rows
    assert [
        row["relname"] for row in rows if "fastupdate=off" not in (row["reloptions"] or [])
    ] == []


async def test_history_has_a_place_for_every_month(pool: asyncpg.Pool[asyncpg.Record]) -> None:

    moment = 1_952_800_000_000_000  # 2031-11-19
    async with pool.acquire() as connection:
        made = await ensure_months(connection, moment)
        assert made == [
            "history_2031_11",
            "history_2031_12",
            "history_2032_01",
            "history_2032_02",
        ]
        assert await ensure_months(connection, moment) == []
