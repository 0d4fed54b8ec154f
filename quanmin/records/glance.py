"""Single reads, many at a time: what arrives while a statement is under way goes into the next one.

A read by id costs the database a few microseconds and the two processes a round trip of ten times
that; with one statement for all that wait, the round trip is shared. Nobody waits longer than for
the statement before theirs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import asyncpg

from quanmin.base.database import Reader
from quanmin.records.context import ROW
from quanmin.records.rid import bucket_of
from quanmin.records.walls import Wall, WalledPool

_ROWS = f"""
    select a.rid as asked, r.* from unnest($2::bigint[]) a (rid) cross join lateral (
        (select {ROW} from records.record r
            where r.type = $1 and r.rid = a.rid and r.bucket = any($3))
        union all (select {ROW} from records.nobody r) limit 1
    ) r
"""
_BATCH_MAX = 256

Waiting = dict[int, list["asyncio.Future[Any]"]]
_Shared = tuple[int, Wall | None]


class Glances:
    """Current rows by type and record key, for one process and one event loop."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._waiting: defaultdict[_Shared, Waiting] = defaultdict(dict)
        self._readers: dict[_Shared, asyncio.Task[None]] = {}

    async def row(self, type_number: int, rid: int, wall: Wall | None = None) -> Any:
        """The row with the columns of ROW as it is now; nobody's when there is none, or none on
        this side of the wall.

        `rid` is one that this node assigned: its bucket stands in it.
        """
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        shared = (type_number, wall)
        self._waiting[shared].setdefault(rid, []).append(found)
        reader = self._readers.get(shared)
        if reader is None or reader.done():
            reader = self._readers[shared] = asyncio.create_task(self._read_waiting(shared))
            reader.add_done_callback(lambda done: self._forget(shared, done))
        return await found

    def _forget(self, shared: _Shared, done: asyncio.Task[None]) -> None:
        """Keep nothing of those who wait no more: walls are as many as there are askers."""
        if self._readers.get(shared) is done:
            del self._readers[shared]
            self._waiting.pop(shared, None)

    async def _read_waiting(self, shared: _Shared) -> None:
        type_number, wall = shared
        pool: Reader = self._pool if wall is None else WalledPool(self._pool, wall)
        while self._waiting[shared]:
            batch = self._take(shared)
            try:
                buckets = {bucket_of(rid) for rid in batch}
                rows = await pool.fetch(_ROWS, type_number, list(batch), list(buckets))
            except Exception as error:  # noqa: BLE001 - handed to every waiting reader
                for found in _each(batch):
                    found.set_exception(error)
            else:
                by_rid = {row["asked"]: row for row in rows}
                for rid, waiting in batch.items():
                    for found in waiting:
                        if not found.done():
                            found.set_result(by_rid.get(rid))

    def _take(self, shared: _Shared) -> Waiting:
        waiting = self._waiting[shared]
        return {rid: waiting.pop(rid) for rid in list(waiting)[:_BATCH_MAX]}


def _each(batch: Waiting) -> list[asyncio.Future[Any]]:
    return [found for waiting in batch.values() for found in waiting if not found.done()]
