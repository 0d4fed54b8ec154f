"""Reading records by id over HTTP: guard, access log and decryption on."""

from __future__ import annotations

import random

import asyncpg
import generator
import processes
from figures import Figure, percentile
from node_under_test import Bench

from quanmin.fhir.table import load_table
from quanmin.records.rid import id_of

CONNECTIONS = 32
_SECONDS = 20.0
_IDS = 20_000
_RIDS = """
    select rid, type from records.record tablesample system ($1) repeatable (1)
    where rid > 0 and flags & 1 = 0 limit $2
"""


def addresses(bench: Bench, count: int) -> list[str]:
    """`Type/id` of records anywhere in the node, in no order."""
    names = {definition.number: name for name, definition in load_table().types.items()}
    prefix = bench.node.settings.node.id_prefix
    share = min(100.0, 300.0 * count / max(bench.node.resources(), 1))

    async def rids(connection: asyncpg.Connection[asyncpg.Record]) -> list[asyncpg.Record]:
        return await connection.fetch(_RIDS, share, count * 3)

    found = [f"{names[row['type']]}/{id_of(row['rid'], prefix)}" for row in bench.node.ask(rids)]
    random.Random(bench.seed).shuffle(found)
    return found[:count]


def measure(bench: Bench) -> list[Figure]:
    """Random records, as an operator, for so many seconds after a short run-up."""
    node, port = bench.node, bench.node.port
    token = node.token("operator")
    requests = tuple(
        generator.get(port, f"/fhir/{address}", token) for address in addresses(bench, _IDS)
    )
    bench.say(f"reading {len(requests):,} records again and again, {CONNECTIONS} connections")
    generator.fire(generator.Plan(port, requests[:4000], CONNECTIONS)).require(200)
    before = node.used()
    report = generator.fire(generator.Plan(port, requests, CONNECTIONS, _SECONDS))
    report.require(200)
    spent, count = node.used().since(before), len(report.latencies)
    workers = [processes.resident_bytes(process) for process in node.state.workers]
    whole = processes.proportional_bytes(processes.tree(node.state.process))
    busy = f"generator {report.generator_seconds / report.elapsed_seconds:.0%} of a core"
    return [
        Figure("read_by_id.rate", round(report.rate), "requests/s", busy),
        Figure("read_by_id.p50", round(percentile(report.latencies, 0.5), 1), "ms"),
        Figure("read_by_id.p99", round(percentile(report.latencies, 0.99), 1), "ms"),
        Figure("read_by_id.cpu_python", round(spent.python / count * 1e6), "us/request"),
        Figure("read_by_id.cpu_postgres", round(spent.postgres / count * 1e6), "us/request"),
        Figure("memory.worker", round(max(workers) / 2**20), "MiB", "the largest worker"),
        Figure("memory.node", round(whole / 2**20), "MiB", "all processes, shared pages once"),
    ]
