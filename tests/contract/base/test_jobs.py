"""Jobs outlive whoever does them; each step happens once, in its order, and is seen while it runs.

PostgreSQL and the processes that are killed are real.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import job_process
import msgspec
import pytest
from workers import at_work

from quanmin.base.database import UNAVAILABLE, Connection
from quanmin.base.jobs import (
    Continue,
    Done,
    Job,
    JobLimits,
    Kind,
    Worker,
    cancel,
    find,
    list_jobs,
    put,
    retry,
    sweep,
    tally,
)
from quanmin.base.problems import Conflict, Invalid, NotFound, Overloaded

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
FAST = JobLimits(poll_seconds=0.05, backoff_seconds=0.01, backoff_seconds_max=0.05, attempts_max=3)


def working(pool: Pool, *kinds: Kind, **limits: Any) -> AbstractAsyncContextManager[Worker]:
    """A worker of this process, ended on leaving."""
    return at_work(Worker(pool, kinds, msgspec.structs.replace(FAST, **limits)))


async def until(holds: Callable[[], Awaitable[bool]], seconds_max: float = 30.0) -> None:
    async with asyncio.timeout(seconds_max):
        while not await holds():  # noqa: ASYNC110 - it is the database that changes
            await asyncio.sleep(0.02)


async def ended(pool: Pool, *numbers: int) -> None:
    async def holds() -> bool:
        found = [await find(pool, number) for number in numbers]
        return all(each.ended_at is not None for each in found)

    await until(holds)


async def put_one(pool: Pool, kind: str, payload: Any = None, **more: Any) -> int:
    async with pool.acquire() as connection, connection.transaction():
        return await put(connection, kind, payload, owner="centre", **more)


class Restarting:
    """A pool whose server is away when it is first asked."""

    def __init__(self, pool: Pool, error: type[Exception]) -> None:
        self._pool = pool
        self._errors = [error]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def fetch(self, *asked: Any) -> Any:
        if self._errors:
            raise self._errors.pop()("away")
        return await self._pool.fetch(*asked)


@pytest.mark.parametrize("error", UNAVAILABLE)
async def test_a_server_that_starts_again_is_waited_for(pool: Pool, error: type[Exception]) -> None:
    async def step(_: Connection, __: Job) -> Done:
        return Done()

    number = await put_one(pool, "quick")
    restarting: Any = Restarting(pool, error)
    async with working(restarting, Kind(name="quick", step=step)):
        await ended(pool, number)
    assert (await find(pool, number)).state == "done"


@pytest.fixture
async def traced(pool: Pool) -> Pool:
    """The pool, and tables in which steps leave their traces."""
    await pool.execute(job_process.TABLES)
    return pool


def begin(dsn: str) -> subprocess.Popen[bytes]:
    """A process that works; it inherits nothing but its address."""
    return subprocess.Popen([sys.executable, str(Path(job_process.__file__)), dsn])


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
        process.wait()


async def counted(pool: Pool) -> Counter[tuple[int, int]]:
    rows = await pool.fetch("select job, number from effect")
    return Counter((row["job"], row["number"]) for row in rows)


# ---- once, whatever is killed --------------------------------------------------------------------


async def test_a_worker_killed_in_mid_step_repeats_nothing_and_loses_nothing(
    traced: Pool, database: str
) -> None:
    dice = random.Random(7)  # noqa: S311 - the same moments each time are wanted
    numbers = [await put_one(traced, "count", 60) for _ in range(6)]
    kills = 0
    process = begin(database)
    try:
        while kills < 5:
            seen = await traced.fetchval("select count(*) from effect")
            target = seen + dice.randint(8, 30)

            async def has_come_to(target: int = target) -> bool:
                return bool(await traced.fetchval("select count(*) from effect") >= target)

            await until(has_come_to)
            process.kill()
            process.wait()
            kills += 1
            process = begin(database)
        await ended(traced, *numbers)
    finally:
        end(process)
    steps = await counted(traced)
    assert steps == Counter({(job, step): 1 for job in numbers for step in range(1, 61)})
    jobs = [await find(traced, number) for number in numbers]
    assert {job.state for job in jobs} == {"done"}
    assert {job.result for job in jobs} == {60}
    # The kills did interrupt something, and it is written down.
    assert any("in the middle of a step" in reason.text for job in jobs for reason in job.reasons)


async def test_two_workers_never_run_one_job(traced: Pool, database: str) -> None:
    numbers = [await put_one(traced, "claim", 8) for _ in range(40)]
    processes = [begin(database), begin(database)]
    try:
        await ended(traced, *numbers)
    finally:
        end(*processes)
    assert await traced.fetchval("select count(*) from overlap") == 0
    assert await counted(traced) == Counter(
        {(job, step): 1 for job in numbers for step in range(1, 9)}
    )
    assert await traced.fetchval("select count(distinct process) from effect") > 4


async def test_a_worker_that_was_given_up_commits_nothing_when_it_wakes(
    traced: Pool, database: str
) -> None:
    number = await put_one(traced, "claim", 400)
    asleep = begin(database)
    other = None
    try:
        await until(lambda: _has_begun(traced))
        await until(lambda: _is_stopped_inside(traced, asleep))
        other = begin(database)

        async def is_given_up() -> bool:
            return bool((await find(traced, number)).reasons)

        await until(is_given_up)
        steps = await traced.fetchval("select count(*) from effect")
        await asyncio.sleep(0.5)
        # It still is inside its step, so nobody else is let in.
        assert await traced.fetchval("select count(*) from effect") == steps
        asleep.send_signal(signal.SIGCONT)
        await ended(traced, number)
    finally:
        end(asleep, *([] if other is None else [other]))
    assert await counted(traced) == Counter({(number, step): 1 for step in range(1, 401)})
    assert await traced.fetchval("select count(*) from overlap") == 0


async def _is_stopped_inside(pool: Pool, process: subprocess.Popen[bytes]) -> bool:
    """Stop a worker; when that fell between two of its steps, let it go on."""
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.05)  # what was on its way has arrived
    is_inside = bool(
        await pool.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and state = 'idle in transaction' and query ilike '%effect%'"
        )
    )
    if not is_inside:
        process.send_signal(signal.SIGCONT)
    return is_inside


async def _has_begun(pool: Pool) -> bool:
    return bool(await pool.fetchval("select count(*) from effect") > 3)


async def test_a_job_is_put_in_with_what_its_transaction_writes_or_not_at_all(pool: Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await put(connection, "a", 1, owner="centre")
        await transaction.rollback()
    assert await list_jobs(pool) == []


# ---- order and fairness --------------------------------------------------------------------------


def noting(seen: list[Any], steps: int = 1) -> Callable[[Connection, Job], Awaitable[Any]]:
    async def step(_: Connection, job: Job) -> Continue | Done:
        seen.append(job.payload)
        done = job.done + 1
        return Done() if done == steps else Continue(done, done, steps)

    return step


async def test_jobs_go_by_priority_then_in_the_order_they_came(pool: Pool) -> None:
    seen: list[Any] = []
    numbers = [await put_one(pool, "a", name, priority=p) for name, p in _ORDERED]
    async with working(pool, Kind("a", noting(seen)), places=1):
        await ended(pool, *numbers)
    assert seen == ["urgent", "first", "second", "idle"]


_ORDERED = (("first", 0), ("second", 0), ("idle", -1), ("urgent", 5))


async def test_a_job_waits_for_its_moment(pool: Pool) -> None:
    seen: list[Any] = []
    now = await pool.fetchval("select jobs.now()")
    later = await put_one(pool, "a", "later", due=now + 300_000)
    sooner = await put_one(pool, "a", "sooner")
    async with working(pool, Kind("a", noting(seen)), places=1):
        await ended(pool, sooner)
        assert (await find(pool, later)).state == "waiting"
        await ended(pool, later)
    found = await find(pool, later)
    assert seen == ["sooner", "later"]
    assert found.started_at is not None
    assert found.started_at >= now + 300_000


async def test_a_kind_with_many_jobs_does_not_hold_up_the_others(pool: Pool) -> None:
    seen: list[Any] = []
    async with pool.acquire() as connection, connection.transaction():
        for _ in range(300):
            await put(connection, "many", "many", owner="centre")
        few = [await put(connection, "few", "few", owner="centre") for _ in range(10)]
    kinds = (Kind("many", noting(seen)), Kind("few", noting(seen)))
    async with working(pool, *kinds, places=2):
        await ended(pool, *few)
    until_the_last = seen[: len(seen) - seen[::-1].index("few")]
    assert until_the_last.count("many") <= 20


async def test_a_long_job_gives_way_to_those_that_wait(pool: Pool) -> None:
    async def endless(_: Connection, job: Job) -> Continue | Done:
        await asyncio.sleep(0.01)
        return Continue(None, job.done + 1)

    seen: list[Any] = []
    long = await put_one(pool, "long")
    short = await put_one(pool, "short", "short")
    kinds = Kind("long", endless), Kind("short", noting(seen))
    async with working(pool, *kinds, places=1, turn_seconds=0.1):
        await ended(pool, short)
        assert (await find(pool, long)).ended_at is None
        await cancel(pool, long)
        await ended(pool, long)


async def test_an_open_job_of_a_name_is_not_put_in_twice(pool: Pool) -> None:
    first = await put_one(pool, "a", 1, once="reindex Patient")
    assert await put_one(pool, "a", 2, once="reindex Patient") == first
    assert await put_one(pool, "a", 2, once="reindex Observation") != first
    seen: list[Any] = []
    async with working(pool, Kind("a", noting(seen))):
        await ended(pool, first)
    assert await put_one(pool, "a", 2, once="reindex Patient") != first


# ---- failing -------------------------------------------------------------------------------------


async def test_a_step_that_fails_is_tried_again_and_what_it_wrote_is_gone(traced: Pool) -> None:
    attempts: list[int] = []

    async def step(connection: Connection, job: Job) -> Continue | Done:
        attempts.append(job.attempts)
        await connection.execute("insert into effect values ($1, 1)", job.number)
        if len(attempts) < 3:
            raise Overloaded("the other side is busy")
        return Done(message="arrived")

    number = await put_one(traced, "a")
    async with working(traced, Kind("a", step)):
        await ended(traced, number)
    job = await find(traced, number)
    assert (job.state, job.message) == ("done", "arrived")
    assert attempts == [0, 1, 2]
    assert [reason.text for reason in job.reasons] == ["the other side is busy"] * 2
    assert await traced.fetchval("select count(*) from effect") == 1


async def test_after_its_last_attempt_a_job_is_dead_with_its_reasons_and_can_be_retried(
    pool: Pool,
) -> None:
    is_well = False

    async def step(_: Connection, job: Job) -> Continue | Done:
        if job.position is None:
            return Continue("second", 1, 2)
        if not is_well:
            raise ValueError("张伟 was born in 1980")
        return Done()

    number = await put_one(pool, "a")
    async with working(pool, Kind("a", step)):
        await ended(pool, number)
        job = await find(pool, number)
        assert (job.state, job.attempts, job.done, job.total) == ("dead", 3, 1, 2)
        # What the exception said may come from a record: only its kind and place are kept.
        assert {reason.text for reason in job.reasons} == {
            f"a defect: ValueError in {step.__qualname__}"
        }
        is_well = True
        await retry(pool, number)
        await ended(pool, number)
    assert (await find(pool, number)).state == "done"
    with pytest.raises(Conflict, match="only a dead or cancelled job"):
        await retry(pool, number)


async def test_the_pause_between_attempts_grows(pool: Pool) -> None:
    times: list[float] = []

    async def step(_: Connection, __: Job) -> Continue | Done:
        times.append(asyncio.get_running_loop().time())
        raise Overloaded("busy")

    number = await put_one(pool, "a")
    more = {"backoff_seconds": 0.2, "backoff_seconds_max": 5.0, "poll_seconds": 0.02}
    async with working(pool, Kind("a", step), **more):
        await ended(pool, number)
    first, second = times[1] - times[0], times[2] - times[1]
    assert first >= 0.2
    assert second >= 0.4


async def test_what_can_never_succeed_is_not_tried_again(pool: Pool) -> None:
    async def step(_: Connection, __: Job) -> Continue | Done:
        raise Invalid("the CodeSystem has two concepts of one code")

    number = await put_one(pool, "a")
    async with working(pool, Kind("a", step)):
        await ended(pool, number)
    job = await find(pool, number)
    assert (job.state, job.attempts) == ("dead", 1)
    assert [r.text for r in job.reasons] == ["the CodeSystem has two concepts of one code"]


async def test_a_step_has_a_limit_of_time(pool: Pool) -> None:
    async def step(connection: Connection, _: Job) -> Continue | Done:
        await connection.execute("select pg_sleep(30)")
        return Done()

    number = await put_one(pool, "a")
    async with working(pool, Kind("a", step), step_seconds_max=0.2, attempts_max=1):
        await ended(pool, number)
    assert "jobs.step_seconds_max" in (await find(pool, number)).reasons[0].text


async def test_a_job_that_goes_on_longer_than_its_lease_stays_with_its_worker(
    traced: Pool,
) -> None:
    async def step(connection: Connection, job: Job) -> Continue | Done:
        await connection.execute("insert into effect values ($1, 1)", job.number)
        await asyncio.sleep(1.0)
        return Done()

    number = await put_one(traced, "a")
    async with (
        working(traced, Kind("a", step), lease_seconds=0.3),
        working(traced, Kind("a", step), lease_seconds=0.3),
    ):
        await ended(traced, number)
    job = await find(traced, number)
    assert (job.state, job.reasons) == ("done", ())
    assert await traced.fetchval("select count(*) from effect") == 1


# ---- cancelling and looking ----------------------------------------------------------------------


async def test_cancel_acts_between_two_steps_and_lets_the_kind_clear_up(traced: Pool) -> None:
    cleared: list[Any] = []

    async def step(connection: Connection, job: Job) -> Continue | Done:
        await connection.execute("insert into effect values ($1, $2)", job.number, job.done)
        await asyncio.sleep(0.01)
        return Continue(job.done + 1, job.done + 1, 10_000)

    async def clear(connection: Connection, job: Job) -> None:
        cleared.append(job.position)
        await connection.execute("delete from effect where job = $1", job.number)

    number = await put_one(traced, "a")
    async with working(traced, Kind("a", step, clear)):
        await until(lambda: _has_begun(traced))
        assert (await cancel(traced, number)).is_cancel_asked
        await ended(traced, number)
    job = await find(traced, number)
    assert job.state == "cancelled"
    assert cleared == [job.done]
    assert await traced.fetchval("select count(*) from effect") == 0
    with pytest.raises(Conflict, match="has ended"):
        await cancel(traced, number)


async def test_a_job_that_has_not_begun_is_cancelled_at_once_without_a_worker(pool: Pool) -> None:
    number = await put_one(pool, "a")
    assert (await cancel(pool, number)).state == "cancelled"
    with pytest.raises(NotFound, match="no job"):
        await cancel(pool, number + 1)


async def test_progress_is_seen_while_the_job_runs(pool: Pool) -> None:
    go_on = asyncio.Event()

    async def step(_: Connection, job: Job) -> Continue | Done:
        if job.done == 3:
            await go_on.wait()
        if job.done == 4:
            return Done()
        return Continue(None, job.done + 1, 4, f"file {job.done + 1}")

    number = await put_one(pool, "a")
    async with working(pool, Kind("a", step)):

        async def has_come_to_three() -> bool:
            return (await find(pool, number)).done == 3

        await until(has_come_to_three)
        job = await find(pool, number)
        assert (job.state, job.done, job.total, job.message) == ("running", 3, 4, "file 3")
        assert job.worker is not None
        assert [(t.kind, t.state, t.count) for t in await tally(pool)] == [("a", "running", 1)]
        go_on.set()
        await ended(pool, number)
    job = await find(pool, number)
    assert (job.state, job.done, job.worker) == ("done", 4, None)


async def test_a_worker_is_told_of_new_jobs_and_need_not_ask(pool: Pool) -> None:
    seen: list[Any] = []
    async with working(pool, Kind("a", noting(seen)), poll_seconds=20.0):
        await asyncio.sleep(0.3)
        began = asyncio.get_running_loop().time()
        number = await put_one(pool, "a")
        await ended(pool, number)
        assert asyncio.get_running_loop().time() - began < 5.0


async def test_ended_jobs_are_forgotten_after_their_days(pool: Pool) -> None:
    old, new, waiting = [await put_one(pool, "a") for _ in range(3)]
    await cancel(pool, old)
    await cancel(pool, new)
    await pool.execute(
        "update jobs.job set ended_at = ended_at - 86400000000::bigint * 31 where job = $1", old
    )
    await sweep(pool, 30)
    assert [job.number for job in await list_jobs(pool)] == [waiting, new]


async def test_jobs_are_listed_by_kind_and_state_newest_first(pool: Pool) -> None:
    first, second = await put_one(pool, "a"), await put_one(pool, "b", {"type": "Patient"})
    await cancel(pool, first)
    assert [job.number for job in await list_jobs(pool)] == [second, first]
    assert [job.number for job in await list_jobs(pool, state="waiting")] == [second]
    assert [job.number for job in await list_jobs(pool, kind="a")] == [first]
    assert (await find(pool, second)).payload == {"type": "Patient"}


async def test_ten_thousand_small_jobs_are_each_done_once(traced: Pool, database: str) -> None:
    async with traced.acquire() as connection, connection.transaction():
        await connection.execute(
            "insert into jobs.job (kind, owner, payload)"
            " select 'once', 'centre', 'null' from generate_series(1, 10000)"
        )
    processes = [begin(database), begin(database)]
    try:

        async def is_over() -> bool:
            return not await traced.fetchval("select 1 from jobs.job where state <> 'done' limit 1")

        await until(is_over, 240.0)
    finally:
        end(*processes)
    rows = await traced.fetch("select job, count(*) from effect group by job having count(*) <> 1")
    assert rows == []
    assert await traced.fetchval("select count(*) from effect") == 10_000
