"""Asks a full node for its pages and sends it forms, and keeps what was measured
(`make bench-pages`).

    PYTHONPATH=benchmarks python -m pages.run --folder FOLDER --size 100k|1m|10m
        [--only TEXT ...] [--without fill|forms|pages ...] [--requests N] [--dry]

The node in the folder is filled first where it is not full (`pages.fill`); it is kept. `--only`
takes parts of names. Forms change the node: each visit is of another case, each card of another
person, so that it can be done again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import generator
import processes
from figures import percentile
from node_under_test import NodeUnderTest
from rich.console import Console
from search import fill as records
from search import skewed

from pages import asked, county, fill, forms, page, visitors
from pages.results import Measured, Results, keep, read

CONNECTIONS = 4
_RUN_UP = 12
_ALONE_SHARE = 4
FORMS = {"visit of hypertension": forms.visits, "card of an infection": forms.cards}

console = Console(width=140)


def main() -> None:
    """Fill, sign in, send forms, ask for pages, keep."""
    chosen = _arguments()
    node = records.open_folder(chosen.folder)
    if node.places.running() is None:
        node.start()
    try:
        if "fill" not in chosen.without:
            fill.fill(node, chosen.size)
        results = _begun(node, chosen.size)
        crowd = visitors.gather(node)
        if "forms" not in chosen.without:
            for name, make in FORMS.items():
                if _is_chosen(name, chosen.only):
                    sent = make(node, crowd, chosen.requests)
                    results.forms[name] = _measured(node, sent, forms.STATUS)
                    _tell(name, results.forms[name])
        if "pages" not in chosen.without:
            for one in asked.pages_of(node, crowd):
                if _is_chosen(one.name, chosen.only):
                    results.pages[one.name] = _measured(node, one.requests(chosen.requests), 200)
                    _tell(one.name, results.pages[one.name])
        results.machine["load after"] = processes.load()
    finally:
        if not chosen.leave_running:
            node.stop()
    if not chosen.dry:
        keep(results)
        page.write()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", choices=fill.PERSONS, required=True)
    parser.add_argument("--only", nargs="+", default=())
    parser.add_argument("--without", nargs="+", choices=("fill", "forms", "pages"), default=())
    parser.add_argument("--requests", type=int, default=asked.REQUESTS)
    parser.add_argument("--dry", action="store_true", help="keep nothing")
    parser.add_argument("--leave-running", action="store_true")
    return parser.parse_args()


def _is_chosen(name: str, parts: Sequence[str]) -> bool:
    return not parts or any(part in name for part in parts)


def _begun(node: NodeUnderTest, size: str) -> Results:
    data = f"{skewed.description()} {county.description().capitalize()}."
    results = Results(size, node.resources(), fill.persons(node), data, processes.machine())
    kept = read(size)
    if kept is not None:
        results.pages, results.forms, results.remarks = kept.pages, kept.forms, kept.remarks
    return results


def _measured(node: NodeUnderTest, requests: tuple[bytes, ...], status: int) -> Measured:
    """A quarter of the requests one by one, for what one takes; then the others from several."""
    if len(requests) < _RUN_UP * 2:
        raise SystemExit(f"only {len(requests)} requests can be made: fill the node first")
    run_up, rest = requests[:_RUN_UP], requests[_RUN_UP:]
    generator.fire(generator.Plan(node.port, run_up, CONNECTIONS)).require(status)
    alone, together = (
        rest[::_ALONE_SHARE],
        tuple(one for place, one in enumerate(rest) if place % _ALONE_SHARE),
    )
    before = node.used()
    single = generator.fire(generator.Plan(node.port, alone, 1))
    spent = node.used().since(before)
    single.require(status)
    report = generator.fire(generator.Plan(node.port, together, CONNECTIONS))
    report.require(status)
    p50, p95, p99 = (round(percentile(report.latencies, one), 1) for one in (0.5, 0.95, 0.99))
    return Measured(
        requests=len(together),
        p50=p50,
        p95=p95,
        p99=p99,
        alone_p50=round(percentile(single.latencies, 0.5), 1),
        alone_p95=round(percentile(single.latencies, 0.95), 1),
        python=round(spent.python / len(alone) * 1000, 1),
        postgres=round(spent.postgres / len(alone) * 1000, 1),
        kibibytes=round(_length(report) / 1024, 1),
        load=round(os.getloadavg()[0], 1),
    )


def _length(report: generator.Report) -> int:
    """The bytes of an answer, as its head tells."""
    for line in report.sample.split(b"\r\n\r\n", 1)[0].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _tell(name: str, one: Measured) -> None:
    console.print(
        f"  {name}: p50 {one.p50:g} p95 {one.p95:g} p99 {one.p99:g} ms; alone {one.alone_p50:g}"
        f" {one.alone_p95:g} ms; Python {one.python:g} PostgreSQL {one.postgres:g} ms;"
        f" load {one.load:g}",
        highlight=False,
    )


if __name__ == "__main__":
    main()
