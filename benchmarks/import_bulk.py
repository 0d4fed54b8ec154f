"""`quanmin load`: bundles from files, until the node has as many resources as asked for."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import copies
from figures import Figure
from node_under_test import Bench

_FOLDER_RESOURCES = 250_000


def measure(bench: Bench) -> list[Figure]:
    """Load folder after folder; only the loading is timed, not the making of the files."""
    node = bench.node
    missing = bench.size - node.resources()
    if missing <= 0:
        bench.say("the node is full already: nothing loaded, nothing measured")
        return []
    source, seconds, loaded = copies.bundles(bench.seed), 0.0, 0
    before, children = node.used(), _children_seconds()
    while loaded < missing:
        folder = node.folder / "bundles"
        made = _write(source, folder, min(missing - loaded, _FOLDER_RESOURCES))
        bench.say(f"loading {made:,} resources ({loaded:,} of {missing:,} done)")
        seconds += node.run("load", str(folder), quiet=False)
        loaded += made
        shutil.rmtree(folder)
    spent, python = node.used().since(before), _children_seconds() - children
    return [
        Figure("import_bulk.rate", round(loaded / seconds), "resources/s", f"{loaded:,} loaded"),
        Figure("import_bulk.cpu_python", round(python / loaded * 1e6), "us/resource"),
        Figure("import_bulk.cpu_postgres", round(spent.postgres / loaded * 1e6), "us/resource"),
    ]


def _children_seconds() -> float:
    """Processor time of ended children: the loading command and its writers."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _write(source: Iterator[copies.Bundle], folder: Path, resources: int) -> int:
    folder.mkdir()
    written = number = 0
    while written < resources:
        bundle = next(source)
        (folder / f"{number:06d}.json").write_bytes(bundle.body)
        written += bundle.resources
        number += 1
    return written
