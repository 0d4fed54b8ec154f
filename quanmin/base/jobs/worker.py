"""Works jobs off in one process; any number of processes share the work.

A job is taken by a lease that is renewed while it runs; a worker that dies loses it. Each step is
one transaction that begins by locking out every other worker from the job and ends by moving it on
under its lease: whoever lost the lease meanwhile commits nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

from quanmin.base.database import UNAVAILABLE, Connection
from quanmin.base.jobs.model import Continue, Job, JobLimits, Kind
from quanmin.base.jobs.register import CHANNEL, sweep
from quanmin.base.problems import Problem

log = logging.getLogger("quanmin.jobs")

_Said = TypeVar("_Said")

_LOCKS: Final = int.from_bytes(b"jobs", "big")
_REASONS_MAX: Final = 20
_SWEEP_SECONDS: Final = 3600.0
_WORTH_REPEATING: Final = frozenset({409, 412, 429})

# What the driver raises while the database is away.
AWAY: Final[tuple[type[Exception], ...]] = (OSError, *UNAVAILABLE)

# Of each kind the next few, in turn: the first of every kind before the second of any. The kinds
# come in the order in which they were served last, so a full kind cannot starve the others.
_TAKE: Final = """
    with next as (
        select s.job, k.place, row_number() over (
            partition by k.kind order by s.priority desc, s.due, s.job) as rank
        from unnest($1::text[]) with ordinality as k (kind, place)
        cross join lateral (
            select j.job, j.priority, j.due from jobs.job j
            where j.kind = k.kind and j.state = 'waiting' and j.due <= jobs.now()
            order by j.priority desc, j.due, j.job limit $2 for update skip locked) s
    )
    update jobs.job j set state = 'running', lease = nextval('jobs.lease'), worker = $3,
        leased_until = jobs.now() + $4, started_at = coalesce(started_at, jobs.now())
    from (select job, rank, place from next order by rank, place limit $2) t
    where j.job = t.job returning j.job, j.kind, j.lease, t.rank, t.place
"""
_BEGIN: Final = """
    select kind, owner, payload, position, done, total, attempts, is_cancel_asked,
           pg_try_advisory_xact_lock($3, (job & 2147483647)::int) as is_alone,
           set_config('idle_in_transaction_session_timeout', $4, true)
    from jobs.job where job = $1 and lease = $2 and state = 'running'
"""
_MOVE_ON: Final = """
    update jobs.job set position = $3, done = $4, total = coalesce($5, total), message = $6,
        attempts = 0
    where job = $1 and lease = $2 and state = 'running' returning job
"""
_END: Final = """
    update jobs.job set state = 'done', result = $3, message = $4, ended_at = jobs.now(),
        done = coalesce(total, done), lease = null, worker = null, leased_until = null
    where job = $1 and lease = $2 and state = 'running' returning job
"""
_CANCELLED: Final = """
    update jobs.job set state = 'cancelled', ended_at = jobs.now(), lease = null, worker = null,
        leased_until = null
    where job = $1 and lease = $2 and state = 'running' returning job
"""
_GIVE_BACK: Final = """
    update jobs.job set state = 'waiting', due = jobs.now() + $3, lease = null, worker = null,
        leased_until = null
    where job = $1 and lease = $2 and state = 'running'
"""
# The last reasons are kept, each with its moment.
_FAIL: Final = """
    update jobs.job set attempts = attempts + 1, lease = null, worker = null, leased_until = null,
        reasons = (select coalesce(jsonb_agg(r order by n), '[]') from (
            select r, n from jsonb_array_elements(
                reasons || jsonb_build_object(
                    'at', jobs.now(), 'text', $3::text, 'status', $9::int))
                with ordinality as e (r, n) order by n desc limit $8) kept),
        state = case when $4 or attempts + 1 >= $5 then 'dead' else 'waiting' end,
        ended_at = case when $4 or attempts + 1 >= $5 then jobs.now() end,
        due = jobs.now() + least($6 * 2 ^ attempts * (1 + (job % 16) / 64.0), $7)::bigint
    where job = $1 and lease = $2 and state = 'running'
"""
_RENEW: Final = """
    update jobs.job set leased_until = jobs.now() + $2
    where lease = any($1::bigint[]) and state = 'running'
"""
_LOST: Final = """
    select job, lease from jobs.job
    where state = 'running' and leased_until < jobs.now() for update skip locked
"""


class _Lost(Exception):  # noqa: N818 - no error: the job is another's now
    """The lease is not ours any more; the transaction is rolled back."""


class _Failed(Exception):  # noqa: N818 - what the step raised, told so that it can be kept
    """A step failed, and whether trying again is in vain."""

    def __init__(self, text: str, *, is_hopeless: bool, status: int = 500) -> None:
        super().__init__(text)
        self.text = text
        self.is_hopeless = is_hopeless
        self.status = status


class _Held(msgspec.Struct, frozen=True):
    job: int
    kind: str
    lease: int


class Worker:
    """Takes jobs of the given kinds until told to stop."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        kinds: Iterable[Kind],
        limits: JobLimits | None = None,
    ) -> None:
        """The pool has to have a connection for each place and two more."""
        self._pool = pool
        self._kinds = {kind.name: kind for kind in kinds}
        self._limits = limits or JobLimits()
        self._name = f"{socket.gethostname()[:40]}:{os.getpid()}"
        self._turn = list(self._kinds)
        self._held: dict[int, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(self._limits.places)
        self._woken = asyncio.Event()
        self._ending = asyncio.Event()

    def stop(self) -> None:
        """Take nothing more; `run` returns when the steps under way are done."""
        self._ending.set()
        self._woken.set()

    async def run(self) -> None:
        """Work until `stop`; a database that goes away is waited for."""
        looking = asyncio.create_task(self._look_after())
        listening = asyncio.create_task(self._listen())
        try:
            while not self._ending.is_set():
                self._woken.clear()
                taken = 0
                try:
                    taken = await self._fill()
                except AWAY:
                    log.warning("jobs: the database cannot be reached", exc_info=True)
                if not taken:
                    await self._pause()
            await asyncio.gather(*self._held.values(), return_exceptions=True)
        finally:
            for each in (looking, listening, *self._held.values()):
                each.cancel()
            await asyncio.gather(looking, listening, *self._held.values(), return_exceptions=True)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.poll_seconds):
                await self._woken.wait()

    # ---- taking -------------------------------------------------------------------------------

    async def _fill(self) -> int:
        """Take a batch when there are free places; returns how many jobs were taken."""
        limits = self._limits
        if len(self._held) >= limits.places or not self._kinds:
            return 0
        wanted = max(limits.places, limits.batch_jobs) - len(self._held)
        lease = round(limits.lease_seconds * 1e6)
        rows = await self._pool.fetch(_TAKE, self._turn, wanted, self._name, lease)
        for row in sorted(rows, key=lambda row: (row["rank"], row["place"])):
            held = _Held(row["job"], row["kind"], row["lease"])
            self._turn.remove(held.kind)
            self._turn.append(held.kind)
            self._held[held.lease] = asyncio.create_task(self._work(held))
        return len(rows)

    async def _look_after(self) -> None:
        """Renew what is held, give what others lost to whoever is free, forget what is over."""
        swept_at = float("-inf")
        while True:
            now = time.monotonic()
            with suppress(*AWAY):
                lease = round(self._limits.lease_seconds * 1e6)
                await self._pool.execute(_RENEW, [*self._held], lease)
                await self._revive_lost()
                if now - swept_at > _SWEEP_SECONDS:
                    swept_at = now
                    await sweep(self._pool, self._limits.kept_days)
            await asyncio.sleep(self._limits.lease_seconds / 3)

    async def _revive_lost(self) -> None:
        """Jobs whose worker has died count an attempt: one that kills its worker must end too."""
        async with self._pool.acquire() as connection, connection.transaction():
            for row in await connection.fetch(_LOST):
                text = "the worker ended, or was cut off, in the middle of a step"
                log.warning("a job lost its worker")
                await self._fail(connection, row["job"], row["lease"], text, is_hopeless=False)

    async def _listen(self) -> None:
        """Be woken when jobs are put in; without it the poll finds them."""
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await connection.add_listener(CHANNEL, self._wake)
                    try:
                        # The driver tells nobody when a quiet connection dies.
                        while not connection.is_closed():  # noqa: ASYNC110 - as said above
                            await asyncio.sleep(self._limits.poll_seconds)
                    finally:
                        if not connection.is_closed():
                            await connection.remove_listener(CHANNEL, self._wake)
            except AWAY:
                await asyncio.sleep(self._limits.poll_seconds)

    def _wake(self, *_: object) -> None:
        self._woken.set()

    # ---- one job ------------------------------------------------------------------------------

    async def _work(self, held: _Held) -> None:
        """One turn of a job, once a place is free; given back when it has not ended."""
        try:
            async with self._places:
                if not await self._has_ended(held):
                    await self._pool.execute(_GIVE_BACK, held.job, held.lease, 0)
        except _Lost:
            log.warning("a job was lost to another worker")
        except AWAY:
            # The transaction is gone with the connection; the lease brings the job back.
            log.warning("jobs: the database went away in a step", exc_info=True)
        except Exception:  # one job's trouble is not that of the others
            log.exception("a job could not be moved on")
        finally:
            del self._held[held.lease]
            self._woken.set()

    async def _has_ended(self, held: _Held) -> bool:
        """Step after step, until the job has ended or failed, or its turn is over."""
        end = time.monotonic() + self._limits.turn_seconds
        while not self._ending.is_set():
            if not await self._step(held):
                return True
            if time.monotonic() >= end:
                return False
        return False

    async def _step(self, held: _Held) -> bool:
        """One step in one transaction; whether there are more."""
        seconds = self._limits.step_seconds_max
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                async with asyncio.timeout(seconds):
                    return await self._advance(connection, held)
        except _Failed as failure:
            await self._fail(
                self._pool,
                held.job,
                held.lease,
                failure.text,
                is_hopeless=failure.is_hopeless,
                status=failure.status,
            )
        except TimeoutError:
            text = f"a step took longer than {seconds:g} s (setting jobs.step_seconds_max)"
            await self._fail(self._pool, held.job, held.lease, text, is_hopeless=False)
        return False

    async def _advance(self, connection: Connection, held: _Held) -> bool:
        idle = str(round(self._limits.step_seconds_max * 1000))
        row = await connection.fetchrow(_BEGIN, held.job, held.lease, _LOCKS, idle)
        if row is None:
            raise _Lost
        if not row["is_alone"]:
            # A worker that was given up is still inside a step; it cannot commit, wait for its end.
            pause = round(min(self._limits.poll_seconds, 1.0) * 1e6)
            await connection.execute(_GIVE_BACK, held.job, held.lease, pause)
            return False
        kind, job = self._kinds[held.kind], _job(held.job, row)
        if row["is_cancel_asked"]:
            if kind.cancelled is not None:
                await _perform(connection, kind.cancelled(connection, job))
            await _insist(connection, _CANCELLED, held.job, held.lease)
            return False
        said = await _perform(connection, kind.step(connection, job))
        mark = held.job, held.lease
        if isinstance(said, Continue):
            position = msgspec.json.encode(said.position).decode()
            told = (position, said.done, said.total, said.message)
            await _insist(connection, _MOVE_ON, *mark, *told)
            return True
        await _insist(connection, _END, *mark, _packed(said.result), said.message)
        return False

    async def _fail(
        self,
        database: Any,
        job: int,
        lease: int,
        text: str,
        *,
        is_hopeless: bool,
        status: int = 500,
    ) -> None:
        limits = self._limits
        await database.execute(
            _FAIL,
            job,
            lease,
            text,
            is_hopeless,
            limits.attempts_max,
            limits.backoff_seconds * 1e6,
            limits.backoff_seconds_max * 1e6,
            _REASONS_MAX,
            status,
        )


async def _perform(connection: Connection, doing: Awaitable[_Said]) -> _Said:
    """What a step says; _Failed with what is wrong unless the database went away under it."""
    try:
        return await doing
    except Problem as problem:
        is_hopeless = 400 <= problem.status < 500 and problem.status not in _WORTH_REPEATING
        raise _Failed(problem.text, is_hopeless=is_hopeless, status=problem.status) from problem
    except Exception as error:
        if connection.is_closed():
            raise
        # The text of a defect may repeat what a record says; its name and place do not.
        log.exception("a step of a job failed")
        raise _Failed(_named(error), is_hopeless=False) from error


async def _insist(connection: Connection, statement: str, *arguments: Any) -> None:
    """Move the job on under its lease; without it, nothing of the step may commit."""
    if await connection.fetchval(statement, *arguments) is None:
        raise _Lost


def _packed(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _job(number: int, row: Any) -> Job:
    position = row["position"]
    return Job(
        number,
        row["kind"],
        row["owner"],
        msgspec.json.decode(row["payload"]),
        None if position is None else msgspec.json.decode(position),
        row["done"],
        row["total"],
        row["attempts"],
    )


def _named(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" in {trace.tb_frame.f_code.co_qualname}"
    return f"a defect: {type(error).__name__}{place}"
