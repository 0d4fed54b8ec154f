"""The node's database, embedded or external, brought to where the program can use it."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from quanmin.base.clock import Clock
from quanmin.base.cluster import OWNER, WORKER, Cluster
from quanmin.base.database import Connection
from quanmin.base.disk import sync_folder
from quanmin.base.keys import KeyPort
from quanmin.base.migrations import (
    Migration,
    hold_constants,
    migrate,
    read_migrations,
    schema_version,
)
from quanmin.base.postgres import connect, require_fitness
from quanmin.base.problems import Unusable
from quanmin.node.own_keys import OTHER_KEYS, fingerprint, open_notary
from quanmin.node.places import Places
from quanmin.node.roots import ready_roots
from quanmin.node.settings import PostgresSettings, Settings
from quanmin.node.walls import WALLS, admit_worker, seal_walls
from quanmin.records.adoption import adopt_rules
from quanmin.records.months import ensure_months
from quanmin.records.rewrapping import refuse_missing
from quanmin.trust import Notary, Witness
from quanmin.trust.lifecycle.activities import enter_delivered
from quanmin.trust.log.lanes import ensure_lanes
from quanmin.trust.log.restoring import Restoring, note_restored
from quanmin.web.application import discover

_SHARED_BUFFERS_MEBIBYTES_MAX: Final = 8192
_MEBIBYTE: Final = 1 << 20


def migrations() -> tuple[Migration, ...]:
    """The steps this program knows."""
    return read_migrations(resources.files("quanmin.node") / "migrations")


def memory_mebibytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MEBIBYTE


def server_parameters(settings: PostgresSettings) -> dict[str, str]:
    """The embedded server's configuration as far as it is the operator's choice."""
    memory = memory_mebibytes()
    shared = settings.shared_buffers_mebibytes or min(memory // 4, _SHARED_BUFFERS_MEBIBYTES_MAX)
    return {
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(memory * 5 // 8, shared)}MB",
        "work_mem": f"{settings.work_mem_mebibytes}MB",
        "maintenance_work_mem": f"{settings.maintenance_work_mem_mebibytes}MB",
        "max_wal_size": f"{settings.max_wal_size_mebibytes}MB",
        "min_wal_size": f"{max(settings.max_wal_size_mebibytes // 8, 80)}MB",
        "wal_compression": settings.wal_compression,
        "max_connections": str(settings.connections_max),
    }


def embedded(settings: Settings, places: Places, extra: dict[str, str] | None = None) -> Cluster:
    """The node's own server, not started."""
    return Cluster(
        places.postgres,
        account=settings.postgres.user,
        copies=settings.postgres.programs,
        parameters=server_parameters(settings.postgres) | (extra or {}),
    )


def data_source(settings: Settings, places: Places) -> str:
    """How to connect to the node's database."""
    return settings.postgres.dsn or embedded(settings, places).dsn()


def worker_source(settings: Settings, places: Places) -> str:
    """How those connect who answer requests; the owner's source where no other is known."""
    if settings.postgres.dsn:
        return settings.postgres.worker_dsn or settings.postgres.dsn
    return embedded(settings, places).worker_dsn()


async def worker_role(settings: Settings, places: Places) -> str:
    """The account those have."""
    if not settings.postgres.dsn:
        return WORKER
    connection = await connect(worker_source(settings, places), name="quanmin node")
    try:
        return str(await connection.fetchval("select current_user"))
    finally:
        await connection.close()


async def make_database(cluster: Cluster) -> None:
    """Make the node's database in a new server; nothing when it is there."""
    connection = await connect(cluster.dsn("postgres"))
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", OWNER):
            await connection.execute(f'create database "{OWNER}"')
    finally:
        await connection.close()


async def is_new(dsn: str) -> bool:
    """Whether no version of this program has ever opened the database."""
    connection = await connect(dsn)
    try:
        return await schema_version(connection) == 0
    finally:
        await connection.close()


async def make_ready(dsn: str, settings: Settings, port: KeyPort) -> tuple[Migration, ...]:
    """Check the server, bring its tables up to date, make the months ahead; gives the steps taken.

    Raises Unusable with the reason and the way out.
    """
    connection = await connect(dsn, name="quanmin node")
    try:
        await require_fitness(connection)
        applied = await migrate(connection, migrations())
        places = Places(settings.node.directory)
        if places.restored.exists():
            await refuse_missing(connection, port.numbers())
        keys = await ready_roots(connection, port, Clock().now())
        _refuse_others(await hold_constants(connection, _constants(settings, keys)))
        await ensure_months(connection, Clock().now())
        await adopt_rules(connection)
        async with connection.transaction():
            declared = [one.activity for one in discover() if one.activity is not None]
            await enter_delivered(connection, Clock().now(), declared)
        notary = open_notary(settings, keys)
        await _tell_restored(connection, notary, places)
        await ensure_lanes(connection, notary, Clock().now())
        await seal_walls(connection, keys.derive(WALLS))
        await _admit_worker(connection, settings)
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unusable(
            "The database's user may not make tables: give it the right to create schemas in the "
            "database."
        ) from error
    else:
        return applied
    finally:
        await connection.close()


async def _tell_restored(connection: Connection, notary: Notary, places: Places) -> None:
    """Have a restore in the access log before anything else is written."""
    if not places.restored.exists():
        return
    restoring = msgspec.json.decode(places.restored.read_bytes(), type=Restoring)
    await note_restored(connection, notary, Witness(places.witness), restoring, Clock().now())
    places.restored.unlink()
    sync_folder(places.directory)


async def _admit_worker(connection: Connection, settings: Settings) -> None:
    places = Places(settings.node.directory)
    if not settings.postgres.dsn:
        passfile = embedded(settings, places).worker_passfile
        await admit_worker(connection, WORKER, passfile)
    elif settings.postgres.worker_dsn:
        await admit_worker(connection, await worker_role(settings, places), None)


def _constants(settings: Settings, keys: KeyPort) -> dict[str, str]:
    return {"node.id_prefix": settings.node.id_prefix, "keys": fingerprint(keys)}


def _refuse_others(differing: dict[str, str]) -> None:
    if "keys" in differing:
        raise Unusable(OTHER_KEYS)
    for name, kept in differing.items():
        raise Unusable(
            f"`{name}` cannot change any more: set it to {kept!r} as at the first start."
        )


async def make_months(dsn: str) -> list[str]:
    """Make the tables of replaced versions for the months ahead; gives their names."""
    connection = await connect(dsn, name="quanmin node")
    try:
        return await ensure_months(connection, Clock().now())
    finally:
        await connection.close()


class Room:
    """Whether there is room to write, asked of the file system at most once a second."""

    def __init__(self, folder: Path, free_bytes_min: int) -> None:
        self._folder = folder
        self._free_bytes_min = free_bytes_min
        self._clock = Clock()
        self._asked_at = 0
        self._is_enough = True

    def free_bytes(self) -> int:
        """What an unprivileged process may still write."""
        seen = os.statvfs(self._folder)
        return seen.f_bavail * seen.f_frsize

    def is_enough(self) -> bool:
        """Whether a write may begin."""
        now = self._clock.now()
        if now - self._asked_at > 1_000_000:
            self._asked_at = now
            self._is_enough = self.free_bytes() >= self._free_bytes_min
        return self._is_enough
