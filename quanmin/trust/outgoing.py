"""Which cases of workflows are to be told to a system outside: put in by the transaction that
brings a case into a state of which it is told, so that none is forgotten and none told of twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Conflict, Forbidden, NotFound, Sentence
from quanmin.fhir.dates import interval
from quanmin.records.context import Context
from quanmin.records.operation import Change
from quanmin.records.rid import id_of, is_assigned
from quanmin.trust.desk import Desk
from quanmin.trust.guarding import Guarding
from quanmin.trust.notices.sealing import unseal

Status = Literal["waiting", "sent", "refused", "needless"]
_EVER: Final = (1 << 63) - 1
_PUT: Final = """
    insert into trust.outgoing (task, code, state, since, due, made_at)
    values ($1, $2, $3, $4, $5, $5) on conflict (task, since) do nothing
"""
_FORGET: Final = """
    with gone as (delete from trust.outgoing_answer where task = $1)
    delete from trust.outgoing where task = $1
"""
_HOLD: Final = "select place from trust.outgoing_place for update skip locked"
_MOVE: Final = "update trust.outgoing_place set place = $1"
_IS_KNOWN: Final = "select exists (select from trust.outgoing_answer where reference = $1)"
_NOTE: Final = """
    insert into trust.outgoing_answer (reference, task, code, kind, status, why, at)
    values ($1, $2, $3, $4, $5, $6, $7) on conflict (reference) do nothing
"""
_ANSWERED: Final = """
    select answer, task, kind, status, why, at from trust.outgoing_answer
    where code = $1 and task > 0 and answer < $2 order by answer desc limit $3
"""
_LISTED: Final = """
    select message, task, state, status, attempts, said, made_at, ended_at from trust.outgoing
    where code = $1 and ($2::text is null or status = $2) and message < $3
    order by message desc limit $4
"""
_RESEND: Final = """
    update trust.outgoing set status = 'waiting', attempts = 0, due = $2, ended_at = null
    where message = $1 and status = 'refused' returning message
"""


# What waits for the same case is one message: the newest tells all. One at a time of a case, so
# that the other side is not told of an older state last.
_NEXT: Final = """
    select o.message, o.key, o.task, o.attempts,
        exists (select from trust.outgoing s where s.task = o.task and s.status = 'sent') as known
    from trust.outgoing o where o.status = 'waiting' and o.due <= $1
        and not exists (select from trust.outgoing n
            where n.task = o.task and n.message > o.message and n.status = 'waiting')
    order by o.due, o.message limit 1 for update of o skip locked
"""
_OLDER: Final = """
    update trust.outgoing set status = 'needless', ended_at = $3
    where task = $1 and message < $2 and status in ('waiting', 'refused')
"""


class Outgoing:
    """The projection. `leaving` has the states of which is told, by the label (system|code) of
    their workflow.
    """

    types = frozenset({"Task"})
    is_early = False

    def __init__(self, zone: ZoneInfo, leaving: Mapping[str, frozenset[str]], now: Any) -> None:
        self._zone = zone
        self._leaving = leaving
        self._now = now

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`."""
        for change in changes:
            if change.type != "Task" or not is_assigned(change.rid):
                continue
            if change.resource is None:  # what was said of what is gone goes with it
                await connection.execute(_FORGET, change.rid)
                continue
            found = self._told(change.resource)
            if found is not None:
                await connection.execute(_PUT, change.rid, *found, self._now())

    def _told(self, task: dict[str, Any]) -> tuple[str, str, int] | None:
        """The label of the workflow, the state, and since when; None where nobody is told."""
        labels = {_said(one) for one in (task.get("meta") or {}).get("security") or ()}
        codes = [_said(one) for one in (task.get("code") or {}).get("coding") or ()]
        label = next((one for one in codes if one in labels and one in self._leaving), None)
        if label is None:
            return None
        begin = ((task.get("restriction") or {}).get("period") or {}).get("start")
        since = interval(begin, self._zone) if isinstance(begin, str) else None
        states = [
            str(one.get("code"))
            for one in (task.get("businessStatus") or {}).get("coding") or ()
            if one.get("code") in self._leaving[label]
        ]
        return None if since is None or not states else (label, states[0], since[0])


class Waiting(msgspec.Struct, frozen=True):
    """A message that is to be sent now: its key, the Task by id, how often it was tried, and
    whether anything was told of the case before.
    """

    number: int
    key: str
    task: str
    attempts: int
    is_known: bool


async def claim(connection: Connection, context: Context, now: int) -> Waiting | None:
    """Claim a message that is due, in the caller's transaction; older ones of its case are needless
    by it. None where nothing is due that another has not claimed.
    """
    row = await connection.fetchrow(_NEXT, now)
    if row is None:
        return None
    await connection.execute(_OLDER, row["task"], row["message"], now)
    task = id_of(row["task"], context.prefix)
    return Waiting(row["message"], str(row["key"]), task, row["attempts"], row["known"])


class Sent(msgspec.Struct, frozen=True):
    """A message: the Task by id, the state it told of, how it stands, and what the other side said
    (a number, or why not). Moments are microseconds.
    """

    number: int
    task: str
    state: str
    status: Status
    attempts: int
    said: str
    made_at: int
    ended_at: int | None


class Answered(msgspec.Struct, frozen=True):
    """What the other side answered later: the Task by id, the kind of answer, what became of it,
    and why where it was not carried out. `at` is microseconds.
    """

    number: int
    task: str
    kind: str
    status: Literal["taken", "needless", "refused"]
    why: str
    at: int


class Inbox:
    """Answers as one process reads them: `place` is up to where. What is noted and where it has
    moved to commit together at the end.
    """

    def __init__(self, connection: Connection, context: Context, now: int, place: str) -> None:
        self._connection = connection
        self._context = context
        self._now = now
        self.place = place

    async def knows(self, reference: str) -> bool:
        """Whether an answer was met before."""
        return bool(await self._connection.fetchval(_IS_KNOWN, reference))

    async def note(
        self, reference: str, case: str, label: str, kind: str, *, status: str, why: str
    ) -> None:
        """Note what became of an answer."""
        rid = self._context.rid_of("Task", case) or 0
        noted = (reference, rid, label, kind, status, why, self._now)
        await self._connection.execute(_NOTE, *noted)

    async def move(self, place: str) -> None:
        """All up to here are done with."""
        await self._connection.execute(_MOVE, place)


@asynccontextmanager
async def inbox(guard: Guarding) -> AsyncIterator[Inbox | None]:
    """The answers to read; None where another process reads them now. For the node itself: it asks
    for no rights.
    """
    async with guard.store.glancing() as connection, connection.transaction():
        row = await connection.fetchrow(_HOLD)
        context = guard.store.context
        yield None if row is None else Inbox(connection, context, guard.now(), row["place"])


class OutgoingMessages(Desk):
    """The messages of a workflow. They say which cases there are and nothing of them: whoever shows
    one asks the guard for its Task first.
    """

    async def listed(
        self, label: str, status: Status | None, *, before: int = _EVER, count: int
    ) -> Sequence[Sent]:
        """The newest before a number, of a workflow by its label. Raises Forbidden."""
        context = self._guard.store.context
        self._refuse_others()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(_LISTED, label, status, before, count)
        return [_read(context, row) for row in rows]

    async def answered(self, label: str, *, before: int = _EVER, count: int) -> Sequence[Answered]:
        """What was answered later, the newest before a number. Raises Forbidden."""
        context = self._guard.store.context
        self._refuse_others()
        async with self._guard.store.glancing() as connection:
            rows = await connection.fetch(_ANSWERED, label, before, count)
        return [
            Answered(row["answer"], id_of(row["task"], context.prefix), *list(row.values())[2:])
            for row in rows
        ]

    async def resend(self, number: int) -> None:
        """Try a refused message anew. Raises Forbidden, NotFound, Conflict."""
        self._refuse_others()
        async with self._guard.store.glancing() as connection, connection.transaction():
            if await connection.fetchval(_RESEND, number, self._guard.now()) is None:
                status = await connection.fetchval(
                    "select status from trust.outgoing where message = $1", number
                )
                if status is None:
                    raise NotFound(Sentence("there is no message %(number)s", number=number))
                raise Conflict(
                    Sentence(
                        "message %(number)s is %(status)s: only a refused one is sent again",
                        number=number,
                        status=status,
                    )
                )
            entry = self._notes.entry_of_keys("resend-message", None, "ok", [])
            await self._notes.put_in(connection, [entry])
        self._notes.settle()

    def _refuse_others(self) -> None:
        if self._actor.role != "public_health_worker" or self._actor.scopes is not None:
            raise Forbidden("these messages are for those who look after reports")


def _read(context: Context, row: Any) -> Sent:
    said = unseal(context, "words", row["said"]).decode() if row["said"] else ""
    return Sent(
        row["message"],
        id_of(row["task"], context.prefix),
        row["state"],
        row["status"],
        row["attempts"],
        said,
        row["made_at"],
        row["ended_at"],
    )


def _said(coding: dict[str, Any]) -> str:
    return f"{coding.get('system', '')}|{coding.get('code', '')}"
