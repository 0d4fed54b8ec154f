"""Keeps the table of grants equal to the records that they rest on.

A grant about one Patient is one about the person: it stands for every source Patient that the
identity index links, and follows when a link is made or taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.table import load_table
from quanmin.people import PersonIndex
from quanmin.records.operation import Change
from quanmin.records.rid import bucket_of

_PATIENT: Final = load_table().types["Patient"].number
_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('granted ' || $1::bigint, 0))"
_EXPIRED: Final = "delete from records.granted where patient = any($1) and until <= $2"
_COLUMNS: Final = (
    "grantee, type, since, until, part, rank, low, high, keys, systems, rids, source, about"
)
# Arrays of arrays must be of one length, so those of keys come as their text.
_INSERT: Final = f"""
    insert into records.granted (bucket, patient, {_COLUMNS}, wall)
    select p.bucket, p.patient, t.grantee, t.type, t.since, t.until, t.part, t.rank, t.low, t.high,
        t.keys::bigint[], t.systems::int[], t.rids::bigint[], $14, $15, 2 * r.sender
    from unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::smallint[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[])
        as t (grantee, type, since, until, part, rank, low, high, keys, systems, rids)
    cross join unnest($12::smallint[], $13::bigint[]) as p (bucket, patient)
    left join records.record r on r.type = $16 and r.rid = p.patient and r.bucket = p.bucket
"""  # noqa: S608 - constants of this module
_APART: Final = """
    delete from records.granted
    where (patient = $1 and about <> $1) or (about = $1 and patient <> $1)
"""
_SPREAD: Final = f"""
    insert into records.granted (bucket, patient, {_COLUMNS}, wall)
    select p.bucket, p.patient, {", ".join(f"g.{one}" for one in _COLUMNS.split(", "))},
        2 * r.sender
    from records.granted g
    join unnest($1::smallint[], $2::bigint[]) as p (bucket, patient) on p.patient <> g.about
    left join records.record r on r.type = $4 and r.rid = p.patient and r.bucket = p.bucket
    where g.about = g.patient and g.about = any($3::bigint[])
    on conflict do nothing
"""  # noqa: S608 - constants of this module


class Granting(msgspec.Struct, frozen=True):
    """A grant to a grantee about records of a type (its number, 0 for all), from `since` to before
    `until`. `part` tells grants apart that rest on one record; the others are those of
    `quanmin.records.visibility.Grant`.
    """

    grantee: int
    type: int
    since: int
    until: int
    part: int = 0
    rank: int = 0
    span: tuple[int, int] | None = None
    codes: tuple[tuple[int, int | None], ...] | None = None
    rids: tuple[int, ...] | None = None

    def row(self) -> tuple[object, ...]:
        """As `_INSERT` takes it."""
        codes = self.codes
        return (
            *(self.grantee, self.type, self.since, self.until, self.part, self.rank),
            *(self.span or (None, None)),
            None if codes is None else _array(key for key, _ in codes),
            None if codes is None else _array(system for _, system in codes),
            None if self.rids is None else _array(self.rids),
        )


def _array(numbers: Iterable[int | None]) -> str:
    return f"{{{','.join('null' if one is None else str(one) for one in numbers)}}}"


class Grounded(msgspec.Struct, frozen=True):
    """What is granted about a Patient by the record with the key `source`."""

    source: int
    about: int
    grants: tuple[Granting, ...]


async def replace_grants(
    connection: Connection,
    people: PersonIndex,
    sources: Sequence[int],
    grounded: Sequence[Grounded],
    now: int,
) -> None:
    """What rests on these records is what is given, and nothing that was before. What has run out
    for the Patients concerned is forgotten.
    """
    if sources:
        await connection.execute("delete from records.granted where source = any($1)", [*sources])
    for one in sorted(grounded, key=lambda one: (one.about, one.source)):
        patients = await _same_person(connection, people, one.about)
        await connection.execute(_EXPIRED, patients, now)
        rows = [grant.row() for grant in one.grants]
        await connection.execute(
            _INSERT,
            *(list(column) for column in zip(*rows, strict=True)),
            [bucket_of(patient) for patient in patients],
            patients,
            one.source,
            one.about,
            _PATIENT,
        )


async def _same_person(connection: Connection, people: PersonIndex, patient: int) -> list[int]:
    """All source Patients of the person, this one included; no other joins them meanwhile."""
    await connection.execute(_LOCK, patient)
    person = await people.hold(connection, patient)
    linked = [] if person is None else await people.patients_of(connection, person)
    return sorted({patient, *linked})


class GrantLinks:
    """The projection that lets grants follow the links of Patients; it runs after `PersonIndex`."""

    types = frozenset({"Patient"})
    is_early = False

    def __init__(self, people: PersonIndex) -> None:
        self._people = people

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`."""
        for change in sorted(changes, key=lambda one: one.rid):
            person = await self._people.person_of(connection, change.rid)
            if change.version == 1 and person is None:
                continue  # most of a large load: nobody has granted anything about it
            await connection.execute(_LOCK, change.rid)
            if change.version > 1:
                await connection.execute(_APART, change.rid)
            if person is None:
                continue
            patients = await self._people.patients_of(connection, person)
            others = [one for one in patients if one != change.rid]
            if others:
                await self._spread(connection, [change.rid], others)
                await self._spread(connection, others, [change.rid])

    async def _spread(
        self, connection: Connection, patients: Sequence[int], abouts: Sequence[int]
    ) -> None:
        await connection.execute(
            _SPREAD, [*map(bucket_of, patients)], [*patients], [*abouts], _PATIENT
        )
