"""A node with the invented province, in a folder, and who signs in to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from quanmin.node.places import Places, Shown
from quanmin.trust.sign_in import present_code
from ui.visitor import Visitor

PEOPLE: Final = 60
SEED: Final = 1
_COMMAND = (sys.executable, "-m", "quanmin.node.commands")


@contextmanager
def demonstration(folder: Path) -> Iterator[str]:
    """The address of a node in this folder, filled; it is stopped afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    named = {
        "QUANMIN_NODE_DIRECTORY": str(folder),
        "QUANMIN_NODE_PORT": str(port),
        # Each account waits for its turn while others are looked at.
        "QUANMIN_SIGN_IN_ADMINISTRATOR_IDLE_MINUTES_MAX": "60",
        "QUANMIN_SIGN_IN_IDLE_MINUTES_MAX": "60",
    }
    # What tests are told by such names is no setting, and a node refuses what is none.
    others = {name: value for name, value in os.environ.items() if not name.startswith("QUANMIN_")}
    environment = {**others, **named}
    filled = subprocess.run(
        [*_COMMAND, "demo", "--people", str(PEOPLE), "--seed", str(SEED)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    try:
        state = Places(folder).running()
        if filled.returncode or state is None:
            raise RuntimeError(filled.stdout[-2000:] + filled.stderr[-2000:])
        yield state.address
    finally:
        subprocess.run(
            [*_COMMAND, "node", "stop"], env=environment, check=False, capture_output=True
        )


def visiting(base: str, shown: Shown) -> Visitor:
    """A visitor who has signed in to this account of the demonstration."""
    visitor = Visitor(base)
    visitor.get("/sign-in")
    visitor.send({"name": shown.code, "password": shown.password})
    for _ in range(2):
        if not _asks(visitor, "code"):
            break
        visitor.send({"code": present_code(shown.secret)})
        if _asks(visitor, "code"):
            time.sleep(31)  # the code was taken already: the next one
    if _asks(visitor, "password") or _asks(visitor, "code"):
        raise RuntimeError(f"{shown.code} cannot sign in: {visitor.page.address}")
    return visitor


def _asks(visitor: Visitor, name: str) -> bool:
    return any(name in form.fields for form in visitor.page.forms)
