"""Judging through the guard: what is wrong with a resource, and whether its write would be taken.

Whatever is looked at on the way, what a resource refers to included, is what the actor may see, and
stands in the access log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, Gone, Issue, NotFound, Problem, Sentence
from quanmin.fhir.json import Json, decode
from quanmin.fhir.validation import advise, validate
from quanmin.records.model import Stored
from quanmin.records.operation import IfMatch, Operation, Sender
from quanmin.records.profiles.judging import named_record
from quanmin.records.reading import read
from quanmin.records.targets import beyond_reach
from quanmin.trust.deciding import Rights
from quanmin.trust.log import Notes

if TYPE_CHECKING:
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding

_ACTION: Final = "validate"
_LARGE_BYTES: Final = 64 << 10


class Validating:
    """What one actor asks about in one request. Nothing is written but the access log."""

    def __init__(self, guard: Guarding, notes: Notes, actor: Actor) -> None:
        self._guard = guard
        self._context = guard.store.context
        self._notes = notes
        self._actor = actor

    async def stored(self, type_: str, id_: str) -> Stored:
        """A record, whole, to be judged. Raises NotFound, Gone."""
        _, rights = await self._guard.rights(self._actor, self._notes.purpose, "r", type_)
        self._notes.decided_by(rights.reasons)
        try:
            return await self._guard.store.glance(rights.whole, type_, id_, rights.wall)
        except Problem as problem:
            await self._notes.note(_ACTION, type_, problem.code)
            raise

    async def content(
        self,
        type_: str,
        body: bytes,
        profiles: Sequence[str] = (),
        judged: Stored | None = None,
    ) -> list[Issue]:
        """Everything that is wrong with a body as a record of this type, or could be better: by R4,
        by the profiles it claims and by `profiles`. `judged` is the record that it is the body of.

        Raises Malformed when the body is no JSON object.
        """
        _, rights = await self._guard.rights(self._actor, self._notes.purpose, "r")
        self._notes.decided_by(rights.reasons)
        # A large body takes seconds, and requests go on meanwhile.
        if len(body) > _LARGE_BYTES:
            issues = await asyncio.to_thread(_by_r4, type_, body)
        else:
            issues = _by_r4(type_, body)
        resource = decode(body)
        seen: list[Stored] = [] if judged is None else [judged]
        if resource.get("resourceType") == type_:
            issues += await self._profiled(rights, resource, profiles, seen)
            if type_ == "StructureDefinition" and not any(map(is_breaking, issues)):
                async with self._guard.store.reading(rights.wall) as connection:
                    issues += await self._context.profiles.faults(connection, resource)
        await self._notes.note(_ACTION, type_, "ok", seen)
        return issues

    async def _profiled(
        self,
        rights: Rights,
        resource: dict[str, Json],
        profiles: Sequence[str],
        seen: list[Stored],
    ) -> list[Issue]:
        context = self._context
        async with self._guard.store.reading(rights.wall) as connection:

            async def resolve(reference: str) -> Json | None:
                if len(seen) > context.limits.include_rows_max:
                    return None
                found = await self._target(connection, rights, reference)
                if found is None or found.body is None:
                    return None
                seen.append(found)
                return decode(found.body)

            knowledge = await context.profiles.knowledge(connection)
            return await context.profiles.judge(
                context, connection, knowledge, resource, profiles=profiles, resolve=resolve
            )

    async def _target(
        self, connection: Connection, rights: Rights, reference: str
    ) -> Stored | None:
        name = named_record(reference, self._context.base)
        if name is None:
            return None
        try:
            return await read(connection, self._context, rights.whole, *name)
        except (NotFound, Gone):
            return None

    async def creation(self, type_: str, body: bytes) -> list[Issue]:
        """Why a creation would be refused; empty when it would be taken. Nothing is written."""
        return await self._rehearse(Operation(kind="create", type=type_, body=body))

    async def update(
        self, type_: str, id_: str, body: bytes, *, if_match: IfMatch | None = None
    ) -> list[Issue]:
        """The same for an update."""
        return await self._rehearse(
            Operation(kind="update", type=type_, id=id_, body=body, if_match=if_match)
        )

    async def deletion(
        self, type_: str, id_: str, *, if_match: IfMatch | None = None
    ) -> list[Issue]:
        """The same for a deletion, which must find something to delete."""
        return await self._rehearse(Operation(kind="delete", type=type_, id=id_, if_match=if_match))

    async def _rehearse(self, operation: Operation) -> list[Issue]:
        sender, rights = await self._guard.own_rights(self._actor, self._notes.purpose)
        self._notes.decided_by(rights.changing)
        scoped = await self._guard.scoped(self._actor)
        store = self._guard.store
        try:
            if not rights.may_create.allowed:
                raise Forbidden(
                    Sentence(
                        "you may not write here (%(known)s)",
                        known=", ".join(rights.may_create.reasons),
                    )
                )
            rights.standing.refuse_unlicensed({operation.type})
            who = Sender(
                sender, rights.readable, rights.writable, rights.deletable, wall=rights.own_wall
            )
            if scoped is not None:
                who = scoped.sender(sender, rights, [operation])
            (outcome,) = await store.rehearse(who, [operation])
            if outcome is None and operation.kind == "delete":
                raise NotFound("there is no such record, or none that you may know of")
        except Problem as problem:
            async with store.glancing(store.whole_node) as connection:
                beyond = await beyond_reach(connection, self._context, rights.writable, [operation])
            said = "forbidden" if beyond else problem.code
            entry = self._notes.entry_of_keys(_ACTION, operation.type, said, beyond)
            await self._notes.put(entry)
            if problem.status >= 500:
                raise
            return list(problem.issues)
        if outcome is None:  # others have the id, of which the log alone is told
            async with store.glancing() as connection:
                beyond = await beyond_reach(connection, self._context, rights.writable, [operation])
            await self._notes.put(
                self._notes.entry_of_keys(_ACTION, operation.type, "forbidden", beyond)
            )
            return []
        # A rehearsed creation has a key that was rolled back with it: there is nothing to name.
        was_there = [] if outcome.created else [outcome.stored]
        await self._notes.note(_ACTION, operation.type, "ok", was_there)
        return []


def _by_r4(type_: str, body: bytes) -> list[Issue]:
    """The faults of a body by R4 itself, and what could be better."""
    issues = validate(type_, body, is_ruled=True)
    if decode(body).get("resourceType") == type_:
        issues += advise(type_, body)
    return issues


def is_breaking(issue: Issue) -> bool:
    """Whether an issue would keep a record from being written."""
    return issue.severity in {"error", "fatal"}
