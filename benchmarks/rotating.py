"""Replacing all data keys while records are read: how fast bodies are sealed again, and what the
readers notice of it. Slices of reading before, while and after, one after the other.
"""

from __future__ import annotations

import time
from typing import TypeAlias

import asyncpg
import generator
from figures import Figure, percentile
from node_under_test import Bench
from read_by_id import addresses

Asked: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECTIONS = 4
_SLICE_SECONDS = 1.0
_SLICES_BEFORE = 10
_IDS = 5_000


def measure(bench: Bench) -> list[Figure]:
    """Every data key of the node, as an operator reads."""
    node, port = bench.node, bench.node.port
    token = node.token("operator")
    requests = tuple(
        generator.get(port, f"/fhir/{address}", token) for address in addresses(bench, _IDS)
    )

    def read() -> list[float]:
        report = generator.fire(generator.Plan(port, requests, CONNECTIONS, _SLICE_SECONDS))
        report.require(200)
        return list(report.latencies)

    bytes_before = _bytes(bench)
    read()
    before = [latency for _ in range(_SLICES_BEFORE) for latency in read()]
    used = node.used()
    node.run("keys", "rotate", "--data")
    meanwhile: list[float] = []
    sealed, seconds = 0, 0.0
    while (job := _job(bench))[0] in {"waiting", "running"}:
        begun = time.monotonic()
        latencies = read()
        done = _job(bench)[2]
        if done > sealed:
            meanwhile += latencies
            seconds += time.monotonic() - begun
        sealed = done
    spent = node.used().since(used)
    bodies = job[2]
    after = [latency for _ in range(_SLICES_BEFORE) for latency in read()]
    bench.say(f"{bodies:,} bodies, {len(meanwhile):,} reads meanwhile, {seconds:.0f} s of sealing")
    figures = [
        Figure("rotating.rate", round(bodies / seconds), "bodies/s", "beside the readers"),
        Figure("rotating.cpu", round(spent.python / bodies * 1e6), "us/body", "with the readers"),
        Figure("rotating.growth", round(_bytes(bench) / bytes_before, 2), "times", "of the tables"),
    ]
    for name, latencies in (("before", before), ("while", meanwhile), ("after", after)):
        for share in (0.5, 0.99):
            label = f"rotating.p{share * 100:.0f}.{name}"
            figures.append(Figure(label, round(percentile(latencies, share), 1), "ms"))
    return figures


def _job(bench: Bench) -> tuple[str, str, int]:
    async def job(connection: Asked) -> tuple[str, str, int]:
        row = await connection.fetchrow(
            "select state, message, done from jobs.job where kind = 'rotate-data-keys'"
            " order by job desc limit 1"
        )
        return ("", "", 0) if row is None else (row["state"], row["message"], row["done"])

    return bench.node.ask(job)


def _bytes(bench: Bench) -> int:
    async def size(connection: Asked) -> int:
        return int(
            await connection.fetchval(
                "select sum(pg_total_relation_size(c.oid))::bigint from pg_class c"
                " join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = 'records' and c.relkind = 'r'"
            )
        )

    return bench.node.ask(size)
