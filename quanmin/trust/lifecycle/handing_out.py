"""Ends the exports that hold somebody who is erased: their files are given to nobody any more.

What an export has taken, its entries of the access log say. A step of an export and an erasure keep
out of each other's way, so that none commits what the other has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quanmin.base.database import Connection
from quanmin.base.jobs import dismiss

EXPORT: Final = "export"
"""What the kind of job is called, and the action in the access log."""

_LOCK: Final = "hashtextextended('what is handed out', 0)"
_HOLDING: Final = """
    select job from jobs.job
    where kind = $2 and not is_cancel_asked and payload ->> 'request' in (
        select a.request from trust.access a where a.action = $2 and a.patients && $1::bigint[])
    order by job
"""


async def begin_handing_out(connection: Connection) -> None:
    """Wait for erasures under way; until the transaction of the connection ends none begins."""
    await connection.execute(f"select pg_advisory_xact_lock_shared({_LOCK})")


async def begin_erasing(connection: Connection) -> None:
    """Wait for steps of exports under way; until the transaction of the connection ends, the next
    ones wait. To be called before the transaction locks anything else.
    """
    await connection.execute(f"select pg_advisory_xact_lock({_LOCK})")


async def end_exports_of(connection: Connection, patients: Sequence[int]) -> None:
    """End every export that has taken records of these Patients, in the transaction that erases
    them: it is not found any more, and its files are removed. Before the log loses their names.
    """
    for row in await connection.fetch(_HOLDING, [*patients], EXPORT):
        await dismiss(connection, row["job"])
