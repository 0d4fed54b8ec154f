"""A process that works jobs off, for tests that kill it: `python job_process.py DSN`.

Its kinds leave a trace of every step: `count` adds a row for each number of its job, `claim` notes
when somebody else was inside the same job, `endless` counts on and never ends.
"""

from __future__ import annotations

import asyncio
import sys

from workers import work_until_told

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, JobLimits, Kind, Worker
from quanmin.base.postgres import open_pool

LIMITS = JobLimits(
    lease_seconds=1.0, turn_seconds=0.2, poll_seconds=0.1, backoff_seconds=0.05, attempts_max=100
)
TABLES = """
    create table effect (job bigint, number int, process int default pg_backend_pid());
    create table overlap (job bigint);
"""


async def count(connection: Connection, job: Job) -> Continue | Done:
    """Write the next number, be slow in the middle, and go on until `payload` is reached."""
    number = (job.position or 0) + 1
    await connection.execute("insert into effect values ($1, $2)", job.number, number)
    await asyncio.sleep(0.01)
    if number == job.payload:
        return Done(result=number)
    return Continue(number, number, job.payload)


async def claim(connection: Connection, job: Job) -> Continue | Done:
    """The same, and note it when another session is inside this job."""
    is_alone = await connection.fetchval(
        "select pg_try_advisory_xact_lock(7, $1)", job.number % 1000
    )
    if not is_alone:
        await connection.execute("insert into overlap values ($1)", job.number)
    return await count(connection, job)


async def once(connection: Connection, job: Job) -> Continue | Done:
    """The smallest job there can be."""
    await connection.execute("insert into effect values ($1, 1)", job.number)
    return Done()


async def endless(connection: Connection, job: Job) -> Continue:
    """Count on, whatever the payload is."""
    number = (job.position or 0) + 1
    await connection.execute("insert into effect values ($1, $2)", job.number, number)
    await asyncio.sleep(0.01)
    return Continue(number, number, 1_000_000)


KINDS = (Kind("count", count), Kind("claim", claim), Kind("once", once), Kind("endless", endless))


async def main(dsn: str) -> None:
    pool = await open_pool(dsn, name="job worker", connections_max=LIMITS.places + 2)
    await work_until_told(Worker(pool, KINDS, LIMITS), pool)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
