"""Runs commands of a node in processes that have read the platform already.

Reading it takes most of the time of a small command, and tests give hundreds. Each command is a
process of its own all the same, forked from one that has read everything and done nothing.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest.mock import patch


@cache
def _forking(columns: str) -> ForkServerContext:
    """What forks commands; how wide they may write is asked as their program is read."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["quanmin.node.commands"])
    with patch.dict(os.environ, COLUMNS=columns):
        multiprocessing.forkserver.ensure_running()
    return context


def run_warm(
    arguments: list[str], environment: dict[str, str], folder: str, *, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """The `quanmin` command with these arguments, to its end, as `subprocess.run` tells it; `typed`
    is what it may read.
    """
    with tempfile.TemporaryDirectory() as kept:
        (Path(kept) / "in").write_text(typed)
        told = (Path(kept) / "out", Path(kept) / "err")
        given = (arguments, environment, folder, kept)
        process = _forking(environment["COLUMNS"]).Process(target=_run, args=given)
        process.start()
        process.join()
        out, error = (each.read_text() if each.exists() else "" for each in told)
    return subprocess.CompletedProcess(arguments, int(process.exitcode or 0), out, error)


def _run(arguments: list[str], environment: dict[str, str], folder: str, kept: str) -> None:
    for descriptor, name in enumerate(("in", "out", "err")):
        opened = os.open(Path(kept, name), os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = os.fdopen(0)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["quanmin", *arguments]
    import_module("quanmin.node.commands").main()  # read already where this was forked from
