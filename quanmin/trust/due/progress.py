"""How far due lists are: whether they hold everybody, and as of today."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.trust.due.keeping import DueKeeping
from quanmin.trust.due.model import Planned

_BEHIND_MAX: Final = 10_000
_BEHIND: Final = """
    select count(*) from (select from plans.person where again <= $1 limit $2) p
"""
_PROGRESS: Final = """
    select p.ready_at is not null as is_ready, p.job, j.done, j.total from plans.plan p
    left join jobs.job j on j.job = p.job where p.plan = $1
"""


class Progress(msgspec.Struct, frozen=True):
    """Whether a list holds everybody, which `share` has been worked out, and of how many (at most
    10,000 are counted) the day has come to look again. `job` makes it, None: none yet.
    """

    is_ready: bool
    share: float
    behind: int
    job: int | None = None


async def progress_of(
    connection: Connection, keeping: DueKeeping, plan: Planned, today: date
) -> Progress:
    """How far the lists of a plan are."""
    row = await connection.fetchrow(_PROGRESS, keeping.key_of(plan))
    behind = await connection.fetchval(_BEHIND, today, _BEHIND_MAX)
    if row is None:
        return Progress(is_ready=False, share=0.0, behind=behind)
    if row["is_ready"]:
        return Progress(is_ready=True, share=1.0, behind=behind, job=row["job"])
    share = min((row["done"] or 0) / (row["total"] or 1), 1.0)
    return Progress(is_ready=False, share=share, behind=behind, job=row["job"])
