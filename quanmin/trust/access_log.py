"""Who did what, written down before the answer is given: an answer whose entry could be lost is not
given.

Reads arrive by the thousand, and one commit each would cost more than the reads. Entries that
arrive while a commit is under way go together into the next one; each reader waits for the commit
that holds its entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from quanmin.base.database import Connection

_COLUMNS: Final = [
    "at",
    "request",
    "actor",
    "role",
    "purpose",
    "action",
    "type",
    "outcome",
    "hits",
    "records",
    "patients",
]
_RECORDS_MAX: Final = 1000


class Access(msgspec.Struct, frozen=True):
    """One interaction. `records` and `patients` are record keys, at most a thousand of each; `hits`
    counts them all.
    """

    at: int
    request: str
    actor: str
    role: str
    purpose: str
    action: str
    type: str | None
    outcome: str
    hits: int
    records: tuple[int, ...] = ()
    patients: tuple[int, ...] = ()


class AccessLog:
    """The log of one process. `run` must be running for `note` to return."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._waiting: list[tuple[Access, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def note(self, access: Access) -> None:
        """The entry is durable when this returns. Raises what the database raised when it could not
        be written.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((access, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        await written

    async def note_in(self, connection: Connection, accesses: Sequence[Access]) -> None:
        """Write entries in the caller's transaction: they commit with what they tell of, or not at
        all.
        """
        await connection.copy_records_to_table(
            "access", schema_name="trust", columns=_COLUMNS, records=map(_row, accesses)
        )

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                async with self._pool.acquire() as connection:
                    await self.note_in(connection, [access for access, _ in batch])
            except Exception as error:  # noqa: BLE001 - handed to every waiting reader
                for _, written in batch:
                    if not written.done():
                        written.set_exception(error)
            else:
                for _, written in batch:
                    if not written.done():
                        written.set_result(None)


def _row(access: Access) -> tuple[object, ...]:
    return (
        access.at,
        access.request,
        access.actor,
        access.role,
        access.purpose,
        access.action,
        access.type,
        access.outcome,
        access.hits,
        list(access.records[:_RECORDS_MAX]) or None,
        list(access.patients[:_RECORDS_MAX]) or None,
    )
