"""The types of what queries the database, as everyone above names them."""

from __future__ import annotations

from typing import Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

# What runs a single statement; on a pool each statement may see another moment.
Database: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

# What asyncpg raises while the server is down, starting or shutting down.
UNAVAILABLE: Final[tuple[type[Exception], ...]] = (
    ConnectionError,
    FileNotFoundError,  # its socket is away while it starts
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    # What a connection of the pool says that died with the server, according to where it was.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
