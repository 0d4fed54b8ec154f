"""Due lists, asked by one actor: what they may see of them, with an entry in the access log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Invalid, NotFound, Problem, Sentence
from quanmin.trust.due.model import STATUSES, Asked, Planned, Status
from quanmin.trust.due.progress import Progress, progress_of
from quanmin.trust.due.reading import DueReading, DueSlice, Schedule

if TYPE_CHECKING:
    from quanmin.trust.actors import Actor
    from quanmin.trust.guarding import Guarding
    from quanmin.trust.log import Notes

_LIST: Final = "due-list"
_NOBODY: Final = -1
_CODES: Final = "select sender, code from records.sender where sender = any($1::int[])"
_SENDER: Final = "select sender from records.sender where code = $1"


class DueLists:
    """The lists as one actor sees them. Problems are raised as the store raises them."""

    def __init__(self, guard: Guarding, notes: Notes, actor: Actor) -> None:
        self._guard = guard
        self._notes = notes
        self._actor = actor

    async def slice(
        self, asked: Asked, *, count: int, after: str = "", with_patients: bool = True
    ) -> DueSlice:
        """So many rows of a list after a place, what is due first before all. Raises NotFound for
        no such plan, Invalid for a status or a series that there is not, Malformed for no place.
        """
        plan, institution = await self._checked(asked)
        async with self._reading() as (connection, reading):
            rows, following = await reading.slice(
                plan, asked, count=count, after=after, institution=institution
            )
            progress = await progress_of(connection, self._guard.due, plan, reading.today)
            patients = await reading.patients(rows) if with_patients else {}
        codes = await self._codes({row.sender for row in rows})
        shown = tuple(
            msgspec.structs.replace(
                row, patient=patients.get(row.rid), institution=codes[row.sender]
            )
            for row in rows
            if row.rid in patients or not with_patients
        )
        keys = [(row.rid, row.rid) for row in shown]
        await self._notes.put(self._notes.entry_of_keys(_LIST, "Patient", "ok", keys))
        return DueSlice(shown, following, progress, reading.today)

    async def statuses(self, asked: Asked, *, most: int) -> list[Status]:
        """Of the first so many rows of a list the status of each; whose they are is neither told
        nor noted. Raises as `slice`.
        """
        plan, institution = await self._checked(asked)
        async with self._reading() as (_, reading):
            rows, _ = await reading.slice(
                plan, asked, count=most, after="", institution=institution
            )
        await self._notes.note(_LIST, "Patient", "ok")
        return [row.line.status(reading.today) for row in rows]

    async def counts(self, asked: Asked) -> dict[tuple[str, Status], int]:
        """How many rows a list has, by series and status. Raises as `slice`."""
        plan, institution = await self._checked(asked)
        async with self._reading() as (_, reading):
            found = await reading.counts(plan, asked, institution=institution)
        await self._notes.note(_LIST, "Patient", "ok")
        return found

    async def schedule(self, patient_id: str, plan: str) -> Schedule:
        """Where the person of a Patient stands, with all reasons, by the records that the actor may
        see. Raises NotFound, Gone.
        """
        async with self._reading() as (_, reading):
            found = await reading.schedule(self.plan(plan), patient_id)
        keys = [*((one.rid, one.rid) for one in found.patients), *found.records]
        await self._notes.put(self._notes.entry_of_keys(_LIST, None, "ok", keys))
        return found

    async def progress(self, code: str) -> Progress:
        """Whether the lists of a plan hold everybody; that names nobody, so nothing is noted."""
        keeping = self._guard.due
        today = keeping.today(self._guard.now())
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            return await progress_of(connection, keeping, self.plan(code), today)

    def plan(self, code: str) -> Planned:
        """A plan by its code. Raises NotFound."""
        plan = self._guard.due.named.get(code)
        if plan is None:
            raise NotFound(Sentence("no application declares the plan %(code)s", code=code[:80]))
        return plan

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[tuple[Connection, DueReading]]:
        _, rights = await self._guard.rights(self._actor, self._notes.purpose, "rs", "Patient")
        self._notes.decided_by(rights.reasons)
        keeping = self._guard.due
        today = keeping.today(self._guard.now())
        try:
            async with self._guard.store.reading(rights.wall) as connection:
                is_walled = rights.wall not in (None, self._guard.store.whole_node)
                yield (
                    connection,
                    DueReading(connection, keeping, rights.whole, today, is_walled=is_walled),
                )
        except Problem as problem:
            await self._notes.note(_LIST, "Patient", problem.code)
            raise

    async def _checked(self, asked: Asked) -> tuple[Planned, int | None]:
        """The plan, and the number of the institution if one is asked for."""
        plan = self.plan(asked.plan)
        strange = [*(set(asked.statuses) - set(STATUSES)), *(set(asked.series) - set(plan.series))]
        if strange or not asked.statuses:
            known = ", ".join((*STATUSES, *plan.series))
            raise Invalid(
                Sentence("a list is of statuses and series that there are: %(known)s", known=known)
            )
        if not asked.institution:
            return plan, None
        async with self._guard.store.glancing() as connection:
            found = await connection.fetchval(_SENDER, asked.institution)
        return plan, _NOBODY if found is None else int(found)

    async def _codes(self, senders: set[int]) -> dict[int, str]:
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(_CODES, [*senders])
        return {row["sender"]: row["code"] for row in rows}
