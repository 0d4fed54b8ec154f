"""Compares the tree with a commit, and tells what has become slower (`make bench`).

    PYTHONPATH=benchmarks python benchmarks/compare.py [COMMIT] [--rounds N] [--only QUESTION ...]

Both load at once and are asked in turn, request by request, of nodes with the same records.
Processor time is compared and not the clock, and each round with itself: what else the machine does
slows both sides of it. Exit code 1 when something has become slower beyond the noise.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import copies
import generator
import msgspec
import read_by_id
from node_under_test import Bench, NodeUnderTest
from rich.console import Console
from rich.table import Table
from search import measuring, skewed
from search.facts import told_by
from search.shapes import SHAPES
from verdict import Verdict, judge

ROOT = Path(__file__).resolve().parent.parent
SHAPES_ASKED = (
    "identifier",
    "name_prefix",
    "name_contains",
    "name_pinyin",
    "code",
    "code_half_newest",
    "code_date",
    "code_value",
    "patient_code_newest",
    "patient_heavy_code_newest",
    "date_only",
    "chain",
    "has",
    "include",
    "total",
)
_REQUESTS = 150
# Repeats of a round: many short ones say more of the noise than few long ones.
_SLICES = 3
# Of the hundred thousand records of a block each round loads the next of so many parts.
_PARTS = 12
_SEED = 1

console = Console(width=110)


class Side(msgspec.Struct):
    """One of the two that are compared: its node, and what was measured of it by question."""

    name: str
    node: NodeUnderTest
    microseconds: dict[str, list[float]] = {}


Sides: TypeAlias = tuple[Side, Side]


def main() -> None:
    """Load and ask both, show the table, and end with 1 when something is slower."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the nodes are stopped
    with _trees(asked.commit) as (commit, before_tree), _folder() as folder:
        sides = (
            Side(commit[:10], _node(folder / "before", before_tree)),
            Side("this tree", _node(folder / "after", ROOT)),
        )
        with contextlib.ExitStack() as running:
            for side in sides:
                running.callback(side.node.stop)  # each, though the other cannot be stopped
                side.node.start()
            _compare(sides, asked.rounds, asked.only)
    verdicts = {
        name: judge(values, sides[1].microseconds[name])
        for name, values in sides[0].microseconds.items()
    }
    console.print(_table(sides, verdicts))
    worse = [name for name, verdict in verdicts.items() if verdict.is_worse]
    if worse:
        console.print(f"slower than {sides[0].name}: {', '.join(worse)}", style="red")
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", nargs="?", default="HEAD~1")
    parser.add_argument("--rounds", type=int, default=6, choices=range(3, _PARTS))
    parser.add_argument("--only", nargs="+", choices=("load", "read", *SHAPES_ASKED))
    return parser.parse_args()


def _compare(sides: Sides, rounds: int, only: list[str] | None) -> None:
    """Loading comes first, since the rest asks what is loaded. The first round fills caches."""
    for number in range(rounds + 1):
        spent = _load(sides, number)
        if number:
            _note(sides, "load", spent)
        console.print(f"loaded {number + 1} of {rounds + 1}", highlight=False)
    chosen = [name for name in ("read", *SHAPES_ASKED) if only is None or name in only]
    asked = [_requests(side.node, chosen) for side in sides]
    for number in range(rounds + 1):
        for question in chosen:
            for part in range(_SLICES):
                spent = _ask(sides, [requests[question][part::_SLICES] for requests in asked])
                if number:
                    _note(sides, question, spent)
        console.print(f"asked {number + 1} of {rounds + 1}", highlight=False)


def _note(sides: Sides, question: str, microseconds: list[float]) -> None:
    for side, spent in zip(sides, microseconds, strict=True):
        side.microseconds.setdefault(question, []).append(spent)


def _load(sides: Sides, part: int) -> list[float]:
    """Microseconds of processor time a resource, of the loading command and the database.

    Both load at once, so that what else the machine does slows both.
    """
    folders = [side.node.folder / "bundles" for side in sides]
    resources = 0
    for folder in folders:
        folder.mkdir()
    for place, bundle in enumerate(_part(part)):
        for folder in folders:
            (folder / f"{place:06d}.json").write_bytes(bundle.body)
        resources += bundle.resources
    before = [side.node.used() for side in sides]
    with ThreadPoolExecutor() as both:
        python = list(both.map(_run_load, sides, folders))
    for folder in folders:
        shutil.rmtree(folder)
    return [
        (side.node.used().since(earlier).postgres + spent) / resources * 1e6
        for side, earlier, spent in zip(sides, before, python, strict=True)
    ]


def _run_load(side: Side, folder: Path) -> float:
    return side.node.run_for_cpu("load", str(folder))


def _part(part: int) -> Iterator[copies.Bundle]:
    """Bundles of which each part has the proportions of the whole; the first brings HEAVY."""
    return islice(skewed.block(_SEED, 0), part, None, _PARTS)


def _requests(node: NodeUnderTest, questions: list[str]) -> dict[str, tuple[bytes, ...]]:
    facts = told_by(node, _part(0))
    made: dict[str, tuple[bytes, ...]] = {}
    for name in questions:
        if name == "read":
            bench = Bench(node, _SEED, 0, lambda _: None)
            addresses = read_by_id.addresses(bench, _REQUESTS * 4)
            token = node.token("operator")
            made[name] = tuple(
                generator.get(node.port, f"/fhir/{address}", token) for address in addresses
            )
        else:
            made[name] = measuring.requests_of(node, facts, name, SHAPES[name], _REQUESTS)
    return made


def _ask(sides: Sides, requests: list[tuple[bytes, ...]]) -> list[float]:
    """Microseconds of each node's processor time a request, both asked request by request."""
    before = [side.node.used() for side in sides]
    generator.in_turn(*((side.node.port, sent) for side, sent in zip(sides, requests, strict=True)))
    spent = [side.node.used().since(one) for side, one in zip(sides, before, strict=True)]
    return [(one.python + one.postgres) / len(requests[0]) * 1e6 for one in spent]


def _node(folder: Path, tree: Path) -> NodeUnderTest:
    folder.mkdir(mode=0o711)
    return NodeUnderTest(folder, tree)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="quanmin-compare-"))
    folder.chmod(0o711)  # the database's account must be able to pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _trees(commit: str) -> Iterator[tuple[str, Path]]:
    """The commit's full name, and a work tree of it that is removed in the end."""
    name = _git("rev-parse", "--verify", f"{commit}^{{commit}}")
    folder = Path(tempfile.mkdtemp(prefix="quanmin-before-"))
    _git("worktree", "add", "--detach", str(folder / "tree"), name)
    try:
        yield name, folder / "tree"
    finally:
        _git("worktree", "remove", "--force", str(folder / "tree"))
        shutil.rmtree(folder)


def _git(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 - git, with words of this program
        ["git", "-C", str(ROOT), *words],  # noqa: S607 - as whoever runs this has it
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)} failed")
    return done.stdout.strip()


def _table(sides: Sides, verdicts: dict[str, Verdict]) -> Table:
    drawn = Table("question", sides[0].name, sides[1].name, "change", "surely within", "")
    for name, verdict in verdicts.items():
        told = "SLOWER" if verdict.is_worse else "faster" if verdict.is_better else ""
        drawn.add_row(
            name,
            f"{verdict.before:,.0f} us",
            f"{verdict.after:,.0f} us",
            f"{verdict.change:+.1%}",
            f"{verdict.low:+.1%} to {verdict.high:+.1%}",
            told,
            style="red" if verdict.is_worse else "",
        )
    return drawn


if __name__ == "__main__":
    main()
