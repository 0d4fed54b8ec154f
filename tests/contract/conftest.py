"""The node's pages over a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from clinic import Browser, Clinic


@pytest.fixture
async def clinic(pool: asyncpg.Pool[asyncpg.Record], tmp_path: Path) -> Clinic:
    opened = Clinic(pool, tmp_path)
    await opened.fill()
    return opened


@pytest.fixture
async def browser(clinic: Clinic) -> AsyncIterator[Browser]:
    """A browser in which the county's centre has entered."""
    opened = await clinic.enter("centre")
    yield opened
    await opened.client.aclose()
