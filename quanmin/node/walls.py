"""The account that requests are answered with, which owns no table, and the walls between tenants:
raised once, when a node gets its first tenant.

Policies stand on the rows since their migration and cost nothing until they are switched on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import msgspec
from msgspec import Meta

from quanmin.base.database import Connection
from quanmin.base.disk import replace_on_disk
from quanmin.base.problems import Conflict, Unusable
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.registers.tenants import alone

WALLS: Final = "walls"
"""What the key of sealed claims is derived for."""

_SCHEMAS: Final = (
    *("records", "people", "trust", "jobs", "imports"),
    *("terminology", "profiles", "indexing", "node", "plans"),
)
# What decides of whose records a worker sees anything is not a worker's to change.
_CLOSED: Final = ("trust.wall_key", "trust.opening")
_ONLY_READ: Final = (
    *("node.migration", "node.constant", "node.root", "node.secret"),
    *("trust.wall", "trust.tenant", "trust.tenant_member", "records.nobody"),
    *("trust.tenant_agreement", "trust.party_tenant"),
)
# By these the walls name whose a row is: a sender is entered, and stays what it is.
_ONLY_ADDED: Final = ("records.sender",)
# Partitions are reached through their table alone, whose policies they would not have.
_UNLIKE: Final = """
    with there as (
        select c.oid, format('%I.%I', n.nspname, c.relname) as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any($1) and c.relkind in ('r', 'p') and not c.relispartition
    ), wanted as (
        select oid, name, case when name = any($3) then '{select}'::text[]
            when name = any($4) then '{select,insert}' when name = any($5) then '{}'
            else '{select,insert,update,delete}' end as rights
        from there
    )
    select name, array_to_string(rights, ', ') as rights from wanted
    where exists (
        select from unnest('{select,insert,update,delete}'::text[]) r (one)
        where has_table_privilege($2, oid, one) <> (one = any(rights)))
"""
_UNFIT: Final = """
    select r.rolsuper or r.rolbypassrls or pg_has_role(r.oid, c.relowner, 'member')
    from pg_roles r, pg_class c where r.rolname = $1 and c.oid = 'records.record'::regclass
"""

# Under policies an index serves only what cannot tell of the rows that it looks at. These compare
# or hash numbers and say nothing of them in an error, but PostgreSQL does not promise it of arrays
# of any type, of numeric and of hashes.
_SILENT: Final = (
    *("arraycontains(anyarray, anyarray)", "arrayoverlap(anyarray, anyarray)"),
    *(f"numeric_{name}(numeric, numeric)" for name in ("lt", "le", "eq", "ge", "gt")),
    *("hashint8extended(bigint, bigint)", "int8(integer)"),
)
# What a query is told by an index alone it still is when the index holds what decides.
_INDEXES: Final = {
    "keyed_key": "keyed (key, low desc nulls last, rid) include (system, wall, value, patient)",
    "dated_low": "dated (key, low, high, rid) include (wall)",
    "dated_wide": "dated (key, high, low, rid) include (wall) where high - 86400000000 > low",
    "ranged_low": "ranged (key, low, rid) include (wall)",
    "ranged_wide": "ranged (key, high, low, rid) include (wall) where high is not null",
}
_GRANTED: Final = (
    "granted (grantee, patient, type, source, since, part, bucket) include (until, wall)"
)
_PAGES: Final = 2000
_SIDE: Final = ("keyed", "dated", "ranged")
_FILL: Final = """
    update records.{table} s set wall = 2 * r.sender + (r.patient is null)::int
    from records.record r
    where s.ctid >= $1::text::tid and s.ctid < $2::text::tid and s.wall is null
        and r.type = s.type and r.rid = s.rid and r.bucket = s.bucket
"""
_FILL_GRANTED: Final = """
    update records.granted g set wall = 2 * r.sender from records.record r
    where g.wall is null and r.type = 103 and r.rid = g.patient and r.bucket = g.bucket
"""
WALLED: Final = (
    *("records.record", "records.history", "records.keyed", "records.dated", "records.ranged"),
    *("records.granted", "trust.glass", "plans.fact", "plans.person", "plans.due"),
    "trust.counted_case",
)
"""The tables whose rows have policies that say of whom they are."""
MOVING: Final = ("trust.institution",)
"""Those whose rows say who is of which tenant: all are read, and changed by what derives them."""


class WallLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a node is divided while it works."""

    grace_seconds: Annotated[
        float,
        Meta(
            description="How long the first tenant's declaration waits for requests that began "
            "before it.",
            ge=0,
        ),
    ] = 20.0


async def admit_worker(connection: Connection, role: str, passfile: Path | None) -> None:
    """Let an account read and write what requests need, and no more. With a `passfile` the account
    is the embedded server's, made when missing.
    """
    if passfile is not None:
        await _make_account(connection, role, passfile)
    if await connection.fetchval(_UNFIT, role):
        return  # the owner of the tables, who may do everything as it is
    name = await connection.fetchval("select quote_ident($1)", role)
    schemas = await connection.fetchval(
        "select string_agg(s, ', ') from unnest($1::text[]) s"
        " where not has_schema_privilege($2, s, 'usage')",
        list(_SCHEMAS),
        role,
    )
    if schemas:
        await connection.execute(f"grant usage on schema {schemas} to {name}")
    unlike = await connection.fetch(
        _UNLIKE, list(_SCHEMAS), role, list(_ONLY_READ), list(_ONLY_ADDED), list(_CLOSED)
    )
    for row in unlike:
        async with connection.transaction():
            await connection.execute(f"revoke all on {row['name']} from {name}")
            if row["rights"]:
                await connection.execute(f"grant {row['rights']} on {row['name']} to {name}")
    if unlike:
        schemas = ", ".join(_SCHEMAS)
        await connection.execute(f"grant usage on all sequences in schema {schemas} to {name}")


async def _make_account(connection: Connection, role: str, passfile: Path) -> None:
    if await connection.fetchval("select true from pg_roles where rolname = $1", role):
        if await asyncio.to_thread(passfile.exists):
            return
        verb = "alter"
    else:
        verb = "create"
    password = secrets.token_urlsafe(32)
    await connection.execute(
        f"{verb} role {role} login nosuperuser nocreatedb nocreaterole nobypassrls"
        f" password '{password}'"
    )
    replace_on_disk(passfile, f"*:*:*:{role}:{password}\n".encode())


async def seal_walls(connection: Connection, key: bytes) -> None:
    """Let the database know by what it tells the node's own claims."""
    known = await connection.fetchval("select key from trust.wall_key")
    if known != key:
        async with connection.transaction():
            await connection.execute("delete from trust.wall_key")
            await connection.execute("insert into trust.wall_key (key) values ($1)", key)


async def raise_walls(
    connection: Connection, role: str, tell: Callable[[str], None], *, grace_seconds: float
) -> None:
    """Switch the policies on; nothing when they are. Requests go on meanwhile. What was begun and
    broken off is gone on with.

    Raises Unusable where the account of the workers would not be bound by them.
    """
    if await connection.fetchval("select is_up from trust.wall") and await _all_are_on(connection):
        return
    if await connection.fetchval(_UNFIT, role) is not False:
        raise Unusable(
            "Workers come to the database as an account that owns the tables or may do anything,"
            " so nothing would keep tenants apart: name another with `postgres.worker_dsn`."
        )
    await _silence(connection)
    for table in _SIDE:
        await _fill(connection, table, tell)
    await connection.execute(_FILL_GRANTED)
    await _index(connection, tell)
    commons = sorted(institution_rule().register.senders)
    await connection.execute(
        "update trust.wall set is_up = true, edition = edition + 1, commons = $1", commons
    )
    # From here on every request says whose it is; those that began before it end first.
    tell("waiting for requests that are under way")
    await asyncio.sleep(grace_seconds)
    for table in (*WALLED, *MOVING):
        await connection.execute(f"alter table {table} enable row level security")
    tell("the walls stand")


async def lower_walls(connection: Connection, now: int) -> bool:
    """Switch the policies off, all at once, so that the rules alone say who sees what; False when
    none stood. Raises Conflict while a tenant is in force or to come.
    """
    async with connection.transaction():
        await alone(connection)
        if not await connection.fetchval("select is_up from trust.wall"):
            return False
        left = await connection.fetch(
            "select code from trust.tenant where until > $1 order by code", now
        )
        if left:
            names = ", ".join(row["code"] for row in left)
            raise Conflict(f"there are tenants ({names}): `quanmin tenants end` each of them first")
        for table in (*WALLED, *MOVING):
            await connection.execute(f"alter table {table} disable row level security")
        await connection.execute("update trust.wall set is_up = false, edition = edition + 1")
    return True


async def lost_marks(connection: Connection) -> str:
    """What whoever administers the server has to run in this database so that policies do not keep
    searches from their indexes; "" when nothing, or where no policies stand. A copy by pg_dump and
    an upgrade of the server lose it.
    """
    if not await connection.fetchval("select is_up from trust.wall"):
        return ""
    return "; ".join(await _unsaid(connection))


async def _all_are_on(connection: Connection) -> bool:
    return bool(
        await connection.fetchval(
            "select bool_and(relrowsecurity) from pg_class where oid = any($1::text[]::regclass[])",
            [*WALLED, *MOVING],
        )
    )


async def _unsaid(connection: Connection) -> list[str]:
    names = [f"pg_catalog.{name}" for name in _SILENT]
    rows = await connection.fetch(
        "select n from unnest($1::text[]) n join pg_proc p on p.oid = n::regprocedure"
        " where not p.proleakproof",
        names,
    )
    return [f"alter function {row['n']} leakproof" for row in rows]


async def _silence(connection: Connection) -> None:
    statements = await _unsaid(connection)
    try:
        for statement in statements:
            await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unusable(
            "Whoever administers the database server has to run in this database, once: "
            + "; ".join(statements)
        ) from error


async def _fill(connection: Connection, table: str, tell: Callable[[str], None]) -> None:
    size = await connection.fetchval(
        "select pg_relation_size($1::text::regclass) / current_setting('block_size')::int",
        f"records.{table}",
    )
    for page in range(0, size, _PAGES):
        statement = _FILL.format(table=table)
        await connection.execute(statement, f"({page},0)", f"({page + _PAGES},0)")
        tell(f"{table}: {min(page + _PAGES, size)} of {size} pages")
    await connection.execute(f"vacuum records.{table}")


async def _index(connection: Connection, tell: Callable[[str], None]) -> None:
    for name, definition in _INDEXES.items():
        if not await _holds_wall(connection, name):
            await _build(connection, "index", name, definition)
            async with connection.transaction():
                await connection.execute(f"drop index records.{name}")
                await connection.execute(f"alter index records.{name}_walled rename to {name}")
            tell(f"index {name}")
    if not await _holds_wall(connection, "granted_pkey"):
        await _build(connection, "unique index", "granted_pkey", _GRANTED)
        await connection.execute(
            "alter table records.granted drop constraint granted_pkey,"
            " add constraint granted_pkey primary key using index granted_pkey_walled"
        )
        tell("index granted_pkey")


async def _build(connection: Connection, kind: str, name: str, definition: str) -> None:
    """Beside the one in use, and without keeping anybody from writing."""
    await connection.execute(f"drop index if exists records.{name}_walled")
    await connection.execute(f"create {kind} concurrently {name}_walled on records.{definition}")


async def _holds_wall(connection: Connection, name: str) -> bool:
    return bool(
        await connection.fetchval(
            "select true from pg_attribute where attrelid = to_regclass($1) and attname = 'wall'",
            f"records.{name}",
        )
    )
