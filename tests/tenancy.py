"""A city's node with two counties as tenants; its workers come to the database as on a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from falling_due import keepers
from persons import registered, result
from stores import open_context, open_guard

from quanmin.base.cluster import WORKER, Cluster
from quanmin.base.postgres import open_pool
from quanmin.node.walls import admit_worker, raise_walls, seal_walls
from quanmin.records.walls import Walls
from quanmin.trust import Guard
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.tenants import Tenant, Tenants

KEY = b"key of the walls of a test node!"
NOON = 1_780_000_000_000_000
"""A moment before anything of a test."""


class City(msgspec.Struct):
    """The node: as its owner, and as those come to the database who answer requests. `guard` is of
    these.
    """

    owner: asyncpg.Pool[Any]
    worker: asyncpg.Pool[Any]
    guard: Guard
    walls: Walls
    tenants: Tenants


@asynccontextmanager
async def open_city(postgres: Cluster, name: str, folder: Path) -> AsyncIterator[City]:
    """A database by its name, divided or not."""
    owner = await open_pool(postgres.dsn(name), name="test", connections_max=4)
    async with owner.acquire() as connection:
        await admit_worker(connection, WORKER, postgres.worker_passfile)
        await seal_walls(connection, KEY)
    worker = await open_pool(postgres.worker_dsn(name), name="test", connections_max=6)
    walls = Walls(KEY)
    guard = open_guard(worker, open_context(folder), walls=walls, plans=keepers())
    try:
        yield City(owner, worker, guard, walls, Tenants(owner))
    finally:
        await worker.close()
        await owner.close()


async def divide_database(postgres: Cluster, name: str) -> None:
    """Counties `east` (with the sender `a`) and `west` (`b`); any other is of no tenant."""
    owner = await open_pool(postgres.dsn(name), name="test", connections_max=1)
    tenants = Tenants(owner)
    async with owner.acquire() as connection:
        await admit_worker(connection, WORKER, postgres.worker_passfile)
        await raise_walls(connection, WORKER, lambda _: None, grace_seconds=0)
    for code, division, sender in (("east", "330106", "a"), ("west", "330108", "b")):
        await tenants.declare(
            Tenant(code, code, code, division, None, NOON, OPEN_END, "test"), at=NOON
        )
        await tenants.assign(sender, code, since=NOON, until=OPEN_END, at=NOON, by="test")
    await owner.close()


async def both_filled(guard: Guard) -> tuple[Any, Any]:
    """One person, registered in either county with a result; the results."""
    here, there = await registered(guard, "a"), await registered(guard, "b")
    return await result(guard, "a", here.id), await result(guard, "b", there.id)
