"""A city of two counties, for whoever tests what tenants see of each other."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from databases import administer
from tenancy import City, divide_database, open_city

from quanmin.base.cluster import Cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def divided(postgres: Cluster) -> Iterator[str]:
    """The name of a database with the two counties, which others are made after."""
    asyncio.run(administer(postgres, "create database divided template migrated"))
    asyncio.run(divide_database(postgres, "divided"))
    yield "divided"
    asyncio.run(administer(postgres, "drop database divided with (force)"))


@pytest.fixture
async def city(postgres: Cluster, divided: str, tmp_path: Path) -> AsyncIterator[City]:
    name = f"city_{next(_numbers)}"
    await administer(postgres, f"create database {name} template {divided} strategy file_copy")
    async with open_city(postgres, name, tmp_path) as opened:
        yield opened
    await administer(postgres, f"drop database {name} with (force)")
