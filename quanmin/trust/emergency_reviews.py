"""Judging what was opened in an emergency: by others than who opened it, once, with reasons, which
the person and the opener read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Forbidden, NotFound, Problem
from quanmin.records.rid import id_of
from quanmin.trust.deciding.glass import (
    Glasses,
    Opened,
    Openings,
    State,
    Wanted,
    load_glass_rules,
)
from quanmin.trust.deciding.reaching import BREAK_GLASS
from quanmin.trust.desk import Desk

_EVER: Final = (1 << 63) - 1
_NO_INSTITUTION: Final = 0
_JUDGING: Final = "judge-break-glass"
_READING: Final = "read-break-glass"
# Of what was read while it was open, what is of this person: entries of the log name records.
_READ: Final = """
    with entry as materialized (
        select a.action, a.records from trust.access a
        where a.at >= $3 and a.at <= $4 and a.actor = $1 and a.purpose = $5
            and a.patients && $2::bigint[] and a.outcome = 'ok'
    )
    select r.type, count(distinct r.rid) as records,
        (select count(*) from entry) as requests
    from records.record r
    where r.rid in (select unnest(e.records) from entry e) and r.patient = any($2::bigint[])
    group by r.type order by r.type
"""
_SENDERS: Final = "select sender, code from records.sender where sender = any($1::int[])"


class Review(msgspec.Struct, frozen=True):
    """One opening as its reviewer sees it. `patient` is the Patient that was named, without its id
    where its sender chose that; `read` how many records of each type were read while it was open,
    in `requests` requests.
    """

    opened: Opened
    institution: str
    patient: str
    read: tuple[tuple[str, int], ...]
    requests: int


class EmergencyReviews(Desk):
    """What one reviewer sees and says of what others have opened."""

    @property
    def _glasses(self) -> Glasses:
        return Glasses(self._guard.people, self._guard.store.context)

    async def listed(
        self,
        wanted: Wanted,
        *,
        institution: str = "",
        after: tuple[int, int] | None = None,
        count: int,
        is_newest_first: bool = False,
    ) -> list[tuple[Opened, str]]:
        """Openings with the code of their institution, the oldest first unless the newest are to
        be, after a moment and number. Raises Forbidden for who does not judge.
        """
        after = after or ((_EVER, _EVER) if is_newest_first else (0, 0))
        own = await self._own_institution()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            sender = own
            if institution:
                sender = await connection.fetchval(
                    "select sender from records.sender where code = $1", institution
                )
                sender = sender if own in {None, sender} else None
                sender = sender or _NO_INSTITUTION
            wanted = msgspec.structs.replace(wanted, sender=sender)
            found = await self._glasses.listed(
                connection, wanted, after=after, count=count, is_newest_first=is_newest_first
            )
            named = await _named(connection, {one.sender for one in found})
        await self._note({one.patient for one in found}, len(found))
        return [(one, named.get(one.sender, "")) for one in found]

    async def waiting(self, count_max: int) -> tuple[int, int]:
        """How many the asker is to judge, and how many are late, up to one beyond a number. Raises
        Forbidden for who does not judge.
        """
        own = await self._own_institution()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            now = self._guard.now()
            return await self._glasses.waiting(connection, own, now, count_max=count_max)

    async def review(self, glass: int) -> Review:
        """One opening, and what was read while it was open: kinds and numbers, not what they say.
        Raises Forbidden, NotFound.
        """
        own = await self._own_institution()
        guard, context = self._guard, self._guard.store.context
        async with guard.store.reading(guard.store.whole_node) as connection:
            opened = _of_institution(await self._glasses.one(connection, glass), own)
            person = await guard.people.person_of(connection, opened.patient)
            linked = [] if person is None else await guard.people.patients_of(connection, person)
            patients = sorted({opened.patient, *linked})
            rows = await connection.fetch(
                _READ, opened.actor, patients, opened.at, opened.until, BREAK_GLASS
            )
            named = await _named(connection, {opened.sender})
        await self._note({opened.patient}, 1)
        rid = opened.patient
        patient = f"Patient/{id_of(rid, context.prefix)}" if rid > 0 else "Patient"
        read = tuple((context.named(row["type"]).name, int(row["records"])) for row in rows)
        requests = int(rows[0]["requests"]) if rows else 0
        return Review(opened, named.get(opened.sender, ""), patient, read, requests)

    async def judge(self, glass: int, state: State, opinion: str) -> None:
        """Say of one whether there was reason for it, and why. Raises as `Glasses.judge`, and
        Forbidden.
        """
        guard = self._guard
        try:
            own = await self._own_institution()
            whole = guard.store.whole_node
            async with guard.store.glancing(whole) as connection, connection.transaction():
                if own is not None:
                    _of_institution(await self._glasses.one(connection, glass), own)
                patient = await self._glasses.judge(
                    connection,
                    glass,
                    state,
                    opinion=opinion,
                    reviewer=self._actor.code,
                    now=guard.now(),
                )
                entry = self._notes.entry_of_keys(_JUDGING, "Patient", state, [(patient, patient)])
                await self._notes.put_in(connection, [entry])
        except Problem as problem:
            await self._notes.note(_JUDGING, None, problem.code)
            raise
        self._notes.settle()

    async def statistics(self, since: int, before: int) -> list[tuple[Openings, str]]:
        """How often who opened records, with the code of the institution, the most first. Raises
        Forbidden for who does not judge.
        """
        own = await self._own_institution()
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            found = await self._glasses.statistics(connection, since, before, own)
            named = await _named(connection, {one.sender for one in found})
        await self._note(set(), len(found))
        return [(one, named.get(one.sender, "")) for one in found]

    async def suspended_until(self, actors: Sequence[str]) -> dict[str, int]:
        """Of these actors those who may open no records for now, and until when."""
        await self._own_institution()
        now, found = self._guard.now(), {}
        async with self._guard.store.glancing(self._guard.store.whole_node) as connection:
            for actor in dict.fromkeys(actors):
                until = await self._glasses.suspended_until(connection, actor, now)
                if until is not None:
                    found[actor] = until
        return found

    async def is_charged(self) -> bool:
        """Whether the asker judges what was opened for their institution, by a post of theirs.
        Raises Stopped for whom the registers do not let act.
        """
        own = load_glass_rules().own_reviewers
        standing = await self._guard.standings.of(self._actor)
        return self._actor.role in own.roles and own.duty in self._actor.duties | standing.duties

    async def _own_institution(self) -> int | None:
        """The institution (its number) whose emergencies the asker judges; None for all. Raises
        Forbidden for who does not judge.
        """
        await self._refuse_entrusted()
        is_charged = await self.is_charged()
        if self._actor.role in load_glass_rules().reviewers:
            return None
        if not is_charged:
            raise Forbidden(
                "what was opened in an emergency is judged by security administrators, and for"
                " their own institution by who is charged with it in a post"
            )
        return await self._guard.store.sender(self._actor.sender)

    async def _note(self, patients: set[int], number: int) -> None:
        entry = self._notes.entry_of_keys(_READING, None, "ok", ())
        await self._notes.put(
            msgspec.structs.replace(entry, hits=number, patients=tuple(sorted(patients)))
        )


def _of_institution(opened: Opened, own: int | None) -> Opened:
    """The same. Raises NotFound for another institution's, as for one that is not there."""
    if own is not None and opened.sender != own:
        raise NotFound("nothing was opened under this number")
    return opened


async def _named(connection: Connection, senders: set[int]) -> dict[int, Any]:
    rows = await connection.fetch(_SENDERS, sorted(senders))
    return {row["sender"]: row["code"] for row in rows}
