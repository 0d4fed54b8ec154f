"""Taking records out in bulk: portion by portion, each with the rights that the actor has when it
is read, and with its entry in the access log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Gone
from quanmin.fhir.query import Query
from quanmin.records.portions import Extent, Portion, patients_among, portion, searched_portion
from quanmin.records.provenance import of_patients
from quanmin.records.readiness import require_indexed
from quanmin.records.reading import count_beyond
from quanmin.records.settling import Settling, settling
from quanmin.trust.deciding import CONSENT
from quanmin.trust.directory import asks_for_hidden
from quanmin.trust.lifecycle.activities import EXPORTS
from quanmin.trust.lifecycle.handing_out import begin_handing_out
from quanmin.trust.showing import shown

if TYPE_CHECKING:
    from quanmin.records.model import Stored
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding
    from quanmin.trust.log import Notes

_ACTION: Final = "export"
_MILLISECOND: Final = 1000
# By so much the clocks of the job, of the records and of the log may differ.
_SKEW: Final = 60_000_000
# Patients about whom somebody has said something since, or of whom a grant has run out.
_MOVED: Final = """
    select r.patient from records.record r
    where r.type = $1 and r.updated >= $2 and r.patient is not null
    union select g.patient from records.granted g where g.until > $2 and g.until <= $3
"""
_TAKEN: Final = """
    select distinct unnest(a.records) as rid from trust.access a
    where a.at >= $1 and a.actor = $2 and a.request = $3 and a.patients && $4::bigint[]
"""


class Taken(msgspec.Struct, frozen=True):
    """What was taken out: by which actor, in the entries of which request, from which moment on."""

    actor: str
    request: str
    since: int


class Exporting:
    """What one actor takes out."""

    def __init__(self, guard: Guarding, notes: Notes, actor: Actor) -> None:
        self._guard = guard
        self._store = guard.store
        self._notes = notes
        self._actor = actor

    def moment(self) -> int:
        """The last millisecond of which nobody can write any more, in microseconds; what was
        answered before the millisecond of this call was written by then.
        """
        now = self._guard.now()
        return now - now % _MILLISECOND - _MILLISECOND

    async def settling(self, connection: Connection, moment: int) -> Settling:
        """Whether all is there that was written up to `moment` (see `records.settling`)."""
        return await settling(connection, moment)

    async def patients(self, ids: Sequence[str]) -> dict[str, int]:
        """The keys of those of these Patients that the actor may see, by id."""
        context = self._store.context
        _, rights = await self._guard.rights(self._actor, self._notes.purpose, "rs", "Patient")
        self._notes.decided_by(rights.reasons)
        keys = {id_: context.rid_of("Patient", id_) for id_ in ids}
        async with self._store.glancing(rights.wall) as connection:
            wanted = [rid for rid in keys.values() if rid is not None]
            there = await patients_among(connection, context, rights.whole, wanted)
        if len(there) < len(set(keys.values())):
            await self._notes.note(_ACTION, "Patient", "not-found")
        return {id_: rid for id_, rid in keys.items() if rid is not None and rid in there}

    async def look_again(self) -> None:
        """Read anew by what records are indexed and can be searched."""
        await self._guard.look_again()

    async def check(self, queries: Sequence[Query]) -> None:
        """Make sure that exports are registered, and each query can be answered by the index as it
        is now. Raises Stopped, or as `require_indexed` does.
        """
        await self._guard.registered.refuse(export=EXPORTS)
        async with self._store.glancing() as connection:
            for query in queries:
                await require_indexed(connection, self._store.context, query)

    async def portion(
        self,
        connection: Connection | None,
        extent: Extent,
        queries: Sequence[Query],
        *,
        after: int | None,
        count: int,
        bytes_max: int,
        seconds: float,
    ) -> Portion:
        """The next records of an extent that the actor may see and take out now and, if there are
        queries, any of these finds. The entry in the access log is written over `connection`, to
        commit with what is done with them; without one it is durable when this returns.
        """
        purpose = self._notes.purpose
        await self._guard.registered.refuse(export=EXPORTS)
        sender, rights = await self._guard.rights(self._actor, purpose, "rs")
        rights = await self._guard.taken_out(self._actor, purpose, sender, rights)
        self._notes.decided_by(rights.reasons)
        context = self._store.context
        if connection is not None:
            await begin_handing_out(connection)
        async with self._store.reading(rights.wall) as reading:
            if queries and not extent.deleted:
                found = await searched_portion(
                    reading,
                    context,
                    [
                        (query, rights.whole if asks_for_hidden(query) else rights.readable)
                        for query in queries
                    ],
                    extent,
                    after=after,
                    count=count,
                    bytes_max=bytes_max,
                    seconds=seconds,
                )
            else:
                found = await portion(
                    reading,
                    context,
                    rights.readable,
                    extent,
                    after=after,
                    count=count,
                    bytes_max=bytes_max,
                )
            kept = await of_patients(reading, context, rights.readable, extent, found.versions)
        await self._note(connection, extent.type, kept)
        versions = tuple(shown(rights, stored) for stored in kept)
        return Portion(versions, found.after)

    async def refuse_withdrawn(self, taken: Taken) -> None:
        """Raises Gone when among what was taken out is what the actor may not take out any more,
        since a consent or a treatment has ended meanwhile. (An erasure ends the export.)

        Only those are looked at about whom something has changed, not all that was taken out.
        """
        context, purpose = self._store.context, self._notes.purpose
        sender, rights = await self._guard.rights(self._actor, purpose, "rs")
        rights = await self._guard.taken_out(self._actor, purpose, sender, rights)
        consents, since = context.definition(CONSENT).number, taken.since - _SKEW
        async with self._store.reading(self._store.whole_node) as connection:
            rows = await connection.fetch(_MOVED, consents, since, self._guard.now())
            moved = await self._same_persons(connection, [row["patient"] for row in rows])
            whose = (taken.actor, taken.request, moved)
            found = await connection.fetch(_TAKEN, since, *whose) if moved else ()
        rids = [row["rid"] for row in found]
        async with self._store.reading(rights.wall) as connection:
            is_gone = rids and await count_beyond(connection, rights.readable, rids)
        if is_gone:
            await self._notes.note(_ACTION, None, Gone.code)
            raise Gone(
                "since this was taken out somebody of it has withdrawn what permitted it: export"
                " again, or ask for it again"
            )

    async def _same_persons(self, connection: Connection, patients: Sequence[int]) -> list[int]:
        found = set(patients)
        for patient in patients:
            person = await self._guard.people.person_of(connection, patient)
            if person is not None:
                found.update(await self._guard.people.patients_of(connection, person))
        return sorted(found)

    async def note_download(self, type_: str | None, number: int) -> None:
        """That a file with so many records was given out, whose keys were noted as it was made."""
        entry = self._notes.entry_of_keys("download", type_, "ok", ())
        await self._notes.put(msgspec.structs.replace(entry, hits=number))

    async def _note(
        self, connection: Connection | None, type_: str, versions: Sequence[Stored]
    ) -> None:
        self._notes.begin_anew()  # each portion is taken with the rights of its moment
        entry = self._notes.entry(_ACTION, type_, "ok", versions)
        if not versions:
            return
        if connection is not None:
            await self._notes.put_in(connection, [entry])
        else:
            await self._notes.put(entry)
