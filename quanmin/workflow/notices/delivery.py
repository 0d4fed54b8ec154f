"""Sends what is to leave the node: the rows are the queue, and any number of processes share it.

What waits for one person on one channel becomes one message; that it waits no more commits with the
message. A message is sent inside the transaction that claims it and marks it as sent: two never
claim one, and what dies in the middle leaves it as it was, under the key that it had.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from quanmin.base.database import UNAVAILABLE, Connection
from quanmin.base.posting import Unsent
from quanmin.trust import Guard
from quanmin.trust.notices import Channel, outside
from quanmin.trust.notices.kinds import fill
from quanmin.trust.notices.sealing import unseal
from quanmin.workflow.notices.ports import Message, Port
from quanmin.workflow.notices.quiet import QuietHours, read_clock
from quanmin.workflow.notices.settings import NoticeSettings

log = logging.getLogger("quanmin.notices")

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_SWEEP_SECONDS: Final = 3600.0
_PERSONS_A_PASS: Final = 200
_SWEPT_AT_ONCE: Final = 10_000
_MATTERS: Final = (
    "n.seen_at is null and n.withdrawn_at is null and (n.until is null or n.until > $1)"
)
_WAITING: Final = """
    select account, channel from trust.pending_notice
    where due <= $1::bigint
        and due <= $1::bigint - case when is_urgent then 0 else $2::bigint end
    group by account, channel order by min(due) limit $3
"""
# Two processes that take rows of one person in turn would send two messages.
_CLAIM: Final = """
    select pg_try_advisory_xact_lock(hashtextextended('notices ' || $1 || ' ' || $2, 0))
"""
_TAKE: Final = f"""
    select p.notice, p.is_urgent, {_MATTERS} as matters
    from trust.pending_notice p join trust.notice n on n.id = p.notice
    where p.account = $2 and p.channel = $3 and p.due <= $1 order by p.notice for update of p
"""  # noqa: S608 - constants of this module
_REMOVE: Final = "delete from trust.pending_notice where channel = $1 and notice = any($2)"
_PUT_OFF: Final = """
    update trust.pending_notice set due = $3 where channel = $1 and notice = any($2)
"""
_PUT: Final = """
    insert into trust.message (account, channel, notices, is_urgent, state, due, made_at)
    values ($1, $2, $3, $4, 'waiting', $5, $5)
"""
_NEXT: Final = f"""
    select m.message, m.key, m.account, m.channel, cardinality(m.notices) as count, m.is_urgent,
        m.attempts, c.address, c.language, a.retired_at is not null as is_retired,
        exists (select from trust.notice n where n.id = any(m.notices) and {_MATTERS}) as matters
    from trust.message m join trust.account a on a.code = m.account
    left join trust.contact c on c.account = m.account and c.channel = m.channel
    where m.state = 'waiting' and m.due <= $1 order by m.due, m.message limit 1
    for update of m skip locked
"""  # noqa: S608 - constants of this module
_END: Final = """
    update trust.message set state = $2, ended_at = $3, reason = $4, attempts = $5
    where message = $1
"""
_LATER: Final = """
    update trust.message set due = $2, reason = $3, attempts = $4 where message = $1
"""
_UNREACHABLE: Final = """
    delete from trust.contact c using trust.account a
    where a.code = c.account and a.retired_at is not null
"""
# Nobody has anything to learn of it any more, and has not for as long as it is kept.
_DONE: Final = """
    (n.withdrawn_at is not null or n.until <= $2 or greatest(n.at, n.seen_at) < $1
        and n.seen_at is not null)
"""
# What was left under a key is emptied: that it was left keeps it from being left again.
_SWEEP: Final = (
    f"""
    delete from trust.notice where id in (
        select n.id from trust.notice n join trust.account a on a.code = n.account
        where n.at < $1 and (a.retired_at is not null or n.once is null and {_DONE}) limit $3)
    """,  # noqa: S608 - constants of this module
    f"""
    update trust.notice set words = null, detail = '', matter = null,
        withdrawn_at = coalesce(withdrawn_at, $2)
    where id in (
        select n.id from trust.notice n
        where n.at < $1 and n.once is not null and {_DONE}
            and (n.words is not null or n.detail <> '' or n.matter is not null
                or n.withdrawn_at is null) limit $3)
    """,  # noqa: S608 - constants of this module
    """
    delete from trust.message where message in (
        select message from trust.message where ended_at < least($1, $2::bigint) limit $3)
    """,
)


class Delivery:
    """What one process does to have messages leave the node."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        guard: Guard,
        ports: Mapping[Channel, Port],
        settings: NoticeSettings,
        *,
        sites: Mapping[str, str],
        origin: str,
        now: Callable[[], int],
    ) -> None:
        """`sites` is the node's name in each language, `origin` where its pages are."""
        self._pool = pool
        self._context = guard.store.context
        self._ports = ports
        self._settings = settings
        self._sites = sites
        self._origin = origin
        self._now = now
        self._quiet = QuietHours(read_clock(settings.quiet_from), read_clock(settings.quiet_until))

    async def gather(self) -> int:
        """Make messages of what waits; gives how many."""
        wait = round(self._settings.gather_seconds * _SECOND)
        rows = await self._pool.fetch(_WAITING, self._now(), wait, _PERSONS_A_PASS)
        made = 0
        for row in rows:
            async with self._pool.acquire() as connection, connection.transaction():
                made += await self._gather_for(connection, row["account"], row["channel"])
        return made

    async def _gather_for(self, connection: Connection, account: str, channel: str) -> int:
        if not await connection.fetchval(_CLAIM, account, channel):
            return 0
        now = self._now()
        rows = await connection.fetch(_TAKE, now, account, channel)
        end = await self._quiet_until(connection, account, now)
        late = [row["notice"] for row in rows if end is not None and not row["is_urgent"]]
        if late:
            await connection.execute(_PUT_OFF, channel, late, end)
        kept = set(late)
        taken = [row for row in rows if row["notice"] not in kept]
        await connection.execute(_REMOVE, channel, [row["notice"] for row in taken])
        told = [row for row in taken if row["matters"]]
        if not told:
            return 0
        is_urgent = any(row["is_urgent"] for row in told)
        numbers = [row["notice"] for row in told]
        await connection.execute(_PUT, account, channel, numbers, is_urgent, now)
        return 1

    async def send_next(self) -> bool:
        """Try one message that is due; whether there was one."""
        async with self._pool.acquire() as connection, connection.transaction():
            now = self._now()
            row = await connection.fetchrow(_NEXT, now)
            if row is None:
                return False
            number, attempts = row["message"], row["attempts"]
            if row["address"] is None or row["is_retired"] or not row["matters"]:
                await connection.execute(_END, number, "needless", now, "", attempts)
                return True
            if not row["is_urgent"]:
                end = await self._quiet_until(connection, row["account"], now)
                if end is not None:
                    await connection.execute(_LATER, number, end, "", attempts)
                    return True
            unsent = await self._try(row)
            if unsent is None:
                await connection.execute(_END, number, "sent", self._now(), "", attempts + 1)
            else:
                await self._note(connection, number, attempts + 1, unsent)
            return True

    async def _try(self, row: Any) -> Unsent | None:
        """Hand a message to its port; gives why it was not taken."""
        try:
            await self._ports[row["channel"]].send(self._message(row))
        except Unsent as unsent:
            return unsent
        except Exception as error:  # one message's trouble is not that of those behind it
            log.exception("a message could not be sent")
            return Unsent(f"a defect: {type(error).__name__}", is_final=False)
        return None

    async def _note(
        self, connection: Connection, number: int, attempts: int, unsent: Unsent
    ) -> None:
        """A message was not taken: it is tried later, or refused."""
        settings, now = self._settings, self._now()
        log.warning("a message was not taken: %s", unsent.reason)
        if unsent.is_final or settings.gives_up(attempts):
            await connection.execute(_END, number, "refused", now, unsent.reason, attempts)
            return
        due = settings.after(attempts, now)
        await connection.execute(_LATER, number, due, unsent.reason, attempts)

    def _message(self, row: Any) -> Message:
        language = row["language"]
        subject, words = outside(language)
        values = {
            "site": self._sites[language],
            "address": f"{self._origin}/notices",
            "count": str(row["count"]),
        }
        address = unseal(self._context, "address", row["address"]).decode()
        return Message(
            str(row["key"]), row["channel"], address, language, subject, fill(words, values)
        )

    async def _quiet_until(self, connection: Connection, account: str, now: int) -> int | None:
        """When the quiet time of an account's owner is over; None where none holds."""
        row = await connection.fetchrow(
            "select begins, ends from trust.quiet_time where account = $1", account
        )
        hours = self._quiet if row is None else QuietHours(row["begins"], row["ends"])
        end = hours.end_of(datetime.fromtimestamp(now / _SECOND, UTC), self._context.zone)
        return None if end is None else round(end.timestamp()) * _SECOND

    async def work(self) -> None:
        """Gather what waits, and send what is due until there is nothing."""
        await self.gather()
        while await self.send_next():
            pass

    async def sweep(self) -> None:
        """Forget what has been kept long enough, and the addresses of accounts that have ended."""
        await self._pool.execute(_UNREACHABLE)
        now = self._now()
        before = now - self._settings.kept_days * _DAY
        for statement in _SWEEP:
            done = ""
            while not done.endswith(" 0"):
                done = await self._pool.execute(statement, before, now, _SWEPT_AT_ONCE)


async def deliver(delivery: Delivery, poll_seconds: float) -> None:
    """Send what is due, until cancelled."""
    swept_at = float("-inf")
    while True:
        try:
            await delivery.work()
            if time.monotonic() - swept_at > _SWEEP_SECONDS:
                swept_at = time.monotonic()
                await delivery.sweep()
        except UNAVAILABLE:
            log.warning("notices: the database cannot be reached", exc_info=True)
        except Exception:  # whatever it was, the rows are there for the next time
            log.exception("notices: sending failed and is tried again")
        await asyncio.sleep(poll_seconds)
