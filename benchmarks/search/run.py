"""Asks a full node all shapes and keeps what was measured (`make bench-search`).

    PYTHONPATH=benchmarks python -m search.run --folder FOLDER --size 100k|1m|10m
        [--only SHAPE ...] [--without fill|cold|warm|export ...] [--requests N] [--dry]

The node in the folder is filled first where it is not full (`search.fill`); it is kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import asyncpg
import processes
from node_under_test import NodeUnderTest
from rich.console import Console
from rich.table import Table

from search import bulk, fill, measuring, page, skewed
from search.facts import Facts, drawn_from
from search.results import Bulk, Measured, Memory, Results, keep, read
from search.shapes import COLD_SHAPES, SHAPES

_STORED = """
    select sum(pg_total_relation_size(c.oid))::bigint
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('records', 'people') and c.relkind = 'r'
"""

console = Console(width=140)


def main() -> None:
    """Fill, weigh, ask warm, ask cold, keep."""
    asked = _arguments()
    node = fill.open_folder(asked.folder)
    if node.places.running() is None:
        node.start()
    try:
        if "fill" not in asked.without:
            fill.fill(node, fill.SIZES[asked.size])
        results = _begun(node, asked.size)
        facts = drawn_from(node)
        names = asked.only or list(SHAPES)
        if "warm" not in asked.without:
            for name in names:
                results.shapes[name] = _warm(node, facts, name, asked.requests, results.shapes)
                if not asked.dry:
                    keep(results)
            results.memory = _memory(node)
        if "export" not in asked.without:
            results.bulk_out = bulk.export(node)
            console.print(f"  $export: {results.bulk_out}", highlight=False)
        if "cold" not in asked.without:
            for name in asked.only or COLD_SHAPES:
                _cold(node, facts, name, results)
        results.machine["load after"] = processes.load()
    finally:
        node.stop()
    if not asked.dry:
        keep(results)
        page.write()
    console.print(_table(results, names))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", choices=fill.SIZES, required=True)
    parser.add_argument("--only", nargs="+", choices=SHAPES, metavar="SHAPE")
    parser.add_argument(
        "--without", nargs="+", choices=("fill", "cold", "warm", "export"), default=()
    )
    parser.add_argument("--requests", type=int, default=measuring.WARM_REQUESTS)
    parser.add_argument("--dry", action="store_true", help="show the table, keep nothing")
    return parser.parse_args()


def _begun(node: NodeUnderTest, size: str) -> Results:
    kept = read(size)
    results = Results(size, node.resources(), skewed.description(), processes.machine())
    if kept is not None:
        results.shapes, results.bulk_out, results.memory = kept.shapes, kept.bulk_out, kept.memory
        results.remarks = kept.remarks
    results.shapes = {name: results.shapes[name] for name in SHAPES if name in results.shapes}
    results.bulk_in = _bulk_in(node)

    async def stored(connection: asyncpg.Connection[asyncpg.Record]) -> int:
        return int(await connection.fetchval(_STORED))

    results.bytes_a_resource = round(node.ask(stored) / results.resources)
    return results


def _bulk_in(node: NodeUnderTest) -> Bulk | None:
    loaded = fill.Filling.of(node).loaded
    number = sum(each.resources for each in loaded)
    if not number:
        return None
    return Bulk(
        number,
        round(number / sum(each.elapsed_seconds for each in loaded)),
        round(sum(each.python_seconds for each in loaded) / number * 1e6),
        round(sum(each.postgres_seconds for each in loaded) / number * 1e6),
    )


def _memory(node: NodeUnderTest) -> Memory:
    whole = processes.tree(node.state.process)
    postgres = [process for process in whole if processes.is_postgres(process)]
    python = [process for process in whole if not processes.is_postgres(process)]
    workers = map(processes.resident_bytes, node.state.workers)
    return Memory(
        processes.proportional_bytes(python) >> 20,
        processes.proportional_bytes(postgres) >> 20,
        max(workers) >> 20,
    )


def _warm(
    node: NodeUnderTest, facts: Facts, name: str, requests: int, kept: dict[str, Measured]
) -> Measured:
    found = measuring.warm(node, facts, name, SHAPES[name], requests)
    if name in kept:
        found.cold = kept[name].cold
    told = found.refused or f"{found.four} postgres {found.postgres_us} us, {found.hits} hits"
    console.print(f"  {name}: {told}", highlight=False)
    return found


def _cold(node: NodeUnderTest, facts: Facts, name: str, results: Results) -> None:
    measured = results.shapes.setdefault(name, Measured())
    if not measured.refused:
        measured.cold = measuring.cold(node, facts, name, SHAPES[name])
        console.print(f"  {name}: {measured.cold}", highlight=False)


def _table(results: Results, names: list[str]) -> Table:
    drawn = Table(
        "shape",
        *page.COLUMNS,
        title=f"{results.resources:,} resources",
    )
    for name in names:
        drawn.add_row(name, *page.cells(results.shapes[name]))
    return drawn


if __name__ == "__main__":
    main()
