"""Opening records in an emergency through the guard; all of it is in the access log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, NotFound, Problem
from quanmin.fhir.grammar import parse_query
from quanmin.records.context import DELETED
from quanmin.records.search import search
from quanmin.records.visibility import Everything
from quanmin.trust.deciding import Said
from quanmin.trust.deciding.glass import Glasses, Opened
from quanmin.trust.deciding.reaching import BREAK_GLASS
from quanmin.trust.desk import Desk
from quanmin.trust.notices import tell_persons

if TYPE_CHECKING:
    from quanmin.trust.guarding import Guarding

_ACTION: Final = "break-glass"
_CLOSING: Final = "close-break-glass"
_PATIENT: Final = "select patient from records.record where type = $1 and rid = $2"
_FOUND_MAX: Final = 50


class Emergencies(Desk):
    """What one actor opens, or what was opened of theirs."""

    @property
    def _glasses(self) -> Glasses:
        return Glasses(self._guard.people, self._guard.store.context)

    async def open(self, patient_id: str, reason: str) -> int:
        """Open the record of the person whom this Patient is, for a while and for the purpose BTG;
        gives until when, in microseconds.

        Raises Forbidden for whom no rule lets, or the registers do not, NotFound when there is no
        such Patient, Invalid for a reason that says nothing. Whoever may open learns by it that
        there is such a Patient: the attempt is in the access log, and the person is told.
        """
        guard, context = self._guard, self._guard.store.context
        said = await self._said()
        self._notes.decided_by(said)
        try:
            if said.tokens is None:
                raise Forbidden("no rule lets you open records in an emergency")
            rid = context.rid_of("Patient", patient_id)
            sender = await guard.store.sender(self._actor.sender)
            _, rights = await guard.own_rights(self._actor, BREAK_GLASS)
            async with guard.store.glancing(rights.wall) as connection:
                if rid is None or not await _is_there(connection, guard, rid):
                    raise NotFound("there is no such Patient")
            # What is opened is opened of the person, wherever they are known.
            whole = guard.store.whole_node
            async with guard.store.glancing(whole) as connection, connection.transaction():
                until = await self._glasses.open(
                    connection,
                    actor=self._actor.code,
                    sender=sender,
                    patient=rid,
                    reason=reason,
                    request=self._request_id,
                    now=guard.now(),
                )
                entry = self._notes.entry_of_keys(_ACTION, "Patient", "ok", [(rid, rid)])
                await tell_persons(connection, [rid], guard.now(), "record-opened")
                await self._notes.put_in(connection, [entry])
        except Problem as problem:
            await self._notes.note(_ACTION, "Patient", problem.code)
            raise
        self._notes.settle()
        return until

    async def _said(self) -> Said:
        """The rules that let this actor open records in an emergency. Raises Stopped."""
        acting = await self._guard.acting(self._actor)
        return self._guard.deciding.of_break_glass(acting, self._guard.now())

    async def find(self, identifier: str) -> str | None:
        """The id of a Patient with this very identifier, whoever registered it, for one who may
        open records in an emergency; None for none, or for several that are not one person.

        Noted whatever is found: who asks learns that there is such a Patient.
        """
        guard, context = self._guard, self._guard.store.context
        said = await self._said()
        self._notes.decided_by(said)
        if said.tokens is None:
            await self._notes.note("find-break-glass", "Patient", Forbidden.code)
            raise Forbidden("no rule lets you open records in an emergency")
        query = parse_query(
            "Patient",
            [("identifier", _escaped(identifier)), ("_count", str(_FOUND_MAX))],
            strict=True,
            zone=context.zone,
            limits=context.query_limits,
        )
        _, rights = await guard.own_rights(self._actor, BREAK_GLASS)
        async with guard.store.reading(rights.wall) as connection:
            hits = await search(connection, context, query, Everything())
        async with guard.store.glancing(guard.store.whole_node) as connection:
            persons = {
                await guard.people.person_of(connection, hit.rid) or -hit.rid
                for hit in hits.matches
            }
        await self._notes.note("find-break-glass", "Patient", "ok", hits.matches)
        return hits.matches[0].id if len(persons) == 1 and hits.next is None else None

    async def under_way(self, type_: str, id_: str) -> int | None:
        """Until when this actor has opened the record of the person whom a record is about, None
        for not at all; what is read meanwhile is noted as it is read.
        """
        context = self._guard.store.context
        rid = context.rid_of(type_, id_) if type_ in context.table.types else None
        if rid is None or (await self._said()).tokens is None:
            return None
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            number = context.definition(type_).number
            patient = await connection.fetchval(_PATIENT, number, rid)
            if patient is None:
                return None
            return await self._glasses.under_way(
                connection, self._actor.code, patient, self._guard.now()
            )

    async def close(self, patient_id: str) -> None:
        """End what this actor has opened of the person whom a Patient is. Raises NotFound when it
        was not open.
        """
        guard = self._guard
        rid = guard.store.context.rid_of("Patient", patient_id)
        self._notes.decided_by(guard.deciding.of_break_glass(self._actor, guard.now()))
        try:
            whole = guard.store.whole_node
            async with guard.store.glancing(whole) as connection, connection.transaction():
                is_closed = rid is not None and await self._glasses.close(
                    connection, self._actor.code, rid, guard.now()
                )
                if not is_closed or rid is None:
                    raise NotFound("you have not opened this record")
                entry = self._notes.entry_of_keys(_CLOSING, "Patient", "ok", [(rid, rid)])
                await self._notes.put_in(connection, [entry])
        except Problem as problem:
            await self._notes.note(_CLOSING, "Patient", problem.code)
            raise
        self._notes.settle()

    async def own(self, count: int, after: tuple[int, int] | None = None) -> list[Opened]:
        """What this actor has opened, the newest first, and what was judged of it; after one by its
        moment and number, None: from the first.
        """
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            found = await self._glasses.by(connection, self._actor.code, count, after)
        await self._note(found)
        return found

    async def about_asker(self) -> list[Opened]:
        """What was opened of the asker's own record, the newest first."""
        patients = await self._guard.patients_of(self._actor)
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            found = await self._glasses.about(connection, sorted(patients))
        await self._note(found)
        return found

    async def _note(self, found: list[Opened]) -> None:
        entry = self._notes.entry_of_keys("read-break-glass", None, "ok", ())
        patients = tuple({one.patient for one in found})
        await self._notes.put(msgspec.structs.replace(entry, hits=len(found), patients=patients))


async def _is_there(connection: Connection, guard: Guarding, rid: int) -> bool:
    number = guard.store.context.definition("Patient").number
    found = await connection.fetchval(
        "select true from records.record where type = $1 and rid = $2 and flags & $3 = 0",
        number,
        rid,
        DELETED,
    )
    return bool(found)


def _escaped(value: str) -> str:
    """A value of a search as it is: these signs would part it."""
    return re.sub(r"([\\,$|])", r"\\\1", value.strip())
