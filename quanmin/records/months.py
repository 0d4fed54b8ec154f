"""Partitions of the history by month, made ahead of time."""

from __future__ import annotations

from datetime import UTC, datetime

from quanmin.base.database import Connection

_MONTHS_AHEAD = 3


async def ensure_months(connection: Connection, now: int) -> list[str]:
    """Make the history's partitions for the month of `now` (microseconds) and the next three; gives
    the new ones.
    """
    when = datetime.fromtimestamp(now // 1_000_000, UTC)
    made = []
    for ahead in range(_MONTHS_AHEAD + 1):
        name = _name(when, ahead)
        known = await connection.fetchval("select to_regclass($1)::text", f"records.{name}")
        if known is None:
            low, high = _start(when, ahead), _start(when, ahead + 1)
            await connection.execute(
                f"create table if not exists records.{name} partition of records.history"
                f" for values from ({low}) to ({high})"
            )
            made.append(name)
    return made


def _month(when: datetime, ahead: int) -> tuple[int, int]:
    months = when.year * 12 + when.month - 1 + ahead
    return months // 12, months % 12 + 1


def _name(when: datetime, ahead: int) -> str:
    year, month = _month(when, ahead)
    return f"history_{year:04d}_{month:02d}"


def _start(when: datetime, ahead: int) -> int:
    year, month = _month(when, ahead)
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000_000
