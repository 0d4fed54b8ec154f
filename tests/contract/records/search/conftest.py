"""The store that searches are made in."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from stores import open_context, open_store

from quanmin.records.store import Store


@pytest.fixture
def store(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Store:
    return open_store(pool, open_context(tmp_path))
