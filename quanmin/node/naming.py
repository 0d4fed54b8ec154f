"""Gives pseudonyms to persons of cases from when a plain digest of the document stood there, which
can be found by trying all: a job reads all Tasks once, beside the requests.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.base.problems import Gone, NotFound, PreconditionFailed
from quanmin.fhir.json import decode, encode
from quanmin.records.rid import id_of
from quanmin.trust import Actor, Guard, GuardedRecords
from quanmin.workflow.notifiable import PERSON

NAME_PERSONS: Final = "name-persons-of-cases"
_NODE: Final = Actor("node", "operator", "Node", "node")
_APPLICATION: Final = "infectious_report"
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_TASKS_A_STEP: Final = 100
_BATCH: Final = """
    select rid from records.record where type = $1 and rid > $2 and flags & 1 <> 1
    order by rid limit $3
"""


class Place(msgspec.Struct, frozen=True):
    """Where the walk goes on: after this record; what a chosen id has is no case. `done` counts
    Tasks.
    """

    after: int = 0
    done: int = 0


def name_persons_kind(guard: Guard) -> Kind:
    """The kind of job that reads all Tasks once."""
    context = guard.store.context

    async def step(connection: Connection, job: Job) -> Continue | Done:
        place = Place() if job.position is None else msgspec.convert(job.position, Place)
        number = context.definition("Task").number
        rows = await connection.fetch(_BATCH, number, place.after, _TASKS_A_STEP)
        if not rows:
            return Done({"tasks": place.done})
        records = guard.records(_NODE, purpose="PUBHLTH", request_id=NAME_PERSONS)
        for row in rows:
            with suppress(NotFound, Gone):
                await _name(records.within(_APPLICATION), id_of(row["rid"], context.prefix))
        gone = Place(rows[-1]["rid"], place.done + len(rows))
        return Continue(msgspec.to_builtins(gone), gone.done, message="Tasks")

    return Kind(NAME_PERSONS, step)


async def _name(records: GuardedRecords, id_: str) -> None:
    """Put a pseudonym in the place of a digest, if there is one."""
    stored = await records.read("Task", id_)
    task = decode(stored.body or b"{}")
    group = task.get("groupIdentifier") or {}
    if group.get("system") != PERSON or not _DIGEST.fullmatch(str(group.get("value"))):
        return
    group["value"] = records.context.keying.pseudonym(PERSON, group["value"])
    try:
        await records.update("Task", id_, encode(task), if_match=stored.version)
    except PreconditionFailed:  # somebody took a step meanwhile
        await _name(records, id_)
