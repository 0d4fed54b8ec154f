"""What a transaction says to the database of whose records it may see: beneath every query,
whatever it asks, policies on the rows show those alone (`trust.opened`).

A claim is sealed, so that a query that was smuggled in cannot make one. It is set for a transaction
and ends with it; where none is set nothing is seen.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden

_SET: Final = "select set_config('quanmin.claim', $1, true)"
_ALL: Final = "all||"
_REMEMBERED_MAX: Final = 10_000
_KEEP: Final = "select kept, kept_until from trust.keep_opened($1)"


def wall_of(sender: int, patient: int | None) -> int:
    """What stands beside each row that points to a record: whose it is, and whether it is of a
    patient or of nobody.
    """
    return 2 * sender + (patient is None)


class Wall(msgspec.Struct, frozen=True):
    """A sealed claim."""

    claim: str

    async def raise_in(self, connection: Connection) -> None:
        """From now on until the transaction ends it sees what the claim opens."""
        await connection.execute(_SET, self.claim)


@asynccontextmanager
async def behind(wall: Wall | None) -> AsyncIterator[None]:
    """Tell who writes across a wall that they may not: raises Forbidden."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        if wall is None:
            raise
        raise Forbidden(
            "what your account writes belongs to its sender, which is of none of the tenants that"
            " you act in"
        ) from error


class Walls:
    """The claims of one process. `key` proves them to the database."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._made: dict[str, Wall] = {}
        self._kept: dict[str, tuple[int, int]] = {}
        self.all = self._sealed(_ALL)

    async def of(self, pool: asyncpg.Pool[asyncpg.Record], claim: str, edition: int) -> Wall:
        """The wall of a claim. What it opens, and what that of the whole node does, is worked out
        for the edition that holds.
        """
        now = time.time_ns() // 1000
        for one in (_ALL, claim):
            kept = self._kept.get(one)
            if kept is None or kept[0] < edition or kept[1] <= now:
                row = await pool.fetchrow(_KEEP, one)
                if row is not None:
                    self._kept[one] = (row["kept"], row["kept_until"])
        found = self._made.get(claim)
        if found is None:
            if len(self._made) > _REMEMBERED_MAX:
                self._made.clear()
                self._kept.clear()
            found = self._made[claim] = self._sealed(claim)
        return found

    def _sealed(self, claim: str) -> Wall:
        inner = hashlib.sha256(self._key + claim.encode()).digest()
        return Wall(f"{hashlib.sha256(self._key + inner).hexdigest()}:{claim}")


class WalledPool:
    """Single statements of one wall on a pool, at one round trip each.

    The setting is made in the statement itself: the rows hang on it by a lateral join, so it is
    there before the first is looked at; were it not, none would be seen.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], wall: Wall) -> None:
        self._pool = pool
        self._wall = wall

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        """The rows of a statement."""
        return await self._pool.fetch(_behind(query, len(args) + 1), *args, self._wall.claim)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """The first row; None without one."""
        rows = await self.fetch(query, *args)
        return rows[0] if rows else None


@cache
def _behind(query: str, place: int) -> str:
    return (
        f"select q.* from (select set_config('quanmin.claim', ${place}, true) as told offset 0) w"
        f" cross join lateral (select * from ({query}) i where w.told is not null offset 0) q"
    )
