"""Finds which source Patients are due for deletion, and holds back those of whom something is open.

A walk over Patients by their keys, some thousands at a time. Whoever has a record younger than the
shortest clock is left by one look into the index by patient and time; of the others the records are
counted in one statement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.base.problems import Conflict, Invalid, NotFound
from quanmin.records.context import DELETED, ERASED, Context
from quanmin.trust.lifecycle.handing_out import begin_erasing
from quanmin.trust.lifecycle.retention_rules import (
    Keeping,
    keepings,
    retention_rules,
)

FIND: Final = "find-due"
PATIENTS_A_STEP: Final = 2000
_YEAR_SECONDS_MIN: Final = 365 * 86_400

_WALK: Final = f"""
    select r.rid, exists (
        select from records.record n where n.patient = r.rid and n.rid <> r.rid and n.low > $3
    ) as is_young
    from records.record r
    where r.type = $1 and r.rid > $2 and r.flags & {DELETED} = 0
    order by r.rid limit $4
"""  # noqa: S608 - constants of this program
_FORGET: Final = "delete from trust.retention_due where patient > $1 and patient <= $2"
_FOUND: Final = """
    insert into trust.retention_due (patient, clock, due, records, found)
    select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::int[], $5::bigint[])
"""
_HELD: Final = """
    select patient from trust.hold where patient = any($1) and released_at is null
    union
    select l.patient from people.link l join people.link o on o.person = l.person
    join trust.hold h on h.patient = o.patient and h.released_at is null
    where l.patient = any($1)
"""
_HELD_BACK: Final = f"""
    {_HELD} union select patient from trust.petition where patient = any($1) and is_open
"""  # noqa: S608 - a constant of this module
_IS_THERE: Final = f"""
    select true from records.record where rid = $1 and patient = $1 and flags & {ERASED} = 0
"""  # noqa: S608 - constants of this program
_STATUS: Final = """
    select clock, count(*) as patients, sum(records) as records, min(due) as first
    from trust.retention_due group by clock order by clock
"""


class Due(msgspec.Struct, frozen=True):
    """A Patient of whom nothing must be kept any more: since when, by which clock (the last that
    ran out), and how many records.
    """

    patient: int
    clock: str
    due: int
    records: int


class Found(msgspec.Struct, frozen=True):
    """How many Patients and records are due by a clock, and since when the first of them."""

    clock: str
    patients: int
    records: int
    first: int


def judge_due(kept: Sequence[Keeping], now: int) -> list[Due]:
    """Of what is held those Patients whose every clock has run out."""
    by_patient: dict[int, list[Keeping]] = {}
    for one in kept:
        by_patient.setdefault(one.patient, []).append(one)
    due = []
    for patient, held in sorted(by_patient.items()):
        last = max(held, key=lambda one: one.until)
        if last.until <= now:
            due.append(Due(patient, last.clock, last.until, sum(one.count for one in held)))
    return due


async def held_back(connection: Connection, patients: Collection[int]) -> set[int]:
    """Those of these Patients of whom nothing is deleted now: one of the person's Patients is held,
    or a petition is open.
    """
    return {row["patient"] for row in await connection.fetch(_HELD_BACK, [*patients])}


async def refuse_held(connection: Connection, patients: Collection[int]) -> None:
    """Raises Conflict when a hold stands on one of these Patients, or another of the same person:
    nobody erases them, whoever asks for it.
    """
    if await connection.fetch(_HELD, [*patients]):
        raise Conflict("these records are held, for a lawsuit or an inquiry: nobody erases them")


async def still_due(
    connection: Connection, context: Context, patients: Collection[int], now: int
) -> list[Due]:
    """Those of these Patients that are due at this moment and not held back."""
    held = await held_back(connection, patients)
    free = [one for one in patients if one not in held]
    return judge_due(await keepings(connection, context, free), now)


def find_kind(
    context: Context,
    now: Callable[[], int],
    afterwards: Callable[[Connection], Awaitable[None]],
) -> Kind:
    """The kind of job that finds what is due; `afterwards` runs in the transaction of its end."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        outcome = await _step(connection, job, context, now())
        if isinstance(outcome, Done):
            await afterwards(connection)
        return outcome

    return Kind(FIND, step)


async def put_finding(connection: Connection, owner: str) -> int:
    """Put the job in, unless one is open; gives its number."""
    return await put(connection, FIND, {}, owner=owner, once=FIND)


async def status(database: Database) -> list[Found]:
    """What was found when it was looked for last, by clock."""
    return [Found(**row) for row in await database.fetch(_STATUS)]


async def hold(connection: Connection, patient: int, *, reason: str, at: int, by: str) -> int:
    """Keep a Patient's records, and those of all Patients of the person, in the caller's
    transaction; gives the number of the hold. Raises Invalid for no reason, NotFound for a Patient
    who is not there, or was erased before.
    """
    if not reason.strip():
        raise Invalid("say why they are held")
    await begin_erasing(connection)  # no erasure is under way that has not seen this
    if not await connection.fetchval(_IS_THERE, patient):
        raise NotFound("there is no such Patient, or it has been erased")
    number = await connection.fetchval(
        "insert into trust.hold (patient, reason, at, by) values ($1, $2, $3, $4) returning hold",
        *(patient, reason.strip(), at, by),
    )
    return int(number)


async def release(connection: Connection, number: int, *, at: int, by: str) -> None:
    """End a hold. Raises NotFound for none that stands."""
    done = await connection.fetchval(
        "update trust.hold set released_at = $2, released_by = $3"
        " where hold = $1 and released_at is null returning hold",
        *(number, at, by),
    )
    if done is None:
        raise NotFound("no hold of this number stands")


async def _step(connection: Connection, job: Job, context: Context, now: int) -> Continue | Done:
    number = context.definition("Patient").number
    if job.position is None:
        total = await connection.fetchval(
            "select reltuples::bigint from pg_class where oid = 'records.record_patient'::regclass"
        )
        return Continue([-(2**63), 0, 0], 0, max(total, 0) or None, "begins")
    after, seen, due = job.position
    young = now - retention_rules().years_min * _YEAR_SECONDS_MIN * 1_000_000
    rows = await connection.fetch(_WALK, number, after, young, PATIENTS_A_STEP)
    last = rows[-1]["rid"] if len(rows) == PATIENTS_A_STEP else 2**63 - 1
    await connection.execute(_FORGET, after, last)
    old = [row["rid"] for row in rows if not row["is_young"]]
    found = judge_due(await keepings(connection, context, old), now) if old else []
    if found:
        columns = zip(*((*msgspec.structs.astuple(one), now) for one in found), strict=True)
        await connection.execute(_FOUND, *(list(column) for column in columns))
    seen, due = seen + len(rows), due + len(found)
    if len(rows) < PATIENTS_A_STEP:
        return Done({"patients": seen, "due": due})
    return Continue([last, seen, due], seen, job.total)
