"""Works out due lists for everybody beside the requests: once for a plan that is new or has become
another, and each day for those of whom it is another day.

The first walks through all source Patients, a bucket after the other. It holds the clock of the
bucket, so whoever writes about one of them comes before or after, and it reads again what records
tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.records.context import DELETED, ROW
from quanmin.records.model import Stored
from quanmin.records.operation import Change
from quanmin.records.rid import BUCKETS, bucket_of
from quanmin.records.rows import lock_clocks
from quanmin.trust.due.index import put_facts
from quanmin.trust.due.keeping import DueKeeping

RENEW: Final = "renew-due-lists"
AGAIN: Final = "look-at-plans-again"
_PATIENTS_A_STEP: Final = 100
_PERSONS_A_STEP: Final = 200
_RECORDS_AT_ONCE: Final = 500
_FIRST: Final = -(2**63)
_CODE: Final = "code"

_NEXT: Final = f"""
    select r.rid from records.record r
    where r.type = $1 and r.bucket = $2 and r.rid > $3 and r.flags & {DELETED} = 0
    order by r.rid limit $4
"""  # noqa: S608 - constants of this program
# Of a type that tells plans something by its codes, the index knows which records do: most
# observations do not, and to open one costs a hundred times what looking it up does.
_RECORDS: Final = f"""
    select {ROW}, r.bucket from records.record r
    where r.patient = any($1) and r.type = any($2) and r.flags & {DELETED} = 0
    union all
    select {ROW}, r.bucket from records.record r
    where r.patient = any($1) and r.type = any($3) and r.flags & {DELETED} = 0 and (
        exists (select from records.keyed k
            where k.key = any($4) and k.low = r.low and k.rid = r.rid)
        or r.low is null and exists (select from records.keyed k
            where k.key = any($4) and k.low is null and k.rid = r.rid))
"""  # noqa: S608 - constants of this program
_EXPECTED: Final = """
    select greatest(c.reltuples, 0)::bigint from pg_class c
    where c.oid = 'records.record_patient'::regclass
"""
_FORGET_FACTS: Final = "delete from plans.fact where patient = any($1)"
_DUE_AGAIN: Final = """
    select patient from plans.person where again <= $1 order by again, patient limit $2
"""
_IS_AGAIN: Final = "select exists (select from plans.person where again <= $1)"
_STALE: Final = "delete from plans.plan where plan <> all($1) returning plan"
_ENTER: Final = """
    insert into plans.plan (plan) select unnest($1::bigint[]) on conflict do nothing returning plan
"""
_OF_JOB: Final = "update plans.plan set job = $2 where plan = any($1)"
_READY: Final = "update plans.plan set ready_at = jobs.now() where plan = any($1)"


class Place(msgspec.Struct, frozen=True):
    """Where the walk goes on: after this Patient of this bucket. `done` counts Patients."""

    bucket: int = 0
    after: int = _FIRST
    done: int = 0


async def begin_renewals(connection: Connection, keeping: DueKeeping, owner: str) -> int | None:
    """Have the lists made of plans that are new or say something else, in the caller's transaction;
    gives the number of the job, None where there is nothing to do.
    """
    keys = sorted(keeping.plans)
    gone = await connection.fetch(_STALE, keys)
    entered = [row["plan"] for row in await connection.fetch(_ENTER, keys)]
    if not gone and not entered:
        return None
    return await renew_all(connection, keeping, owner)


async def renew_all(connection: Connection, keeping: DueKeeping, owner: str) -> int:
    """Have all lists made anew, in the caller's transaction; gives the number of the job."""
    keys = sorted(keeping.plans)
    await connection.fetch(_ENTER, keys)
    once = " ".join(str(key) for key in keys)
    number = await put(connection, RENEW, {"plans": keys}, owner=owner, once=once)
    await connection.execute(_OF_JOB, keys, number)
    return number


async def put_again(connection: Connection, keeping: DueKeeping, now: int) -> bool:
    """Have those looked at of whom the day has come, in the caller's transaction; whether there
    are any.
    """
    if not await connection.fetchval(_IS_AGAIN, keeping.today(now)):
        return False
    await put(connection, AGAIN, {}, owner="node", once=AGAIN)
    return True


def renew_kind(keeping: DueKeeping, now: Callable[[], int]) -> Kind:
    """The kind of job that makes all lists anew."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        place = Place() if job.position is None else msgspec.convert(job.position, Place)
        number = keeping.context.definition("Patient").number
        patients: list[int] = []
        bucket, after = place.bucket, place.after
        while not patients and bucket < BUCKETS:
            await lock_clocks(connection, [bucket])
            rows = await connection.fetch(_NEXT, number, bucket, after, _PATIENTS_A_STEP)
            patients = [row["rid"] for row in rows]
            if not patients:
                bucket, after = bucket + 1, _FIRST
        if not patients:
            await connection.execute(_READY, job.payload["plans"])
            return Done({"patients": place.done})
        await _read_again(connection, keeping, patients)
        await keeping.renew(connection, patients, keeping.today(now()))
        total = job.total or await connection.fetchval(_EXPECTED) or None
        gone = Place(bucket, patients[-1], place.done + len(patients))
        return Continue(msgspec.to_builtins(gone), gone.done, total, "Patients")

    return Kind(RENEW, step)


def again_kind(keeping: DueKeeping, now: Callable[[], int]) -> Kind:
    """The kind of job that looks again at those of whom the day has come."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        today = keeping.today(now())
        rows = await connection.fetch(_DUE_AGAIN, today, _PERSONS_A_STEP)
        if not rows:
            return Done({"persons": job.done})
        patients = [row["patient"] for row in rows]
        await lock_clocks(connection, {bucket_of(one) for one in patients})
        await keeping.renew(connection, patients, today)
        return Continue({}, job.done + len(patients), None, "persons")

    return Kind(AGAIN, step)


async def _read_again(connection: Connection, keeping: DueKeeping, patients: Sequence[int]) -> None:
    """Keep what the records of these Patients tell, and nothing of what was kept before."""
    await connection.execute(_FORGET_FACTS, patients)
    context = keeping.context
    types = {type_ for plan in keeping.plans.values() for type_ in plan.types} - {"Patient"}
    if not context.catalogue.version:
        await context.refresh(connection)
    keys = {type_: _keys_told(keeping, type_) for type_ in sorted(types)}
    numbers = {type_: context.definition(type_).number for type_ in keys}
    asked = (
        [numbers[type_] for type_, told in keys.items() if told is None],
        [numbers[type_] for type_, told in keys.items() if told is not None],
        sorted({key for told in keys.values() for key in told or ()}),
    )
    # Somebody may have a million observations.
    found = await connection.cursor(_RECORDS, patients, *asked)
    while rows := await found.fetch(_RECORDS_AT_ONCE):
        buckets = {row["rid"]: row["bucket"] for row in rows}
        changes = [_change(one, buckets[one.rid]) for one in await context.open(connection, rows)]
        await put_facts(connection, keeping, changes)


def _keys_told(keeping: DueKeeping, type_: str) -> set[int] | None:
    """The keys in the index of which each record of a type has one that tells a plan anything; None
    where the index does not tell, or not yet of all records.
    """
    context = keeping.context
    definition = context.definition(type_)
    if _CODE not in definition.keyed_params:
        return None
    param = definition.params[_CODE]
    if any(rule.is_for(type_, param, None) for rule in context.catalogue.unready):
        return None
    several = [plan.codes(type_) for plan in keeping.plans.values() if type_ in plan.types]
    keys: set[int] = set()
    for codes in several:
        if codes is None:
            return None
        keys |= {context.keying.code(type_, _CODE, one) for one in codes}
    return keys


def _change(stored: Stored, bucket: int) -> Change:
    return Change(
        stored.type,
        stored.id,
        stored.rid,
        bucket,
        stored.version,
        stored.facts.sender,
        stored.facts.patient,
        stored.updated,
        stored.body,
    )
