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

from quanmin.records.context import ROW
from quanmin.records.rid import bucket_of

_ROWS = f"""
    select {ROW} from records.record r
    where r.type = $1 and r.rid = any($2) and r.bucket = any($3)
"""
_BATCH_MAX = 256

Waiting = dict[int, list["asyncio.Future[Any]"]]


class Glances:
    """Current rows by type and record key, for one process and one event loop."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._waiting: defaultdict[int, Waiting] = defaultdict(dict)
        self._readers: dict[int, asyncio.Task[None]] = {}

    async def row(self, type_number: int, rid: int) -> Any:
        """The row with the columns of ROW as it is now, None when there is none.

        `rid` is one that this node assigned: its bucket stands in it.
        """
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[type_number].setdefault(rid, []).append(found)
        reader = self._readers.get(type_number)
        if reader is None or reader.done():
            self._readers[type_number] = asyncio.create_task(self._read_waiting(type_number))
        return await found

    async def _read_waiting(self, type_number: int) -> None:
        while self._waiting[type_number]:
            batch = self._take(type_number)
            try:
                buckets = {bucket_of(rid) for rid in batch}
                rows = await self._pool.fetch(_ROWS, type_number, list(batch), list(buckets))
            except Exception as error:  # noqa: BLE001 - handed to every waiting reader
                for found in _each(batch):
                    found.set_exception(error)
            else:
                by_rid = {row["rid"]: row for row in rows}
                for rid, waiting in batch.items():
                    for found in waiting:
                        if not found.done():
                            found.set_result(by_rid.get(rid))

    def _take(self, type_number: int) -> Waiting:
        waiting = self._waiting[type_number]
        return {rid: waiting.pop(rid) for rid in list(waiting)[:_BATCH_MAX]}


def _each(batch: Waiting) -> list[asyncio.Future[Any]]:
    return [found for waiting in batch.values() for found in waiting if not found.done()]
