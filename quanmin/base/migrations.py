"""Brings a database's tables to the form this program needs: forward only, under a lock.

A migration that has run is history: it is never edited and never undone. What was wrong is mended
by the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Unusable

# Any number serves as long as nobody else uses it: these are the bytes "quanmin" in a bigint.
_LOCK: Final = int.from_bytes(b"quanmin", "big")
_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE: Final = """
    create schema if not exists node;
    create table if not exists node.migration (
        number int primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default clock_timestamp()
    );
    create table if not exists node.constant (
        name text primary key,
        value text not null
    );
"""


class Migration(msgspec.Struct, frozen=True):
    """One step. `checksum` is the SHA-256 of its text."""

    number: int
    name: str
    sql: str
    checksum: str


def read_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """The steps in `folder`, in order. Raises Unusable on a misnamed file and on a gap."""
    found = []
    for entry in folder.iterdir():
        if not entry.name.endswith(".sql"):
            continue
        named = _NAME.fullmatch(entry.name)
        if named is None:
            raise Unusable(
                f"{entry.name} is no migration's name: call it like `0007_what_it_does.sql`."
            )
        sql = entry.read_text("utf-8")
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        found.append(Migration(int(named[1]), named[2], sql, checksum))
    found.sort(key=lambda migration: migration.number)
    if [each.number for each in found] != list(range(1, len(found) + 1)):
        raise Unusable(
            "Migrations must be numbered 0001, 0002, ... without a gap: this installation is not "
            "whole."
        )
    return tuple(found)


async def migrate(
    connection: Connection, migrations: tuple[Migration, ...]
) -> tuple[Migration, ...]:
    """Apply the steps the database lacks, each in its own transaction; returns those applied.

    Several programs may call this at the same time: one works, the others wait and find nothing to
    do. Raises Unusable, with nothing changed, when an applied step has another text now or the
    database is newer than we are.
    """
    await connection.execute("select pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(_TABLE)
        pending = _pending(migrations, await _applied(connection))
        for migration in pending:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into node.migration (number, name, checksum) values ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
        return pending
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _LOCK)


async def schema_version(connection: Connection) -> int:
    """The number of the newest step applied; 0 for an empty database."""
    if await connection.fetchval("select to_regclass('node.migration')") is None:
        return 0
    return int(await connection.fetchval("select coalesce(max(number), 0) from node.migration"))


async def hold_constants(connection: Connection, constants: Mapping[str, str]) -> dict[str, str]:
    """Remember each constant the first time it is told; gives those that were told otherwise
    before.

    A constant is what records already written depend on, so that another value would not find them.
    """
    differing = {}
    for name, value in constants.items():
        await connection.execute(
            "insert into node.constant values ($1, $2) on conflict do nothing", name, value
        )
        kept = await connection.fetchval("select value from node.constant where name = $1", name)
        if kept != value:
            differing[name] = str(kept)
    return differing


async def _applied(connection: Connection) -> dict[int, str]:
    rows = await connection.fetch("select number, checksum from node.migration order by number")
    return {row["number"]: row["checksum"] for row in rows}


def _pending(migrations: tuple[Migration, ...], applied: dict[int, str]) -> tuple[Migration, ...]:
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise Unusable(
            f"The database is at step {newest} and this program knows {len(migrations)}: it was "
            f"opened by a newer "
            "version before. Install that version again, or restore a backup made by this one."
        )
    for migration in migrations[:newest]:
        if applied.get(migration.number) != migration.checksum:
            raise Unusable(
                f"Migration {migration.number:04d} ({migration.name}) has another text than the "
                f"one this database "
                "ran: restore the installed files; a change of tables belongs in a new migration."
            )
    return migrations[newest:]
