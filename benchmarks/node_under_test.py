"""A real node to measure: its own folder, embedded PostgreSQL with fsync on, real workers."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import msgspec
import processes

from quanmin.base.postgres import connect
from quanmin.node.places import Places, State
from quanmin.node.reach import reached_database
from quanmin.node.settings import Settings
from quanmin.node.settings_in_force import load_settings

T = TypeVar("T")

# One client stands for many here, so the quota of one client must not be what is measured.
_QUOTAS = {
    "QUANMIN_DOOR_CLIENT_REQUESTS_PER_SECOND": "1000000",
    "QUANMIN_DOOR_CLIENT_BURST_REQUESTS": "1000000",
}


class NodeUnderTest:
    """Started and stopped by the same command that an operator uses."""

    def __init__(self, folder: Path, tree: Path | None = None) -> None:
        """Kept in a folder; of another tree than this one when that is given."""
        self.folder = folder
        # Python looks for modules in the current folder first, before PYTHONPATH.
        self._tree = tree
        self.places = Places(folder / "node")
        self._environment = (
            os.environ
            | _QUOTAS
            | {
                "QUANMIN_NODE_DIRECTORY": str(self.places.directory),
                "QUANMIN_NODE_PORT": str(_free_port()),
                "QUANMIN_POSTGRES_PROGRAMS": str(folder / "programs"),
            }
            | ({"PYTHONPATH": str(tree)} if tree is not None else {})
        )

    @property
    def settings(self) -> Settings:
        """What the node runs with."""
        return load_settings(self._environment)

    @property
    def state(self) -> State:
        """What the running node says of itself."""
        state = self.places.running()
        if state is None:
            raise SystemExit("the node does not run: see node.log in its folder")
        return state

    @property
    def port(self) -> int:
        """Where it answers."""
        return self.state.port

    def token(self, code: str) -> str:
        """The token of one of the first actors."""
        return next(each.token for each in self.places.tokens() if each.code == code)

    def invite(self, account: str) -> str:
        """The invitation of a new account of the node's operators."""
        said = subprocess.run(  # noqa: S603 - this program's own command
            [
                *(sys.executable, "-m", "quanmin.node.commands"),
                *("account", "add", account, "--role", "operator"),
            ],
            env=self._environment,
            cwd=self._tree,
            capture_output=True,
            text=True,
            check=True,
        )
        return said.stdout.split()[0]

    def run(self, *words: str, quiet: bool = True) -> float:
        """Run the node's command; how many seconds it took."""
        began = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - this program's own command
            [sys.executable, "-m", "quanmin.node.commands", *words],
            env=self._environment,
            cwd=self._tree,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"quanmin {' '.join(words)}: {done.stdout!r}")
        return time.perf_counter() - began

    def run_for_cpu(self, *words: str) -> float:
        """Run the node's command; how many seconds of processor time it took."""
        with (self.folder / "command.log").open("wb") as log:
            begun = subprocess.Popen(  # noqa: S603 - this program's own command
                [sys.executable, "-m", "quanmin.node.commands", *words],
                env=self._environment,
                cwd=self._tree,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            _, status, used = os.wait4(begun.pid, 0)
        begun.returncode = os.waitstatus_to_exitcode(status)
        if begun.returncode:
            said = (self.folder / "command.log").read_text(errors="replace")
            raise SystemExit(f"quanmin {' '.join(words)}: {said}")
        return used.ru_utime + used.ru_stime

    def start(self) -> float:
        """Start it; how many seconds until it answers."""
        # What is measured is invented; so the node knows the systems of a demonstration.
        self.places.prepare()
        self.places.mark_fictional()
        return self.run("node", "start")

    def stop(self) -> None:
        """Stop it and its database."""
        if self.places.running() is not None:
            self.run("node", "stop")

    def used(self) -> processes.Used:
        """Processor time of the whole node so far."""
        return processes.used(self.state.process)

    def ask(self, question: Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[T]]) -> T:
        """Ask the database itself, for what no door tells: sizes, and ids to read."""

        async def asked(dsn: str) -> T:
            connection = await connect(dsn, name="benchmark")
            try:
                return await question(connection)
            finally:
                await connection.close()

        with reached_database(self.settings) as dsn:
            return asyncio.run(asked(dsn))

    def resources(self) -> int:
        """How many records there are."""
        count = self.ask(lambda connection: connection.fetchval(_COUNT))
        return int(count)


_COUNT = "select count(*) from records.record where flags & 1 = 0"


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


class Bench(msgspec.Struct, frozen=True):
    """What every question gets: the node, the seed, how many resources, whom to tell."""

    node: NodeUnderTest
    seed: int
    size: int
    say: Callable[[str], None]
