"""The types of what queries the database, as everyone above names them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

# What runs a single statement; on a pool each statement may see another moment.
Database: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"


class Lent:
    """A connection in place of a pool: what begins a transaction of its own joins the caller's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.fetch = connection.fetch
        self.fetchrow = connection.fetchrow
        self.fetchval = connection.fetchval

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """The connection."""
        yield self._connection


Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record] | Lent"


class Reader(Protocol):
    """What runs a single statement that reads."""

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        """The rows."""

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row; None without one."""


# What asyncpg raises while the server is down, starting or shutting down, or has no room: no disk,
# no memory, no connection left. A read needs room as well, for its entry of the access log.
UNAVAILABLE: Final[tuple[type[Exception], ...]] = (
    ConnectionError,
    FileNotFoundError,  # its socket is away while it starts
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    # What a connection of the pool says that died with the server, according to where it was.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
