"""The register of jobs: put in, looked at, cancelled, tried again, counted and cleared."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from quanmin.base.database import Connection, Database
from quanmin.base.jobs.model import Listed, Reason, State
from quanmin.base.problems import Conflict, NotFound, Sentence

CHANNEL: Final = "quanmin_jobs"
_ROW: Final = """
    select job, kind, state, priority, due, owner, payload, result, done, total, message, attempts,
           reasons, is_cancel_asked, worker, leased_until, created_at, started_at, ended_at
    from jobs.job
"""
_LISTED: Final = (
    _ROW
    + """
    where ($1::text is null or kind = $1) and ($2::text is null or state = $2)
        and ($4::text is null or owner = $4)
    order by job desc limit $3
"""
)
_FOUND: Final = _ROW + "where job = $1"
_PUT: Final = """
    insert into jobs.job (kind, owner, payload, priority, due, once)
    values ($1, $2, $3, $4, greatest($5, jobs.now()), $6)
    on conflict (kind, once) where state in ('waiting', 'running') do nothing
    returning job
"""
# What has not begun has nothing to clear up and is over at once; the rest is its worker's.
_CANCEL: Final = """
    update jobs.job set is_cancel_asked = true,
        due = case when state = 'waiting' then jobs.now() else due end,
        state = case when state = 'waiting' and position is null then 'cancelled' else state end,
        ended_at = case when state = 'waiting' and position is null then jobs.now() end
    where job = $1 and state in ('waiting', 'running') returning state
"""
_DISMISS: Final = """
    update jobs.job set is_cancel_asked = true
    where job = $1 and state in ('done', 'dead', 'cancelled') returning job
"""
_OPEN: Final = """
    select count(*) from jobs.job
    where kind = $1 and owner = $2 and state in ('waiting', 'running')
"""
_RETRY: Final = """
    update jobs.job set state = 'waiting', attempts = 0, due = jobs.now(), ended_at = null,
        is_cancel_asked = false
    where job = $1 and state in ('dead', 'cancelled') returning job
"""
_SWEEP: Final = """
    delete from jobs.job where ended_at < jobs.now() - $1::bigint * 86400000000
"""
_TALLY: Final = """
    select kind, state, count(*) as count, min(due) as oldest, jobs.now() as now
    from jobs.job where state in ('waiting', 'running', 'dead') group by kind, state
"""


class Tally(msgspec.Struct, frozen=True):
    """How many jobs of a kind are in a state, and for how long the first has been due."""

    kind: str
    state: State
    count: int
    overdue_seconds: float


async def put(
    connection: Connection,
    kind: str,
    payload: Any,
    *,
    owner: str,
    priority: int = 0,
    due: int = 0,
    once: str | None = None,
) -> int:
    """Put a job in, in the caller's transaction, and return its number.

    Of a kind, jobs of higher `priority` go first, then those due longer; `due` is a moment in
    microseconds, 0: now. With `once`, an open job of that name is left as it is and its number
    returned. Keys only in the payload: jobs are not encrypted.
    """
    packed = msgspec.json.encode(payload).decode()
    while True:
        number = await connection.fetchval(_PUT, kind, owner, packed, priority, due, once)
        if number is None:
            number = await connection.fetchval(
                "select job from jobs.job"
                " where kind = $1 and once = $2 and state in ('waiting', 'running')",
                kind,
                once,
            )
            if number is None:  # it ended between the two statements
                continue
        else:
            await connection.execute("select pg_notify($1, $2)", CHANNEL, kind)
        return int(number)


async def find(database: Database, number: int) -> Listed:
    """One job. Raises NotFound."""
    row = await database.fetchrow(_FOUND, number)
    if row is None:
        raise NotFound(
            Sentence(
                "there is no job %(number)s: `quanmin jobs list` shows those there are",
                number=number,
            )
        )
    return _listed(row)


async def list_jobs(
    database: Database,
    *,
    kind: str | None = None,
    state: State | None = None,
    owner: str | None = None,
    count: int = 50,
) -> list[Listed]:
    """The newest jobs, of one kind, in one state or of one owner if asked."""
    return [_listed(row) for row in await database.fetch(_LISTED, kind, state, count, owner)]


async def cancel(database: Database, number: int) -> Listed:
    """Ask a job to end; it does so before its next step. Raises NotFound, and Conflict when it has
    ended.
    """
    state = await database.fetchval(_CANCEL, number)
    found = await find(database, number)
    if state is None:
        raise Conflict(
            Sentence(
                "job %(number)s has ended (%(state)s): there is nothing to cancel",
                number=number,
                state=found.state,
            )
        )
    await database.execute("select pg_notify($1, $2)", CHANNEL, found.kind)
    return found


async def dismiss(database: Database, number: int) -> None:
    """End a job of which nobody wants to hear any more; one that has ended is marked as cancelled
    and keeps its state. Raises NotFound.
    """
    while await database.fetchval(_DISMISS, number) is None:
        try:
            await cancel(database, number)
        except Conflict:  # it ended between the two statements
            continue
        return


async def count_open(database: Database, kind: str, owner: str) -> int:
    """How many jobs of a kind its owner has that have not ended."""
    return int(await database.fetchval(_OPEN, kind, owner))


async def retry(database: Database, number: int) -> Listed:
    """Let a dead or cancelled job go on where it stopped. Raises NotFound, Conflict."""
    number_again = await database.fetchval(_RETRY, number)
    found = await find(database, number)
    if number_again is None:
        raise Conflict(
            Sentence(
                "job %(number)s is %(state)s: only a dead or cancelled job can be tried again",
                number=number,
                state=found.state,
            )
        )
    await database.execute("select pg_notify($1, $2)", CHANNEL, found.kind)
    return found


async def sweep(database: Database, kept_days: int) -> None:
    """Forget jobs that ended longer ago than this."""
    await database.execute(_SWEEP, kept_days)


async def tally(database: Database) -> list[Tally]:
    """How many jobs wait, run and are dead, by kind; what ended well is not counted."""
    return [
        Tally(
            row["kind"],
            row["state"],
            row["count"],
            max(0.0, (row["now"] - row["oldest"]) / 1e6) if row["state"] == "waiting" else 0.0,
        )
        for row in await database.fetch(_TALLY)
    ]


def _listed(row: Any) -> Listed:
    fields = dict(row)
    fields["number"] = fields.pop("job")
    fields["payload"] = msgspec.json.decode(fields["payload"])
    fields["result"] = None if fields["result"] is None else msgspec.json.decode(fields["result"])
    fields["reasons"] = msgspec.json.decode(fields["reasons"], type=tuple[Reason, ...])
    return Listed(**fields)
