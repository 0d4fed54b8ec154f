"""Keeps due lists equal to the records, in the transaction that writes them: what a record tells is
put in the place of what it told before, and the persons concerned are worked out anew.

In the transaction and not by a job: a person costs some hundred microseconds, whoever has just
vaccinated sees the list without it, and nothing can be lost in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from quanmin.base.database import Connection
from quanmin.records.operation import Change
from quanmin.trust.due.keeping import DueKeeping

_PATIENT: Final = "Patient"
_FORGET: Final = "delete from plans.fact where rid = any($1) returning patient"
_FORMER: Final = """
    select unnest(patients) as patient from plans.person where patient = any($1)
"""
_PUT: Final = """
    insert into plans.fact
        (bucket, rid, plan, type, patient, sender, version, updated, body, is_labelled)
    select * from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[],
        $6::int[], $7::int[], $8::bigint[], $9::bytea[], $10::boolean[])
    on conflict (rid, plan, bucket) do update set type = excluded.type, patient = excluded.patient,
        sender = excluded.sender, version = excluded.version, updated = excluded.updated,
        body = excluded.body, is_labelled = excluded.is_labelled
"""


class DueIndex:
    """The projection of records onto due lists; it runs after the one that links Patients."""

    is_early = False

    def __init__(self, keeping: DueKeeping, now: Callable[[], int]) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._keeping = keeping
        self._now = now
        types = {type_ for plan in keeping.plans.values() for type_ in plan.types}
        self.types = frozenset({*types, _PATIENT} if types else ())

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`."""
        # Of a record that is written twice in a transaction the last version counts.
        last = {change.rid: change for change in changes}
        patients = {change.rid for change in last.values() if change.type == _PATIENT}
        earlier = [change.rid for change in last.values() if change.version > 1]
        touched = set(patients)
        if earlier:
            for statement in (_FORGET, _FORMER):
                touched |= {row["patient"] for row in await connection.fetch(statement, earlier)}
        told = [change for change in last.values() if change.patient is not None]
        touched |= await put_facts(connection, self._keeping, told)
        if touched:
            await self._keeping.renew(connection, touched, self._keeping.today(self._now()))


async def put_facts(
    connection: Connection, keeping: DueKeeping, changes: Sequence[Change]
) -> set[int]:
    """Keep what these versions of records tell, of which nothing is kept; gives whose they are."""
    rows: list[tuple[Any, ...]] = []
    found: list[tuple[Change, int, bytes]] = []
    for change in changes:
        if change.body is None or change.type == _PATIENT:
            continue
        for key, plan in keeping.plans.items():
            told = plan.told(change.type, change.body) if change.type in plan.types else None
            if told is not None:
                found.append((change, key, told))
    if not found:
        return set()
    context = keeping.context
    holders = {context.holder(change.patient, change.sender) for change, _, _ in found}
    keys = await context.codec.data_keys(connection, holders)
    for change, key, told in found:
        if context.holder(change.patient, change.sender) not in keys:
            continue  # erased
        number = context.definition(change.type).number
        sealed = keeping.seal(keys, change, told, -change.version)
        place = (change.bucket, change.rid, key, number, change.patient, change.sender)
        is_labelled = keeping.is_labelled(change.body or b"", change.resource)
        rows.append((*place, -change.version, change.updated, sealed, is_labelled))
    if rows:
        await connection.execute(_PUT, *(list(column) for column in zip(*rows, strict=True)))
    return {change.patient for change, _, _ in found if change.patient is not None}
