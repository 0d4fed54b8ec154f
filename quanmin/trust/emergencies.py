"""Opening records in an emergency through the guard, and judging it afterwards; all of it is in the
access log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, NotFound, Problem
from quanmin.records.context import DELETED
from quanmin.trust.deciding.glass import Glasses, Opened, Openings, State
from quanmin.trust.deciding.reaching import BREAK_GLASS
from quanmin.trust.desk import Desk

if TYPE_CHECKING:
    from quanmin.trust.guarded_reading import Guarding

_ACTION: Final = "break-glass"
_REVIEWERS: Final = frozenset({"operator", "security_administrator"})


class Emergencies(Desk):
    """What one actor opens, or judges of what others have opened."""

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
        self._notes.decided_by(guard.deciding.of_break_glass(self._actor))
        await guard.standings.of(self._actor)
        try:
            if not guard.deciding.may_break_glass(self._actor):
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
                await self._notes.put_in(connection, [entry])
        except Problem as problem:
            await self._notes.note(_ACTION, "Patient", problem.code)
            raise
        self._notes.settle()
        return until

    async def waiting(self, count: int) -> list[Opened]:
        """What nobody has judged yet, the oldest first. Raises Forbidden for who does not judge."""
        self._refuse_others()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            found = await self._glasses.waiting(connection, count)
        await self._note(found)
        return found

    async def about_asker(self) -> list[Opened]:
        """What was opened of the asker's own record, the newest first."""
        patients = await self._guard.patients_of(self._actor)
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            found = await self._glasses.about(connection, sorted(patients))
        await self._note(found)
        return found

    async def judge(self, glass: int, state: State) -> None:
        """Say of one whether there was reason for it. Raises as `Glasses.judge`, and Forbidden."""
        self._refuse_others()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            await self._glasses.judge(
                connection, glass, state, reviewer=self._actor.code, now=self._guard.now()
            )
        await self._notes.note("judge-break-glass", None, state)

    async def statistics(self, since: int, before: int) -> list[Openings]:
        """How often who opened records, the most first. Raises Forbidden for who does not judge."""
        self._refuse_others()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            return await self._glasses.statistics(connection, since, before)

    def _refuse_others(self) -> None:
        if self._actor.role not in _REVIEWERS:
            raise Forbidden("what was opened in an emergency is judged by security administrators")

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
