"""The node's pages over a real store."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from clinic import Browser, Clinic
from databases import administer

from quanmin.base.cluster import Cluster
from quanmin.base.postgres import open_pool


@pytest.fixture(scope="session")
def ready_clinic(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic that was filled once, whose database and keys are copied for each test: to fill one
    takes five times as long.
    """
    asyncio.run(administer(postgres, "create database clinic template migrated"))

    async def fill() -> Clinic:
        pool = await open_pool(postgres.dsn("clinic"))
        opened = Clinic(pool, tmp_path_factory.mktemp("clinic"))
        await opened.fill()
        await pool.close()
        return opened

    return asyncio.run(fill())


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    if "ready_clinic" not in request.fixturenames:
        return "migrated"
    request.getfixturevalue("ready_clinic")
    return "clinic"


@pytest.fixture
async def clinic(
    ready_clinic: Clinic, pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path
) -> Clinic:
    shutil.copytree(ready_clinic.folder / "keys", tmp_path / "keys")
    opened = Clinic(pool, tmp_path)
    opened.go_on_from(ready_clinic)
    return opened


@pytest.fixture
async def browser(clinic: Clinic) -> AsyncIterator[Browser]:
    """A browser in which the county's centre has entered."""
    opened = await clinic.enter("centre")
    yield opened
    await opened.client.aclose()
