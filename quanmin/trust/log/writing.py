"""Who did what, written down before the answer is given: an answer whose entry could be lost is not
given.

Reads arrive by the thousand, and one commit each would cost more than the reads. Entries that
arrive while a commit is under way go together into the next one; each reader waits for the commit
that holds its entry.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.trust.log.entry import Access, Place
from quanmin.trust.log.lanes import Lane, append, ensure_lanes, look, month_of, take
from quanmin.trust.log.limits import AccessLogLimits
from quanmin.trust.log.notary import Head, Notary
from quanmin.trust.log.witness import Witness

_ATTEMPTS_MAX = 20
_HANDED = "update trust.transfer set handed = handed + $2 where transfer = any($1)"


class Unwritten(Exception):  # noqa: N818 - names the finding
    """The log found no lane that stayed as it was seen; nothing was written."""


class AccessLog:
    """The log of one process."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        notary: Notary,
        witness: Witness | None = None,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
        limits: AccessLogLimits | None = None,
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z: when a head was signed."""
        self.notary = notary
        self.witness = witness
        self.limits = limits or AccessLogLimits()
        self._pool = pool
        self._now = now
        self._waiting: list[tuple[Sequence[Access], asyncio.Future[Place]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._lane: Lane | None = None

    async def note(self, accesses: Sequence[Access]) -> Place:
        """The entries of one request are durable when this returns where the first stands; those
        after it are parts of it, if it is not a part itself. Raises what the database raised when
        they could not be written.
        """
        written: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.append((accesses, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        return await written

    async def note_in(self, connection: Connection, requests: Sequence[Sequence[Access]]) -> Head:
        """Write the entries of each request in the caller's transaction: they commit with what they
        tell of, or not at all. When it has committed, the head goes to `witness_all`. They stand
        one after the other, the last of them before the head's size.
        """
        now = self._now()
        lane = await take(connection, self.notary, now)
        linked: list[Access] = []
        for accesses in requests:
            linked += _linked(accesses, Place(lane.number, lane.size + len(linked)))
        return (await append(connection, self.notary, lane, linked, now))[1]

    async def count_handed(
        self, connection: Connection | None, transfers: Sequence[int], number: int
    ) -> None:
        """Count so many records against transfers out of the country, in the transaction of a
        connection or durable when this returns.
        """
        if number:
            await (connection or self._pool).execute(_HANDED, [*transfers], number)

    def witness_all(self, heads: Sequence[Head]) -> None:
        """These have been committed."""
        if self.witness is not None:
            for head in heads:
                self.witness.note(head)

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                places = await self._write([accesses for accesses, _ in batch])
            except Exception as error:  # noqa: BLE001 - handed to every waiting reader
                self._lane = None  # whether it was committed is not known
                for _, written in batch:
                    if not written.done():
                        written.set_exception(error)
            else:
                for (_, written), place in zip(batch, places, strict=True):
                    if not written.done():
                        written.set_result(place)

    async def _write(self, requests: Sequence[Sequence[Access]]) -> list[Place]:
        """Write the entries of several requests; gives where the first of each stands."""
        async with self._pool.acquire() as connection:
            for _ in range(_ATTEMPTS_MAX):
                now = self._now()
                lane = self._lane
                if lane is None or lane.number < month_of(now):
                    lane = await look(connection, self.notary, now)
                if lane is None:
                    await ensure_lanes(connection, self.notary, now)
                    continue
                places: list[Place] = []
                entries: list[Access] = []
                for accesses in requests:
                    places.append(Place(lane.number, lane.size + len(entries)))
                    entries += _linked(accesses, places[-1])
                try:
                    self._lane, head = await append(connection, self.notary, lane, entries, now)
                except asyncpg.UniqueViolationError:
                    self._lane = None  # another process keeps this lane: look for one of our own
                    continue
                self.witness_all([head])
                return places
        raise Unwritten


def _linked(accesses: Sequence[Access], first: Place) -> list[Access]:
    """The entries of one request of which the first will stand at this place."""
    if accesses[0].part_of is not None:
        return list(accesses)
    parts = (msgspec.structs.replace(access, part_of=first) for access in accesses[1:])
    return [accesses[0], *parts]
