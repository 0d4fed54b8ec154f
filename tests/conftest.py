"""What every test may ask for: a real PostgreSQL, fresh and migrated, within milliseconds.

- `postgres`: one embedded server for the whole session, in a folder of its own, run by an
  unprivileged account when we are root. It does not fsync (nothing here outlives the session);
  tests of durability start their own.
- `database`: the DSN of a database of this test's own, cloned from a migrated template, dropped
  afterwards.
- `pool`: an open connection pool on `database`.

Tests and fixtures may be `async def`: anyio's pytest plugin (it comes with httpx) runs them, a loop
for each test. No marker is needed. A synchronous test that needs a coroutine uses `asyncio.run`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path

import asyncpg
import pytest
from databases import administer

from quanmin.base.cluster import Cluster
from quanmin.base.migrations import migrate, read_migrations
from quanmin.base.postgres import connect, open_pool
from quanmin.records.adoption import adopt_rules
from quanmin.records.months import ensure_months

_TEMPLATE = "migrated"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_MEMORY_BYTES_MIN = 6 << 30
_numbers = itertools.count(1)

# Nothing of this server outlives the session, so it need not wait for the disk; a random password
# of 256 bits needs no key stretching, and thousands of tests connect.
_HURRIED = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "512MB",
    "max_connections": "100",
    "autovacuum_naptime": "10min",
    "logging_collector": "off",
}


def pytest_configure(config: pytest.Config) -> None:
    config.option.anyio_mode = "auto"


_LONGEST = [Path(__file__).parent / "full" / "web", Path(__file__).parent / "full"]


@pytest.hookimpl(tryfirst=True)  # before the distribution reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules in which something is made once for all their tests go to one process whole: a node
    is started once, not once in each. The longest begin first: begun last, one process would walk
    through pages for a quarter of an hour while the others have ended.
    """
    items.sort(key=lambda item: [folder not in item.path.parents for folder in _LONGEST])
    shared = {item.path for item in items if _is_of_module(item)}
    for item in items:
        if item.path in shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _is_of_module(item: pytest.Item) -> bool:
    made = getattr(item, "_fixtureinfo", None)
    fixtures = made.name2fixturedefs.values() if made is not None else ()
    return any(found and found[-1].scope == "module" for found in fixtures)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    # Not uvloop: it waits for ever for a connection that a failed test has left open.
    return "asyncio", {"use_uvloop": False}


@pytest.fixture(scope="session")
def passable_folder() -> Iterator[Path]:
    """A folder that any account may pass through (pytest's own are closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="quanmin-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(passable_folder: Path) -> Iterator[Cluster]:
    copies = Path(os.environ.get("QUANMIN_POSTGRES_PROGRAMS", passable_folder / "programs"))
    folder = Path(tempfile.mkdtemp(prefix="quanmin-test-", dir=_quickest()))
    folder.chmod(0o711)
    cluster = Cluster(folder / "postgres", copies=copies, parameters=_HURRIED)
    cluster.create()
    cluster.start()
    try:
        asyncio.run(_make_template(cluster))
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def _quickest() -> Path | None:
    """Memory where there is enough: a database is a thousand files, and each test has one of its
    own, made there in a third of the time.
    """
    is_enough = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES_MIN
    return _MEMORY if is_enough else None


async def _make_template(cluster: Cluster) -> None:
    await administer(cluster, f"create database {_TEMPLATE}")
    connection = await connect(cluster.dsn(_TEMPLATE))
    try:
        await migrate(connection, read_migrations(resources.files("quanmin.node") / "migrations"))
        await ensure_months(connection, time.time_ns() // 1000)
        await adopt_rules(connection)
    finally:
        await connection.close()


@pytest.fixture
def template() -> str:
    """The database that a test's own is cloned from."""
    return _TEMPLATE


@pytest.fixture
def database(postgres: Cluster, template: str) -> Iterator[str]:
    """The DSN of a migrated database that no other test sees, empty where its template is."""
    name = f"test_{next(_numbers)}"
    asyncio.run(
        administer(postgres, f"create database {name} template {template} strategy file_copy")
    )
    yield postgres.dsn(name)
    asyncio.run(administer(postgres, f"drop database {name} with (force)"))


@pytest.fixture
def empty_database(postgres: Cluster) -> Iterator[str]:
    """The DSN of a database with no table in it, for tests of migrations."""
    name = f"test_{next(_numbers)}"
    asyncio.run(administer(postgres, f"create database {name}"))
    yield postgres.dsn(name)
    asyncio.run(administer(postgres, f"drop database {name} with (force)"))


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    """An open pool on `database`."""
    opened = await open_pool(database, name="test", connections_max=10)
    yield opened
    await opened.close()
