"""One node for all cases of a module: what they try leaves nothing behind that others would see."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from databases import administer
from whole import Whole

from quanmin.base.cluster import Cluster
from quanmin.base.postgres import open_pool

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def whole(
    postgres: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Whole]:
    name = f"whole_{next(_numbers)}"
    await administer(postgres, f"create database {name} template migrated strategy file_copy")
    pool = await open_pool(postgres.dsn(name), name="test", connections_max=10)
    folder: Path = tmp_path_factory.mktemp("whole")
    opened = Whole(pool, folder)
    await opened.fill()
    yield opened
    await pool.close()
    await administer(postgres, f"drop database {name} with (force)")
