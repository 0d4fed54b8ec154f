"""A real browser in front of a real node's pages, over HTTP on the loopback address.

Chromium comes from QUANMIN_CHROMIUM or the system; without one these tests skip and say so. The
pages are served by uvicorn in a thread of its own, over a database of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn
from clinic import Clinic
from databases import administer
from playwright.sync_api import Browser, sync_playwright
from ui.axe import AXE, axe_source

from quanmin.base.cluster import Cluster
from quanmin.base.postgres import open_pool
from quanmin.trust.sign_in import cookie_name

T = TypeVar("T")
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
)


class Served:
    """Pages that answer at `address`, with the sessions and ids of their clinic."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._dsn, self._folder = dsn, folder
        self._socket = socket.create_server(("127.0.0.1", 0))
        # By name and not by number: browsers make passkeys for names only.
        self.address = f"http://localhost:{self._socket.getsockname()[1]}"
        self.secrets: dict[str, str] = {}
        self._clinic: Clinic | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ids: dict[str, str] = {}
        self._server: uvicorn.Server | None = None
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def start(self) -> None:
        self._thread.start()
        assert self._is_ready.wait(60), "the pages did not start"

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join()

    def ask(self, question: Callable[[Clinic], Coroutine[Any, Any, T]]) -> T:
        """What the clinic answers, asked in its own thread."""
        assert self._clinic is not None
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(question(self._clinic), self._loop).result(30)

    def cookie(self, actor: str) -> Any:
        """The cookie of a session in which an account has signed in, as a browser takes it."""
        value = self.ask(lambda clinic: clinic.session(actor))
        return {"name": cookie_name(is_secure=False), "value": value, "url": self.address}

    async def _serve(self) -> None:
        pool = await open_pool(self._dsn, name="journeys", connections_max=4)
        clinic = Clinic(pool, self._folder, self.address)
        await clinic.fill()
        self.secrets, self.ids = clinic.secrets, clinic.ids
        self._clinic, self._loop = clinic, asyncio.get_running_loop()
        config = uvicorn.Config(
            clinic.pages(), log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._is_ready.set()
        await self._server.serve([self._socket])
        await pool.close()


@pytest.fixture(scope="session")
def served(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    asyncio.run(administer(postgres, "create database journeys template migrated"))
    pages = Served(postgres.dsn("journeys"), tmp_path_factory.mktemp("journeys"))
    pages.start()
    yield pages
    pages.stop()


# For one module only, and after the pages are served: while it runs, its event loop occupies this
# thread, and neither another fixture nor a test of another module could run one of its own.
@pytest.fixture(scope="module")
def chromium(served: Served) -> Iterator[Browser]:
    del served
    named = os.environ.get("QUANMIN_CHROMIUM")
    program = named or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no browser: install chromium or name one in QUANMIN_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, fetched once into the user's cache; skips where it cannot be had."""
    try:
        return axe_source()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no {AXE}: npm could not fetch it ({type(error).__name__})")
