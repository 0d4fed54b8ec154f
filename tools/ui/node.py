"""A node with the invented province, and its accounts signed in, in a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser

from quanmin.node.places import Places
from quanmin.trust.sign_in import present_code

PEOPLE: Final = 60
_COMMAND = (sys.executable, "-m", "quanmin.node.commands")


@contextmanager
def demonstration(folder: Path, people: int = PEOPLE) -> Iterator[str]:
    """The address of a node in this folder, filled; it is stopped afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    named = {"QUANMIN_NODE_DIRECTORY": str(folder), "QUANMIN_NODE_PORT": str(port)}
    environment = {**os.environ, **named}
    filled = subprocess.run(
        [*_COMMAND, "demo", "--people", str(people)],
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


def signed_in(browser: Browser, base: str, folder: Path) -> dict[str, list[Any]]:
    """The cookies of a session of every account of the demonstration, by account."""
    return {shown.code: _cookies(browser, base, shown) for shown in Places(folder).accounts()}


def _cookies(browser: Browser, base: str, shown: Any) -> list[Any]:
    context = browser.new_context()
    try:
        tab = context.new_page()
        tab.goto(f"{base}/sign-in")
        tab.fill("input[name=name]", shown.code)
        tab.fill("input[name=password]", shown.password)
        with tab.expect_navigation():
            tab.locator("form:has(input[name=password]) button").first.click()
        for _ in range(2):
            if not tab.query_selector("input[name=code]"):
                break
            tab.fill("input[name=code]", present_code(shown.secret))
            with tab.expect_navigation():
                tab.locator("form:has(input[name=code]) button").first.click()
            if tab.query_selector("input[name=code]"):
                time.sleep(31)  # the code was taken already: the next one
        if tab.query_selector("input[name=password], input[name=code]"):
            raise RuntimeError(f"{shown.code} cannot sign in: {tab.title()}")
        return list(context.cookies())
    finally:
        context.close()
