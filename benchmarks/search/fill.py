"""Fills a node with skewed records, block by block, and goes on where it was interrupted.

    PYTHONPATH=benchmarks python -m search.fill --folder FOLDER --size 100k|1m|10m

Beside the node stands how many blocks were begun and what each took. A block that was interrupted
is not repeated: the next one follows, so that nothing is doubled, and the node decides when it is
full.
"""

from __future__ import annotations

import argparse
import resource
import shutil
from pathlib import Path

import msgspec
from node_under_test import NodeUnderTest

from search import skewed

SIZES = {"100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
_SEED = 1


class Loaded(msgspec.Struct, frozen=True):
    """What one block took to load; processor seconds of the loading command and of PostgreSQL."""

    block: int
    resources: int
    elapsed_seconds: float
    python_seconds: float
    postgres_seconds: float


class Filling(msgspec.Struct):
    """How far a node is: blocks begun, and what the whole ones took."""

    begun: int = 0
    loaded: list[Loaded] = []

    @classmethod
    def of(cls, node: NodeUnderTest) -> Filling:
        """What is written beside the node."""
        path = _path(node)
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def keep(self, node: NodeUnderTest) -> None:
        """Write it beside the node."""
        _path(node).write_bytes(msgspec.json.encode(self))


def open_folder(folder: Path) -> NodeUnderTest:
    """The node kept in a folder, which is made where there is none."""
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)  # the database's account must be able to pass through
    return NodeUnderTest(folder)


def fill(node: NodeUnderTest, resources: int) -> None:
    """Load blocks until there are so many records."""
    filling = Filling.of(node)
    while (there := node.resources()) < resources:
        print(f"{there:,} of {resources:,} resources, block {filling.begun}", flush=True)
        number = filling.begun
        filling.begun += 1
        filling.keep(node)
        filling.loaded.append(_load(node, number))
        filling.keep(node)
    print(f"{there:,} resources", flush=True)


def _load(node: NodeUnderTest, number: int) -> Loaded:
    folder = node.folder / "bundles"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    resources = 0
    for place, bundle in enumerate(skewed.block(_SEED, number)):
        (folder / f"{place:06d}.json").write_bytes(bundle.body)
        resources += bundle.resources
    before, python = node.used(), _children_seconds()
    elapsed = node.run("load", str(folder))
    spent = node.used().since(before)
    shutil.rmtree(folder)
    return Loaded(number, resources, elapsed, _children_seconds() - python, spent.postgres)


def _children_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _path(node: NodeUnderTest) -> Path:
    return node.folder / "filling.json"


def main() -> None:
    """Start the node, fill it, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, required=True)
    asked = parser.parse_args()
    node = open_folder(asked.folder)
    if node.places.running() is None:
        node.start()
    try:
        fill(node, SIZES[asked.size])
    finally:
        node.stop()


if __name__ == "__main__":
    main()
