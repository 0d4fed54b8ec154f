"""A real node for tests, started, asked and stopped by its own command line."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from warm import run_warm

_WAIT_SECONDS_MAX = 60.0
_PORTS = (10_000, 32_000)
PASSPHRASE = "seven words that belong to no saying"


class RunningNode:
    """A node below `folder`; `settings` are names in the environment without their prefix."""

    def __init__(self, folder: Path, programs: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._environment = {
            **{name: value for name, value in os.environ.items() if "QUANMIN" not in name},
            "QUANMIN_NODE_DIRECTORY": str(folder),
            "QUANMIN_NODE_PORT": str(self.port),
            "QUANMIN_POSTGRES_PROGRAMS": str(programs),
            "QUANMIN_POSTGRES_SHARED_BUFFERS_MEBIBYTES": "128",
            "QUANMIN_PASSPHRASE": PASSPHRASE,
            "QUANMIN_LOAD_WRITERS": "1",
            "COLUMNS": "200",
            **{f"QUANMIN_{name}": value for name, value in settings.items()},
        }

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(
        self, *arguments: str | Path, typed: str = "", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """One command of this node, to its end, which may read what is `typed`."""
        more = {f"QUANMIN_{name}": value for name, value in settings.items()}
        given = [str(each) for each in arguments]
        return run_warm(given, self._environment | more, "/", typed=typed)

    def begin(self, *arguments: str | Path, **settings: str) -> subprocess.Popen[str]:
        """One command of this node, under way; whoever begins it waits for its end."""
        more = {f"QUANMIN_{name}": value for name, value in settings.items()}
        return subprocess.Popen(
            # Whoever runs the tests in the background has set Ctrl-C aside, and that is inherited.
            [
                *("env", "--default-signal=INT"),
                *(sys.executable, "-m", "quanmin.node.commands", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment | more,
            cwd="/",
        )

    def start(self) -> None:
        # What tests load is invented; so the node knows the systems of a demonstration.
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        (self.folder / "fictional").touch()
        done = self.run("node", "start")
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        done = self.run("node", "stop")
        assert done.returncode == 0, done.stderr

    def state(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "state.json").read_text()))

    def token(self, code: str = "operator") -> str:
        enrolled = json.loads((self.folder / "tokens.json").read_text())
        return str(next(each["token"] for each in enrolled if each["code"] == code))

    def client(self, code: str = "operator") -> httpx.Client:
        headers = {
            "Authorization": f"Bearer {self.token(code)}",
            "Content-Type": "application/fhir+json",
        }
        return httpx.Client(base_url=self.address, headers=headers, timeout=30.0, trust_env=False)


def free_port() -> int:
    """A port that nothing listens on, below those that outgoing connections are given: a node that
    is killed comes back to its own, which another test's connection would hold meanwhile.
    """
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 - any will do
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


def wait_until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)
