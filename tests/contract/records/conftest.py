"""The store of each test, in both cipher suites."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from stores import open_context, open_store

from quanmin.records.context import Context
from quanmin.records.operation import Sender
from quanmin.records.store import Store
from quanmin.records.visibility import Everything


@pytest.fixture(params=["international", "gm"])
def context(request: pytest.FixtureRequest, tmp_path: Path) -> Context:
    return open_context(tmp_path, request.param)


@pytest.fixture
def store(pool: asyncpg.Pool[asyncpg.Record], context: Context) -> Store:
    return open_store(pool, context)


@pytest.fixture
async def sender(store: Store) -> Sender:
    return Sender(await store.sender("hospital-a"), Everything(), Everything())
