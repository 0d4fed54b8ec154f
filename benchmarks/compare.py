"""Compares the tree with a commit, and tells what has become slower (`make bench`).

    PYTHONPATH=benchmarks python benchmarks/compare.py [COMMIT] [--rounds N] [--only QUESTION ...]

Both are asked in turn, one round after the other, of nodes with the same records. Processor time is
compared and not the clock, so that what else the machine does matters little. Exit code 1 when
something has become slower beyond the noise.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

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
# Of the hundred thousand records of a block each round loads the next of so many parts.
_PARTS = 12
_SEED = 1

console = Console(width=110)


class Side(msgspec.Struct):
    """One of the two that are compared: its node, and what was measured of it by question."""

    name: str
    node: NodeUnderTest
    microseconds: dict[str, list[float]] = {}

    def note(self, question: str, value: float) -> None:
        """One more repeat."""
        self.microseconds.setdefault(question, []).append(value)


def main() -> None:
    """Load and ask in turn, show the table, and end with 1 when something is slower."""
    asked = _arguments()
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


def _compare(sides: tuple[Side, Side], rounds: int, only: list[str] | None) -> None:
    """Loading comes first, since the rest asks what is loaded. The first round fills caches."""
    for number in range(rounds + 1):
        for side in _in_turn(sides, number):
            spent = _load(side.node, number)
            if number:
                side.note("load", spent)
        console.print(f"loaded {number + 1} of {rounds + 1}", highlight=False)
    chosen = [name for name in ("read", *SHAPES_ASKED) if only is None or name in only]
    asked = {side.name: _requests(side.node, chosen) for side in sides}
    for number in range(rounds + 1):
        for question in chosen:
            for side in _in_turn(sides, number):
                spent = _ask(side.node, asked[side.name][question])
                if number:
                    side.note(question, spent)
        console.print(f"asked {number + 1} of {rounds + 1}", highlight=False)


def _in_turn(sides: tuple[Side, Side], number: int) -> tuple[Side, ...]:
    """Each side first every other time, so that what comes first gives neither an advantage."""
    return sides[:: -1 if number % 2 else 1]


def _load(node: NodeUnderTest, part: int) -> float:
    """Microseconds of processor time a resource, of the loading command and the database."""
    folder = node.folder / "bundles"
    folder.mkdir()
    resources = 0
    for place, bundle in enumerate(_part(part)):
        (folder / f"{place:06d}.json").write_bytes(bundle.body)
        resources += bundle.resources
    before, python = node.used(), _children_seconds()
    node.run("load", str(folder))
    spent = node.used().since(before).postgres + _children_seconds() - python
    shutil.rmtree(folder)
    return spent / resources * 1e6


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


def _ask(node: NodeUnderTest, requests: tuple[bytes, ...]) -> float:
    """Microseconds of the node's processor time a request."""
    before = node.used()
    report = generator.fire(generator.Plan(node.port, requests, 1))
    report.require(200)
    spent = node.used().since(before)
    return (spent.python + spent.postgres) / len(requests) * 1e6


def _children_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


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


def _table(sides: tuple[Side, Side], verdicts: dict[str, Verdict]) -> Table:
    drawn = Table("question", sides[0].name, sides[1].name, "change", "noise", "")
    for name, verdict in verdicts.items():
        told = "SLOWER" if verdict.is_worse else "faster" if verdict.is_better else ""
        drawn.add_row(
            name,
            f"{verdict.before:,.0f} us",
            f"{verdict.after:,.0f} us",
            f"{verdict.change:+.1%}",
            f"{verdict.noise:.1%}",
            told,
            style="red" if verdict.is_worse else "",
        )
    return drawn


if __name__ == "__main__":
    main()
