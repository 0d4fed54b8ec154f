"""Measures the node and prints a table against the targets (`make figures`).

    python benchmarks/run.py [--size 100k|1m] [--only NAME ...] [--folder FOLDER] [--seed N]

With `--folder` the node is kept and found again, so that one question can be asked of a full node.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import access_log
import copies
import figures
import import_bulk
import import_http
import page
import processes
import read_by_id
import report
import rotating
import searches
import size_on_disk
import start
from node_under_test import Bench, NodeUnderTest
from rich.console import Console

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
# In this order: a node is started, filled, weighed, and asked.
QUESTIONS = {
    "start": start.measure,
    "import_http": import_http.measure,
    "import_bulk": import_bulk.measure,
    "size_on_disk": size_on_disk.measure,
    "access_log": access_log.measure,
    "read_by_id": read_by_id.measure,
    "searches": searches.measure,
    "page": page.measure,
    "rotating": rotating.measure,
}

console = Console()


def main() -> None:
    """Ask the questions that were chosen, keep the answers, show the table."""
    asked = _arguments()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="quanmin-bench-"))
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)  # the database's account must be able to pass through
    node = NodeUnderTest(folder)
    bench = Bench(node, asked.seed, SIZES[asked.size], lambda text: console.print(f"  {text}"))
    machine = processes.machine()
    answers: list[figures.Figure] = []
    try:
        for name in asked.only or QUESTIONS:
            console.print(f"[bold]{name}[/bold]")
            if node.places.running() is None and name != "start":
                node.start()
            for figure in QUESTIONS[name](bench):
                console.print(f"  {figure.name}: {figure.value:,g} {figure.unit}", highlight=False)
                answers.append(figure)
        machine["load after"] = processes.load()
        run = figures.Run(
            asked.size, node.resources(), copies.description(), machine, tuple(answers)
        )
    finally:
        node.stop()
        if asked.folder is None:
            shutil.rmtree(folder)
    if not asked.dry:
        figures.keep(run)
        report.write()
    console.print(report.table(run))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="100k")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, metavar="NAME")
    parser.add_argument("--folder", type=Path, help="keep the node here, or use the one there")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="show the table, keep nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
