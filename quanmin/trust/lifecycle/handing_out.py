"""Ends the jobs whose files hold somebody who is erased: they are given to nobody any more.

What an export has taken, and of whom a file was made for somebody, their entries of the access log
say. A step of such a job and an erasure keep out of each other's way, so that none commits what the
other has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quanmin.base.database import Connection
from quanmin.base.jobs import dismiss

EXPORT: Final = "export"
"""What the kind of job is called, and the action in the access log."""
MAKING: Final = "making"
"""The same of files that are made for who has signed in, which are noted as a download."""

_NOTED: Final = (EXPORT, "download")
_LOCK: Final = "hashtextextended('what is handed out', 0)"
_HOLDING: Final = """
    select job from jobs.job
    where kind = any($2) and not is_cancel_asked and payload ->> 'request' in (
        select a.request from trust.access a
        where a.action = any($3) and a.patients && $1::bigint[])
    order by job
"""


async def begin_handing_out(connection: Connection) -> None:
    """Wait for erasures under way; until the transaction of the connection ends none begins."""
    await connection.execute(f"select pg_advisory_xact_lock_shared({_LOCK})")


async def begin_erasing(connection: Connection) -> None:
    """Wait for steps of such jobs under way; until the transaction of the connection ends, the next
    ones wait. To be called before the transaction locks anything else.
    """
    await connection.execute(f"select pg_advisory_xact_lock({_LOCK})")


async def end_exports_of(connection: Connection, patients: Sequence[int]) -> None:
    """End every job whose files hold records of these Patients, in the transaction that erases
    them: it is not found any more, and its files are removed. Before the log loses their names.
    """
    for row in await connection.fetch(_HOLDING, [*patients], [EXPORT, MAKING], _NOTED):
        await dismiss(connection, row["job"])
