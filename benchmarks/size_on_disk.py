"""Bytes per resource in the database, indexes in, and which table takes them."""

from __future__ import annotations

import asyncpg
from figures import Figure
from node_under_test import Bench

_PARTS = """
    select coalesce(p.inhparent::regclass::text, c.oid::regclass::text) as name,
        case when c.relkind = 'i' then 'index' else 'rows' end as part,
        sum(pg_relation_size(c.oid, 'main') + pg_relation_size(c.oid, 'fsm')
            + pg_relation_size(c.oid, 'vm'))::bigint as bytes
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_inherits p on p.inhrelid = c.oid
    where (n.nspname in ('records', 'people', 'trust') or (n.nspname = 'pg_toast' and exists (
            select from pg_class t join pg_namespace tn on tn.oid = t.relnamespace
            where t.reltoastrelid = c.oid and tn.nspname in ('records', 'people', 'trust'))))
        and c.relkind in ('r', 'i', 't')
    group by 1, 2 order by 3 desc
"""
_STORED = """
    select sum(pg_total_relation_size(c.oid))::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('records', 'people') and c.relkind = 'r'
"""
_BODY = "select avg(length(body)) from records.record where flags & 1 = 0"
_PARTS_SHOWN = 24


def measure(bench: Bench) -> list[Figure]:
    """After `vacuum analyze`, so that the free space left by the load is known; nothing else."""
    bench.say("vacuum analyze")
    bench.node.ask(lambda connection: connection.execute("vacuum analyze"))
    count = bench.node.resources()
    stored = bench.node.ask(lambda connection: connection.fetchval(_STORED))
    parts: list[asyncpg.Record] = bench.node.ask(lambda connection: connection.fetch(_PARTS))
    figures = [
        Figure("size_on_disk.bytes", round(stored / count), "bytes/resource", f"{count:,} records")
    ]
    body = bench.node.ask(lambda connection: connection.fetchval(_BODY))
    figures.append(
        Figure("size_on_disk.body", round(body), "bytes/resource", "the body, packed and encrypted")
    )
    for part in parts[:_PARTS_SHOWN]:
        each = part["bytes"] / count
        if each >= 1:
            name = part["name"].removeprefix("records.").replace(".", "_")
            figures.append(
                Figure(f"size_on_disk.part.{name}.{part['part']}", round(each), "B/resource")
            )
    return figures
