"""Connects to PostgreSQL and says whether a server is fit to hold a population's records.

The same checks meet the embedded server and one given by `--dsn`, so that a laptop and a province
fail for the same reasons, at start and not in the middle of a year.
"""

from __future__ import annotations

from typing import Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Unusable

MAJOR: Final = 18

# What every connection is given, whoever runs the server: values are skewed (one code on half of
# all records), so a plan made without them is wrong for someone; and moments are kept as integers,
# so a zone could only confuse. Starting a parallel worker costs more than an ordinary search.
_SESSION: Final = {
    "plan_cache_mode": "force_custom_plan",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "client_min_messages": "warning",
}

_FITNESS: Final = """
    select current_setting('server_version_num')::int / 10000 as major,
           pg_encoding_to_char(encoding) as encoding, datctype as ctype,
           datlocprovider::text as provider, coalesce(datlocale, '') as locale,
           current_setting('fsync') as fsync,
           current_setting('synchronous_commit') as synchronous_commit,
           current_setting('full_page_writes') as full_page_writes,
           current_setting('server_version') as version
    from pg_database where datname = current_database()
"""


class Server(msgspec.Struct, frozen=True):
    """What a server says of itself and of the database we are connected to."""

    major: int
    version: str
    encoding: str
    ctype: str
    provider: str
    locale: str
    fsync: str
    synchronous_commit: str
    full_page_writes: str


async def open_pool(
    dsn: str,
    *,
    name: str = "quanmin",
    connections_min: int = 1,
    connections_max: int = 8,
    command_seconds_max: float | None = None,
    plans_once: bool = False,
) -> asyncpg.Pool[asyncpg.Record]:
    """Open a pool of connections that all plan and tell the time alike; the caller closes it.

    `plans_once` is for statements whose plan is the same whatever they are asked with: rows looked
    up by their key, rows appended. To plan them takes longer than to carry them out.

    Raises Unusable when the server cannot be reached or refuses us.
    """
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=connections_min,
            max_size=connections_max,
            command_timeout=command_seconds_max,
            # Statements are prepared once for the life of a connection; the default forgets them
            # after five minutes.
            max_cached_statement_lifetime=0,
            statement_cache_size=512,
            reset=_leave_as_it_is,
            server_settings=_SESSION
            | {"application_name": name}
            | ({"plan_cache_mode": "force_generic_plan"} if plans_once else {}),
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise _unreachable(error) from error


async def _leave_as_it_is(_connection: object) -> None:
    """Asked when a connection comes back to its pool.

    Nobody changes a session here: settings and locks last for a transaction at most. The driver's
    own reset would cost every use of a connection one more round trip, a fifth of a read.
    """


async def connect(dsn: str, *, name: str = "quanmin") -> asyncpg.Connection[asyncpg.Record]:
    """One connection like those of `open_pool`; the caller closes it. Raises Unusable."""
    try:
        return await asyncpg.connect(dsn, server_settings=_SESSION | {"application_name": name})
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> Unusable:
    # The driver's text names host, database and user, never the password; a DSN itself is never
    # repeated.
    return Unusable(
        f"PostgreSQL cannot be reached ({type(error).__name__}: {error}). "
        "Check that the server runs and that `postgres.dsn` names it, its database and its user."
    )


async def describe(connection: Connection) -> Server:
    """Ask the server for all that `unfitness` judges."""
    row = await connection.fetchrow(_FITNESS)
    if row is None:
        raise Unusable(
            "PostgreSQL does not list the database we are connected to; check `postgres.dsn`."
        )
    return Server(**dict(row))


def is_utf8_locale(name: str) -> bool:
    """Whether a locale's codeset is UTF-8 (`C.UTF-8`, `zh_CN.utf8`, PostgreSQL's own)."""
    return name.lower().replace("-", "").endswith(".utf8") or name == "PG_UNICODE_FAST"


def unfitness(server: Server, *, must_be_durable: bool = True) -> tuple[str, ...]:
    """Why this server must not hold records, a sentence each with how to mend it; empty if fit."""
    reasons: list[str] = []
    if server.major != MAJOR:
        reasons.append(
            f"PostgreSQL {server.version} is not supported: this program needs PostgreSQL {MAJOR}. "
            f"Upgrade the server with pg_upgrade, or point `postgres.dsn` at one of version "
            f"{MAJOR}."
        )
    if server.encoding != "UTF8":
        reasons.append(
            f"the database's encoding is {server.encoding}: create the database with `encoding "
            f"'UTF8'`."
        )
    # Under lc_ctype `C` no Chinese character is a letter: pg_trgm extracts nothing and lower()
    # changes nothing.
    if not is_utf8_locale(server.ctype):
        reasons.append(
            f"the database's lc_ctype is {server.ctype!r}, under which Chinese text has no "
            f"letters: create the "
            "database with `lc_ctype 'C.UTF-8' template template0`, or with another UTF-8 locale."
        )
    if server.provider == "b" and not is_utf8_locale(server.locale):
        reasons.append(
            f"the database's built-in locale is {server.locale!r}: create the database with "
            "`locale_provider builtin builtin_locale 'C.UTF-8' template template0`."
        )
    if must_be_durable:
        reasons.extend(_losses(server))
    return tuple(reasons)


def _losses(server: Server) -> list[str]:
    kept = {"fsync": server.fsync, "full_page_writes": server.full_page_writes}
    losses = [
        f"{name} is off, so a power cut would lose acknowledged records: set `{name} = on` in "
        f"postgresql.conf."
        for name, value in kept.items()
        if value != "on"
    ]
    if server.synchronous_commit == "off":
        losses.append(
            "synchronous_commit is off, so a crash would lose acknowledged records: set "
            "`synchronous_commit = on`."
        )
    return losses


async def require_fitness(connection: Connection, *, must_be_durable: bool = True) -> Server:
    """Describe the server, or raise Unusable with every reason why it is unfit."""
    server = await describe(connection)
    reasons = unfitness(server, must_be_durable=must_be_durable)
    if reasons:
        raise Unusable("This PostgreSQL cannot be used: " + " ".join(reasons))
    return server
