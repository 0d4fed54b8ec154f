"""Whether everything is there that was written up to a moment.

`lastUpdated` is the moment at which a writing began, and it shows when its transaction ends. So all
that was written up to a moment is there once every transaction has ended that was open then.
"""

from __future__ import annotations

import msgspec

from quanmin.base.database import Connection

# Of other accounts' transactions nothing is told, but only the node's own write records.
_OPEN = """
    select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now,
        (select (extract(epoch from min(xact_start)) * 1000000)::bigint from pg_stat_activity
         where datname = current_database() and backend_type = 'client backend'
             and pid <> pg_backend_pid()
             and xact_start <= to_timestamp($1::bigint / 1000000.0)) as oldest
"""


class Settling(msgspec.Struct, frozen=True):
    """What the database's clock says, and when the oldest transaction began of those that were open
    at the moment asked about; None when all have ended. In microseconds.
    """

    now: int
    oldest: int | None


async def settling(connection: Connection, moment: int) -> Settling:
    """How far it has come since `moment` (of the database's clock)."""
    (row,) = await connection.fetch(_OPEN, moment)
    return Settling(row["now"], row["oldest"])
