"""The one guarded door to personal data: every read, search, count, history and write passes here.

A `GuardedRecords` belongs to one actor, one purpose and one request. It compiles the actor's rights
on the ground of this very moment, hands them to the store (which has no default), and writes the
access log before it answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Invalid, NotFound, Problem, Sentence, Stopped
from quanmin.fhir.meta import MetaChange
from quanmin.fhir.patch import Patch
from quanmin.fhir.query import Query
from quanmin.records.bundle import Entry, Reading, Requests, id_of_body, read_requests
from quanmin.records.erasing import is_known
from quanmin.records.model import EntryOutcome, Outcome
from quanmin.records.operation import Change, IfMatch, Operation, Sender
from quanmin.records.store import BeforeCommit
from quanmin.records.targets import beyond_reach
from quanmin.trust.actors import Actor
from quanmin.trust.allowances import amounts_of
from quanmin.trust.consent_giving import refuse_ungiven
from quanmin.trust.deciding import Rights
from quanmin.trust.erasing import note_erasure
from quanmin.trust.guarded_reading import GuardedReading
from quanmin.trust.guarding import Guarding
from quanmin.trust.lifecycle.handing_out import begin_erasing
from quanmin.trust.lifecycle.petition_index import refuse_filed
from quanmin.trust.lifecycle.retention import refuse_held
from quanmin.trust.log import Keys, only
from quanmin.trust.log.audit_event import TYPE as AUDIT_EVENT
from quanmin.trust.log.reading import refuse_entries
from quanmin.trust.notices.tellings import Tellings
from quanmin.trust.reach import as_reached, ways_of
from quanmin.trust.showing import action_of, answer_write
from quanmin.trust.touching import read_entry


class Guard(Guarding):
    """Hands out guarded records."""

    def records(self, actor: Actor, *, purpose: str, request_id: str) -> GuardedRecords:
        """The records as this actor may see and change them, for this purpose, in this request."""
        return GuardedRecords(self, actor, purpose, request_id)


class GuardedRecords(GuardedReading):
    """Reading and writing through the eyes of one actor. Problems are raised as the store raises
    them.
    """

    async def create(
        self, type_: str, body: bytes, *, if_none_exist: Query | None = None
    ) -> Outcome:
        """A new record, or the one record of the actor's own that the criteria match."""
        operation = Operation(kind="create", type=type_, body=body, criteria=if_none_exist)
        return _written(await self._write("create", operation))

    async def update(
        self,
        type_: str,
        id_: str,
        body: bytes,
        *,
        if_match: IfMatch | None = None,
        if_none_match: bool = False,
    ) -> Outcome:
        """The next version of the record, its first when there was none, or the same when nothing
        changed.
        """
        operation = Operation(
            kind="update",
            type=type_,
            id=id_,
            body=body,
            if_match=if_match,
            if_none_match=if_none_match,
        )
        return _written(await self._write("update", operation))

    async def update_where(
        self, query: Query, body: bytes, *, if_match: IfMatch | None = None
    ) -> Outcome:
        """Update the one record of the actor's own that the query finds, or create it when there is
        none.
        """
        operation = Operation(
            kind="update",
            type=_type_of(query),
            id=id_of_body(body),
            body=body,
            criteria=query,
            if_match=if_match,
        )
        return _written(await self._write("update", operation))

    def read_patch(self, content_type: str, body: bytes) -> Patch:
        """The patch that a body of this media type is. Raises UnsupportedMedia, Malformed."""
        return self.context.read_patch(content_type, body)

    async def patch(
        self, type_: str, id_: str, patch: Patch, *, if_match: IfMatch | None = None
    ) -> Outcome:
        """The next version, made by a patch out of the one that holds when its turn comes; the same
        when nothing changed. Raises NotFound, Gone.
        """
        operation = Operation(kind="patch", type=type_, id=id_, patch=patch, if_match=if_match)
        return _written(await self._write("patch", operation))

    async def patch_where(
        self, query: Query, patch: Patch, *, if_match: IfMatch | None = None
    ) -> Outcome:
        """Patch the one record of the actor's own that the query finds. Raises NotFound without."""
        operation = Operation(
            kind="patch", type=_type_of(query), patch=patch, criteria=query, if_match=if_match
        )
        return _written(await self._write("patch", operation))

    async def change_meta(
        self, type_: str, id_: str, change: MetaChange, *, if_match: IfMatch | None = None
    ) -> Outcome:
        """Profiles, tags or labels added or taken away; the version stays. Raises as `patch`."""
        operation = Operation(
            kind="patch", type=type_, id=id_, patch=change, keeps_version=True, if_match=if_match
        )
        action = "meta-add" if change.is_addition else "meta-delete"
        return _written(await self._write(action, operation))

    async def delete(
        self, type_: str, id_: str, *, if_match: IfMatch | None = None
    ) -> Outcome | None:
        """The deletion; None when there was nothing to delete."""
        operation = Operation(kind="delete", type=type_, id=id_, if_match=if_match)
        return await self._write("delete", operation)

    async def delete_where(
        self, query: Query, *, if_match: IfMatch | None = None
    ) -> Outcome | None:
        """Delete the one record of the actor's own that the query finds; None without one."""
        operation = Operation(
            kind="delete", type=_type_of(query), criteria=query, if_match=if_match
        )
        return await self._write("delete", operation)

    async def erase(self, patient_id: str) -> int:
        """Erase the person this source Patient is: every Patient linked to them and all records of
        these, in one transaction with its entry in the access log. Gives how many records it was.

        A person can be erased again. Raises Forbidden for whoever may not, NotFound when nothing is
        known of such a Patient, Conflict when a hold stands.
        """
        _, rights = await self._guard.rights(self.actor, self.purpose, "d", "Patient")
        self._notes.decided_by(rights.changing)
        people, number = self._guard.people, 0
        patients: list[int] = []
        persons: list[int] = []

        async def choose(connection: Connection) -> list[int]:
            await begin_erasing(connection)
            rid = self.context.rid_of("Patient", patient_id)
            if rid is None or not await is_known(connection, self.context, rid):
                raise NotFound("nothing is known of a Patient with this id")
            person = await people.hold(connection, rid)
            persons[:] = [] if person is None else [person]
            linked = [] if person is None else await people.patients_of(connection, person)
            patients[:] = sorted({rid, *linked})
            await refuse_held(connection, patients)
            return patients

        async def note(connection: Connection, changes: Sequence[Change]) -> None:
            nonlocal number
            number = len(changes)
            for person in persons:
                await people.forget(connection, person)
            await note_erasure(connection, self._guard.log, self._notes, patients, changes)

        try:
            if rights.standing.party:
                raise Forbidden("who runs tenants for others erases nobody: a person is the node's")
            if not rights.may_erase.allowed:
                raise Forbidden(
                    Sentence(
                        "you may not erase (%(known)s)", known=", ".join(rights.may_erase.reasons)
                    )
                )
            await self._store.erase(choose, note, wall=rights.wall)
        except Problem as problem:
            await self._notes.note("erase", "Patient", problem.code)
            raise
        self._notes.settle()
        return number

    async def bundle(
        self,
        body: bytes,
        *,
        is_strict: bool = True,
        telling: Tellings | None = None,
        also: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> tuple[Literal["transaction", "batch"], list[EntryOutcome]]:
        """Carry out a Bundle of requests: a transaction as one, a batch entry by entry; answers in
        its order. `is_strict` refuses searches with a parameter nobody knows. What a transaction
        is `telling` is left in it, and `also` is done in it: both or neither.
        """
        self._notes.begin_anew()
        await self._guard.look_again()  # its searches may name what was defined a moment ago
        requests = read_requests(self.context, body, is_strict=is_strict)
        if requests.kind == "transaction":
            return "transaction", _told(await self._transaction(requests, also, telling=telling))
        async with self._notes.gathering():
            return "batch", _told([await self._batch_entry(entry) for entry in requests.entries])

    async def refuse_unless_writing(self, type_: str | None = None) -> None:
        """Raises Forbidden for whoever may not write records of this type, or, without one, of
        all types that are anybody's to write.
        """
        _, rights = await self._guard.rights(self.actor, self.purpose, "cu", type_)
        _refuse_unless_writing(rights)
        if rights.creatable is not None and type_ not in rights.creatable:
            raise Forbidden(
                Sentence(
                    "you write %(known)s only, one in a request",
                    known=", ".join(sorted(rights.creatable)),
                )
            )

    async def take_in(
        self, body: bytes | None, also: Callable[[Connection], Awaitable[None]]
    ) -> None:
        """Carry out a transaction of writes (None: none) and `also` what an import notes of them,
        in one; both are done or neither.
        """
        if body is None:
            async with self._store.glancing() as connection, connection.transaction():
                await also(connection)
            return
        self._notes.begin_anew()
        requests = read_requests(self.context, body, is_strict=True)
        await self._transaction(requests, also)

    async def _transaction(
        self,
        requests: Requests,
        also: Callable[[Connection], Awaitable[None]] | None = None,
        telling: Tellings | None = None,
    ) -> list[EntryOutcome]:
        writes = requests.writes()
        answers: dict[int, EntryOutcome] = {}
        sender, rights = await self._guard.own_rights(self.actor, self.purpose)
        scoped = await self._guard.scoped(self.actor)

        async def read_and_note(connection: Connection, outcomes: Sequence[Outcome | None]) -> None:
            read: list[EntryOutcome] = []
            if rights.wall is not None and len(writes) < len(requests.entries):
                await rights.wall.raise_in(connection)
            for entry in requests.entries:
                if entry.reading is not None:
                    ways, type_ = ways_of(entry.reading), entry.reading.type
                    seen = as_reached(rights, scoped, ways, type_)
                    answer = await self._answer(connection, seen, entry.reading, entry.position)
                    answers[entry.position] = answer
                    read.append(answer)
            if read:
                self._notes.decided_by(rights.changing.and_also(rights.reasons.in_force()))
            await self._note_writes(
                connection, "transaction", rights, operations, outcomes, read=read
            )
            if also is not None:
                await also(connection)
            if telling is not None:
                places = [entry.position for entry in writes]
                await telling.leave(
                    connection, self._guard, self.actor, dict(zip(places, outcomes, strict=True))
                )

        operations = [entry.operation for entry in writes if entry.operation is not None]
        outcomes = await self._carry_out("transaction", sender, rights, operations, read_and_note)
        for entry, outcome in zip(writes, outcomes, strict=True):
            answers[entry.position] = answer_write(outcome)
        return [answers[entry.position] for entry in requests.entries]

    async def _answer(
        self, connection: Connection, rights: Rights, reading: Reading, position: int
    ) -> EntryOutcome:
        try:
            return await self._read_entry(connection, rights, reading)
        except Problem as problem:
            where = f"Bundle.entry[{position}]"
            issues = tuple(
                msgspec.structs.replace(issue, expression=where) for issue in problem.issues
            )
            raise Invalid(
                "an entry of the transaction cannot be read; nothing was stored", issues=issues
            ) from problem

    async def _read_entry(
        self, connection: Connection, rights: Rights, reading: Reading
    ) -> EntryOutcome:
        counted_max = self._guard.log.limits.counted_named_max
        return await read_entry(connection, self.context, rights, reading, counted_max=counted_max)

    async def _batch_entry(self, entry: Entry) -> EntryOutcome:
        try:
            if entry.problem is not None:
                raise entry.problem
            if entry.operation is not None:
                kind = entry.operation.kind
                operation = msgspec.structs.replace(entry.operation, position=None)
                return answer_write(await self._write(kind, operation))
            return await self._batch_reading(entry.reading or Reading(None))
        except Problem as problem:
            if isinstance(problem, Stopped):
                await self.note_stopped()
            return EntryOutcome(problem.status, issues=problem.issues)

    async def _batch_reading(self, reading: Reading) -> EntryOutcome:
        if reading.type == AUDIT_EVENT and reading.query is not None:
            return EntryOutcome(200, hits=await self.search(reading.query))
        if self._entry(reading.type, reading.id) is not None and reading.history is None:
            return EntryOutcome(200, stored=await self.read(AUDIT_EVENT, reading.id or ""))
        rights = await self._rights(ways_of(reading), reading.type)
        action = action_of(reading)
        try:
            async with self._store.reading(rights.wall) as connection:
                answer = await self._read_entry(connection, rights, reading)
        except Problem as problem:
            await self._notes.note(action, reading.type, problem.code)
            raise
        await self._notes.put(self._notes.entry_of_answers(action, [answer]))
        return answer

    async def _write(self, action: str, operation: Operation) -> Outcome | None:
        sender, rights = await self._guard.own_rights(self.actor, self.purpose)

        async def note(connection: Connection, outcomes: Sequence[Outcome | None]) -> None:
            await self._note_writes(connection, action, rights, [operation], outcomes)

        return (await self._carry_out(action, sender, rights, [operation], note))[0]

    async def _carry_out(
        self,
        action: str,
        sender: int,
        rights: Rights,
        operations: list[Operation],
        before_commit: BeforeCommit,
    ) -> list[Outcome | None]:
        scoped = await self._guard.scoped(self.actor)
        self._notes.decided_by(rights.changing)

        async def within_rights(connection: Connection, outcomes: list[Outcome | None]) -> None:
            if scoped is not None:
                await scoped.refuse_beyond(connection, operations, outcomes)
            written = [one.stored for one in outcomes if one is not None and not one.unchanged]
            await refuse_ungiven(self._guard, connection, self.actor, written)
            rights.standing.refuse_uncovered((stored.type, stored.body) for stored in written)
            await refuse_filed(connection, self.actor, written)
            await before_commit(connection, outcomes)

        try:
            _refuse_unless_writing(rights)
            _refuse_others(rights, operations)
            for operation in operations:
                refuse_entries(operation.type, operation.id)
            reserved = sorted({op.type for op in operations} & rights.reserved)
            if reserved:
                raise Forbidden(
                    Sentence(
                        "%(known)s is not written in your role: it decides for all of the node, "
                        "or is beyond what the role is for",
                        known=", ".join(reserved),
                    )
                )
            rights.standing.refuse_unlicensed({op.type for op in operations})
            who = Sender(
                sender, rights.readable, rights.writable, rights.deletable, wall=rights.own_wall
            )
            if scoped is not None:
                who = scoped.sender(sender, rights, operations)
            async with self._guard.spending(self.actor, **amounts_of(operations)):
                outcomes = await self._store.write(who, operations, within_rights)
        except Problem as problem:
            async with self._store.glancing(self._store.whole_node) as connection:
                beyond = await self._beyond(connection, rights, operations)
            type_ = operations[0].type if len(operations) == 1 else None
            outcome = "forbidden" if beyond else problem.code
            await self._notes.put(self._notes.entry_of_keys(action, type_, outcome, beyond))
            raise
        self._notes.settle()
        return outcomes

    async def _beyond(
        self, connection: Connection, rights: Rights, operations: Sequence[Operation]
    ) -> list[Keys]:
        return await beyond_reach(connection, self.context, rights.writable, operations)

    async def _note_writes(
        self,
        connection: Connection,
        action: str,
        rights: Rights,
        operations: Sequence[Operation],
        outcomes: Sequence[Outcome | None],
        *,
        read: Sequence[EntryOutcome] = (),
    ) -> None:
        """Note what was written and read, and what was named but lies beyond the actor's rights:
        the answer says nothing of that, the log does.
        """
        answers = [*map(answer_write, outcomes), *read]
        idle = [op for op, outcome in zip(operations, outcomes, strict=True) if outcome is None]
        beyond = await self._beyond(connection, rights, idle)
        entries = []
        touching = self._notes.entry_of_answers(action, answers)
        if touching.hits or not beyond:
            entries.append(touching)
        if beyond:
            type_ = only({operation.type for operation in idle})
            entries.append(self._notes.entry_of_keys(action, type_, "forbidden", beyond))
        await self._notes.put_in(connection, entries)


def _told(outcomes: Sequence[EntryOutcome]) -> list[EntryOutcome]:
    """The outcomes without what is for the access log alone, which tells of hidden records."""
    return [msgspec.structs.replace(one, counted=(), about=()) for one in outcomes]


def _refuse_unless_writing(rights: Rights) -> None:
    if not rights.may_create.allowed:
        raise Forbidden(
            Sentence(
                "you may not write here (%(known)s)", known=", ".join(rights.may_create.reasons)
            )
        )


def _refuse_others(rights: Rights, operations: Sequence[Operation]) -> None:
    if rights.creatable is None:
        return
    others = sorted({operation.type for operation in operations} - rights.creatable)
    if others:
        raise Forbidden(
            Sentence(
                "you write %(known)s only, not %(known_2)s",
                known=", ".join(sorted(rights.creatable)),
                known_2=", ".join(others),
            )
        )


def _written(outcome: Outcome | None) -> Outcome:
    if outcome is None:
        raise NotFound("nothing was written")
    return outcome


def _type_of(query: Query) -> str:
    if query.type is None:
        raise Invalid("conditional criteria belong to a type: send them to /{type}?...")
    return query.type
