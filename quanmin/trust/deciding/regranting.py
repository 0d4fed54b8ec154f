"""Reads all Consents of a node once more, beside the requests, after the way in which they become
grants has changed: what was written before then says what it would say if it were written now.

The migration that changes it puts the job in. Until it has gone by, what was kept before decides.
"""

from __future__ import annotations

from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.records.context import ROW, Context
from quanmin.trust.deciding.consents import CONSENT, ConsentIndex
from quanmin.trust.deciding.hindsight import change_of

REGRANT: Final = "regrant-consents"
_CONSENTS_A_STEP: Final = 200
_FIRST: Final = -(2**63)
# Whoever writes one of them meanwhile waits, or has it read as it has become.
_BATCH: Final = f"""
    select {ROW} from records.record r where r.type = $1 and r.rid > $2
    order by r.rid limit $3 for update of r
"""  # noqa: S608 - constants of this program


class Place(msgspec.Struct, frozen=True):
    """Where the walk goes on: after this record. `done` counts Consents."""

    after: int = _FIRST
    done: int = 0


def regrant_kind(consents: ConsentIndex, context: Context) -> Kind:
    """The kind of job that reads all Consents once more."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        place = Place() if job.position is None else msgspec.convert(job.position, Place)
        number = context.definition(CONSENT).number
        rows = await connection.fetch(_BATCH, number, place.after, _CONSENTS_A_STEP)
        if not rows:
            return Done({"consents": place.done})
        found = await context.open(connection, rows)
        changes = [change_of(stored) for stored in found]
        await consents.project(connection, changes, [row["rid"] for row in rows])
        gone = Place(rows[-1]["rid"], place.done + len(rows))
        return Continue(msgspec.to_builtins(gone), gone.done, message="Consents")

    return Kind(REGRANT, step)
