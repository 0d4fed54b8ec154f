"""The types of what queries the database, as everyone above names them."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

# What runs a single statement; on a pool each statement may see another moment.
Database: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"
