"""Reading through the guard: what one actor may see, every reading in the access log first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, NotFound, Problem, Stopped
from quanmin.fhir.query import Query
from quanmin.records.model import Batch, Hits, Stored
from quanmin.records.readiness import Indexed
from quanmin.records.reading import (
    HistoryQuery,
    grants_of,
    history,
    read,
    read_patient,
    read_version,
    types_present,
)
from quanmin.records.related import Related, related
from quanmin.records.visibility import OfSender
from quanmin.terminology import TermLimits, Terms
from quanmin.trust.actors import Actor
from quanmin.trust.deciding import (
    Rights,
    Said,
    narrowed,
)
from quanmin.trust.desk import Kind
from quanmin.trust.due import DueLists
from quanmin.trust.errands import Errands
from quanmin.trust.exporting import Exporting
from quanmin.trust.guarding import Guarding
from quanmin.trust.imports import Imports
from quanmin.trust.log import Notes, Together, only
from quanmin.trust.log.audit_event import TYPE as AUDIT_EVENT
from quanmin.trust.log.audit_event import entry_of_id
from quanmin.trust.log.entry import Place
from quanmin.trust.log.reading import LogReading
from quanmin.trust.questions import Question, find, keep
from quanmin.trust.reach import refuse_log
from quanmin.trust.registers import Institution, Institutions, Wanted
from quanmin.trust.senders import Sender, senders_of
from quanmin.trust.showing import (
    Part,
    Timeline,
    count_seen,
    hits_shown,
    parts_of_timeline,
    search_seen,
    search_slices,
    shown,
    with_past,
)
from quanmin.trust.touching import patients_named, touched_by
from quanmin.trust.validating import Validating


class GuardedReading:
    """Reading through the eyes of one actor. Problems are raised as the store raises them."""

    def __init__(self, guard: Guarding, actor: Actor, purpose: str, request_id: str) -> None:
        self._guard = guard
        self._store = guard.store
        self.context = guard.store.context
        self.actor = actor
        self.purpose = purpose
        self.request_id = request_id
        self._notes = Notes(guard.log, guard.now, actor, purpose, request_id)

    async def _rights(
        self, ways: str, type_: str | None = None, *, is_for_one: bool = False
    ) -> Rights:
        """What the actor may do now, see `Guarding.rights`; noted with what is done by it."""
        _, rights = await self._guard.rights(
            self.actor, self.purpose, ways, type_, is_for_one=is_for_one
        )
        self._notes.decided_by(rights.reasons)
        return rights

    async def _remark_on(self, connection: Connection, rights: Rights, of: Stored) -> None:
        """What the rules want remarked when the record of this one's person is gone through."""
        patient = of.facts.patient
        if patient is None or not rights.reasons.wants_remarks:
            return
        grants = await grants_of(connection, patient)
        self._notes.decided_by(Said(rights.reasons.of_person(patient, grants)))

    def within(self, application: str) -> Self:
        """The same on the pages of an application of this node, whose rules hold there."""
        actor = msgspec.structs.replace(self.actor, application=application)
        return self._beside(actor, self.purpose)

    def stating(self, purpose: str) -> Self:
        """The same for another purpose, in the same request."""
        return self._beside(self.actor, purpose)

    def _beside(self, actor: Actor, purpose: str) -> Self:
        other = type(self)(self._guard, actor, purpose, self.request_id)
        other.wait_with(self._notes.together)
        return other

    def wait_with(self, together: Together | None) -> None:
        """While this lasts, what is done is noted with it (`Together`)."""
        self._notes.wait_with(together)

    def gathering(self) -> AbstractAsyncContextManager[None]:
        """While it lasts, what is read is noted in the end, as one access, before anything of it is
        answered.
        """
        return self._notes.gathering()

    @property
    def errands(self) -> Errands:
        """What this actor has begun and is done without waiting for it."""
        return Errands(
            self._guard,
            self._notes,
            self.actor,
            purpose=self.purpose,
            request_id=self.request_id,
        )

    @property
    def validating(self) -> Validating:
        """What this actor asks about resources and writes, without writing."""
        return Validating(self._guard, self._notes, self.actor)

    async def refuse_stopped(self) -> None:
        """Raises Stopped for whom the registers do not let act at this moment."""
        await self._guard.standings.of(self.actor)

    async def note_stopped(self) -> None:
        """That the request was refused because the registers do not let its actor act."""
        await self._notes.note("stopped", None, Stopped.code)

    def desk(self, kind: type[Kind]) -> Kind:
        """Something other than records, asked by this actor in this request."""
        return kind(self._guard, self._notes, self.actor, self.purpose, self.request_id)

    @property
    def imports(self) -> Imports:
        """What has become of imports."""
        return Imports(self._store)

    @property
    def _log(self) -> LogReading:
        refuse_log(self.actor.scopes)
        return LogReading(self._guard, self._notes, self.actor)

    def _entry(self, type_: str | None, id_: str | None) -> Place | None:
        """The entry of the access log that an address names."""
        return entry_of_id(id_) if type_ == AUDIT_EVENT and id_ else None

    @property
    def due(self) -> DueLists:
        """Who is due for what."""
        return DueLists(self._guard, self._notes, self.actor)

    @property
    def exporting(self) -> Exporting:
        """What this actor takes out in bulk."""
        return Exporting(self._guard, self._notes, self.actor)

    async def read(self, type_: str, id_: str) -> Stored:
        """The current version. Raises NotFound, Gone."""
        entry = self._entry(type_, id_)
        if entry is not None:
            await self.refuse_stopped()
            return await self._log.read("read", entry)
        rights = await self._rights("r", type_, is_for_one=True)
        try:
            found = await self._store.glance(rights.readable, type_, id_, rights.wall)
        except Problem as problem:
            await self._notes.note("read", type_, problem.code)
            raise
        await self._notes.note_reading("read", found)
        return shown(rights, found)

    async def version(self, type_: str, id_: str, version: int) -> Stored:
        """One version. Raises NotFound, Gone."""
        entry = self._entry(type_, id_)
        if entry is not None and version == 1:
            await self.refuse_stopped()
            return await self._log.read("vread", entry)
        rights = await self._rights("r", type_)
        try:
            seen = await with_past(self._store, rights, type_)
            async with self._store.reading(rights.wall) as connection:
                found = await read_version(
                    connection, self.context, seen, type_, id_, version=version
                )
        except Problem as problem:
            await self._notes.note("vread", type_, problem.code)
            raise
        await self._notes.note_reading("vread", found)
        return shown(rights, found)

    async def history(
        self,
        type_: str | None,
        id_: str | None,
        *,
        since: int | None = None,
        before: int | None = None,
        at: tuple[int, int] | None = None,
        count: int,
        cursor: str | None = None,
    ) -> Batch:
        """Versions of one record, of a type or of all, newest first. See `HistoryQuery`."""
        entry = self._entry(type_, id_)
        if entry is not None:
            await self.refuse_stopped()
            return Batch((await self._log.read("history", entry),), None, 1)
        ways = "s" if id_ is None else "r"
        rights = await self._rights(ways, type_)
        query = HistoryQuery(
            type=type_, id=id_, since=since, before=before, at=at, count=count, cursor=cursor
        )
        try:
            seen = await with_past(self._store, rights, type_)
            async with self._store.reading(rights.wall) as connection:
                found = await history(connection, self.context, seen, query)
        except Problem as problem:
            await self._notes.note("history", type_, problem.code)
            raise
        await self._notes.note("history", type_, "ok", found.versions)
        versions = tuple(shown(rights, version) for version in found.versions)
        return msgspec.structs.replace(found, versions=versions)

    async def search(self, query: Query, *, labelled: str = "", is_own: bool = False) -> Hits:
        """A slice of what the query finds among what the actor may see; with `labelled` of what has
        this security label (system|code), also where the node has given it for what a record says;
        with `is_own` of what the actor's institution has sent.
        """
        if query.type == AUDIT_EVENT:
            await self.refuse_stopped()
            return await self._log.search(query, self._search)
        return await self._search(query, labelled, is_own=is_own)

    async def _search(self, query: Query, labelled: str = "", *, is_own: bool = False) -> Hits:
        rights = await self._rights("s", query.type)
        if labelled:
            rights = narrowed(rights, self._guard.deciding.reaching.labelled([labelled]))
        if is_own:
            sender = await self._store.sender(self.actor.sender or f"actor:{self.actor.code}")
            rights = narrowed(rights, OfSender(frozenset({sender})))
        try:
            async with self._store.reading(rights.wall) as connection:
                hits = await search_seen(connection, self.context, rights, query)
                counted_max = self._guard.log.limits.counted_named_max
                touched = await touched_by(
                    connection, self.context, rights, query, hits, counted_max=counted_max
                )
        except Problem as problem:
            await self._notes.note("search", query.type, problem.code)
            raise
        await self._notes.note("search", query.type, "ok", touched.versions, touched.patients)
        return hits

    async def related(self, type_: str, id_: str, asked: Related) -> Hits:
        """A slice of the record's compartment, itself first, and what this refers to. Raises
        NotFound, Gone.
        """
        rights = await self._rights("rs", type_)
        seen = rights.readable
        try:
            async with self._store.reading(rights.wall) as connection:
                holder = await read(connection, self.context, seen, type_, id_)
                await self._remark_on(connection, rights, holder)
                hits = await related(connection, self.context, seen, holder, asked)
        except Problem as problem:
            await self._notes.note("everything", type_, problem.code)
            raise
        await self._notes.note("everything", type_, "ok", (*hits.matches, *hits.included))
        return hits_shown(rights, hits)

    async def needs_consent_to_pass_on(self, hits: Hits) -> bool:
        """Whether there is something among these that others have sent about a person, so that
        whoever reads it passes it on with the person's consent only.
        """
        sender = await self._store.sender(self.actor.sender or f"actor:{self.actor.code}")
        deciding, actor = self._guard.deciding, await self._guard.acting(self.actor)
        if not deciding.onward_grantees(actor, self.purpose, sender, self._guard.now()):
            return False
        return any(
            stored.facts.patient is not None and stored.facts.sender != sender
            for stored in (*hits.matches, *hits.included)
        )

    async def search_all(self, query: Query, *, rows_max: int, action: str) -> Hits:
        """All that the query finds, of one moment, in its order; when it is more than `rows_max`
        only so many, and `next` says so. Logged as `action`.
        """
        rights = await self._rights("s", query.type)
        try:
            async with self._store.reading(rights.wall) as connection:
                hits = await search_slices(connection, self.context, rights, query, rows_max)
                about = await patients_named(connection, self.context, [query])
        except Problem as problem:
            await self._notes.note(action, query.type, problem.code)
            raise
        await self._notes.note(action, query.type, "ok", hits.matches, about)
        return hits

    async def keep_questions(self, several: Sequence[Question], number_max: int) -> None:
        """Keep sealed questions of this actor, durable when this returns; of all of theirs at most
        `number_max`.
        """
        async with self._store.glancing() as connection:
            await keep(connection, self.actor.code, several, number_max=number_max)

    async def kept_question(self, name: bytes) -> bytes | None:
        """The sealed question that this actor left under a name; None when it is kept no more."""
        async with self._store.glancing() as connection:
            return await find(connection, self.actor.code, name)

    async def spend(self, **amounts: int) -> None:
        """Count what is used of the quotas of the actor's institution. Raises TooMany."""
        await self._guard.spend(self.actor, **amounts)

    async def indexed(self) -> Indexed:
        """How far the index is."""
        return await self._guard.indexed()

    def may_reindex(self) -> None:
        """Raises Forbidden for whoever may not have records indexed again."""
        if self.actor.role != "operator" or self.actor.scopes is not None:
            raise Forbidden("records are indexed again for operators of the node only")

    async def institutions(
        self, moment: int | None, wanted: Wanted, *, after: str | None = None, count: int
    ) -> Sequence[Institution]:
        """What the register of institutions says of a moment (None: now), to every actor alike: it
        names nobody, so nothing is noted.
        """
        async with self._store.glancing() as connection:
            at = self._guard.now() if moment is None else moment
            return await Institutions(connection).as_of(at, wanted, after=after, count=count)

    async def institution_history(self, code: str) -> Sequence[Institution]:
        """All states of an institution, by its credit code, oldest first; to every actor alike."""
        async with self._store.glancing() as connection:
            return await Institutions(connection).history(code)

    async def types_present(self) -> list[str]:
        """The types of which this node has records at all, whoever may see them."""
        async with self._store.glancing(self._store.whole_node) as connection:
            return await types_present(connection, self.context)

    async def counts(self, queries: Sequence[Query]) -> list[int | None]:
        """How many records each query finds among what the actor may see, all of one moment; None
        for more than may be counted.
        """
        type_ = only({query.type or "" for query in queries})
        rights = await self._rights("s", type_ or None)
        try:
            async with self._store.reading(rights.wall) as connection:
                found = [
                    await count_seen(connection, self.context, rights, query) for query in queries
                ]
                about = await patients_named(connection, self.context, queries)
        except Problem as problem:
            await self._notes.note("counts", type_, problem.code)
            raise
        await self._notes.note("counts", type_, "ok", (), about)
        return found

    async def timelines(self, patient_id: str, parts: Sequence[Part]) -> list[Timeline]:
        """What is recorded of this Patient's person anywhere, newest first by clinical time: each
        part of it that is asked for, all of one moment, by one decision and one entry in the log.
        """
        rights = await self._rights("rs", "Patient")
        try:
            async with self._store.reading(rights.wall) as connection:
                first = await read(connection, self.context, rights.whole, "Patient", patient_id)
                await self._remark_on(connection, rights, first)
                patients = await self._same_person(connection, rights, first)
                found = await parts_of_timeline(connection, self.context, rights, patients, parts)
        except Problem as problem:
            await self._notes.note("timeline", None, problem.code)
            raise
        seen = {one.rid: one for part in found for one in (*patients, *part.entries)}
        await self._notes.note("timeline", None, "ok", tuple(seen.values()))
        return found

    async def timeline(
        self,
        patient_id: str,
        *,
        types: tuple[str, ...] = (),
        count: int,
        cursor: str | None = None,
    ) -> Timeline:
        """One part of it."""
        return (await self.timelines(patient_id, [Part(types=types, count=count, cursor=cursor)]))[
            0
        ]

    async def registrations(self, patients: Sequence[Stored]) -> dict[str, int]:
        """For each of these Patients (by id) how many Patients its person has; 1 for one that is
        not linked.
        """
        rights = await self._rights("s", "Patient")
        rids = [patient.rid for patient in patients]
        async with self._store.glancing(rights.wall) as connection:
            counts = await self._guard.people.counts(connection, rids, rights.whole)
        return {patient.id: counts.get(patient.rid, 1) for patient in patients}

    async def senders(self, versions: Sequence[Stored]) -> dict[int, Sender]:
        """Who sent these versions, by their number in `facts`."""
        numbers = (version.facts.sender for version in versions)
        async with self._store.glancing() as connection:
            return await senders_of(connection, numbers, self._guard.now())

    @asynccontextmanager
    async def terminology(self, limits: TermLimits) -> AsyncIterator[Terms]:
        """What codes mean at this moment, to every actor alike: it names nobody, so nothing is
        noted.
        """
        async with self._store.reading(self._store.whole_node) as connection:
            yield Terms(connection, limits)

    async def _same_person(
        self, connection: Connection, rights: Rights, first: Stored
    ) -> list[Stored]:
        people = self._guard.people
        person = await people.person_of(connection, first.rid)
        if person is None:
            return [first]
        found = [first]
        for rid in await people.patients_of(connection, person):
            if rid != first.rid:
                try:
                    found.append(await read_patient(connection, self.context, rights.whole, rid))
                except NotFound:
                    continue
        return found
