"""What the log needs beside its entries: checkpoints, lanes for the month to come, the adoption of
what was written before there were trees, and the end of what has been kept long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.merkle import Hash
from quanmin.trust.log.entry import Access
from quanmin.trust.log.lanes import LANES_A_MONTH, append, ensure_lanes, month_of, take
from quanmin.trust.log.limits import AccessLogLimits
from quanmin.trust.log.notary import Checkpoint, Head, Notary
from quanmin.trust.log.witness import Witness

NODE: Final = "node"
"""The actor of what the node does by itself."""
DROP: Final = "drop-log"
ADOPTED: Final = "adopted"

_DAY: Final = 86_400 * 1_000_000
_HOUR: Final = 3_600 * 1_000_000
_AHEAD: Final = 3 * _DAY
# A process goes on with the lane it has, for a moment into the next month; clocks differ.
_MAY_GROW: Final = 2 * _DAY
_ADOPTED_AT_ONCE: Final = 2_000
_LOCK: Final = int.from_bytes(b"qlogkeep", "big")

_NEWEST: Final = """
    select distinct on (h.lane) h.lane, h.size, h.root,
        h.size <> coalesce(c.size, 0) as has_grown
    from trust.head h left join trust.checked c using (lane)
    where h.size > 0 order by h.lane, h.size desc
"""
# What has come since the checkpoint looked stays: nothing else tells of it yet.
_PRUNE: Final = """
    delete from trust.head h using unnest($1::int[], $2::bigint[]) as told (lane, size)
    where h.lane = told.lane and h.size < told.size
"""
_LAST: Final = "select content from trust.checkpoint order by number desc limit 1"
_SINCE: Final = """
    select content from trust.checkpoint where number > $1 and number < $2 order by number
"""
_CHECKED: Final = """
    insert into trust.checked (lane, size) select * from unnest($1::int[], $2::bigint[])
    on conflict (lane) do update set size = excluded.size
"""
_ANY_BEFORE: Final = "select true from trust.access_before limit 1"
_BEFORE: Final = """
    delete from trust.access_before where ctid = any(array(
        select ctid from trust.access_before limit $1 for update skip locked
    )) returning *
"""
_DUE: Final = """
    select distinct l.lane / 100 as month from trust.lane l
    where l.lane / 100 < $1 and not exists (
        select from trust.dropped d where d.month = l.lane / 100)
    order by 1
"""


async def check_in(
    connection: Connection,
    notary: Notary,
    witness: Witness | None,
    now: int,
    limits: AccessLogLimits | None = None,
) -> Checkpoint | None:
    """Sign what all lanes have grown to since the last checkpoint, and have it on disk here and at
    the witness; None when nothing has grown. Several processes may do it. The first of an hour
    tells of all lanes that may still grow, whatever is noted of the ones before it.

    What a crash kept from the witness comes to it now.
    """
    limits = limits or AccessLogLimits()
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        newest = await connection.fetch(_NEWEST)
        if not any(row["has_grown"] for row in newest):
            return None
        content = await connection.fetchval(_LAST)
        last = None if content is None else msgspec.msgpack.decode(content, type=Checkpoint)
        is_first = last is None or last.at // _HOUR < now // _HOUR
        begin = month_of(now - _MAY_GROW)
        grown = [row for row in newest if row["has_grown"] or (is_first and row["lane"] >= begin)]
        checkpoint = notary.sign_checkpoint(
            Checkpoint(
                1 if last is None else last.number + 1,
                now,
                b"" if last is None else last.link,
                tuple((row["lane"], row["size"], row["root"]) for row in grown),
            )
        )
        await connection.execute(
            "insert into trust.checkpoint (number, content) values ($1, $2)",
            checkpoint.number,
            msgspec.msgpack.encode(checkpoint),
        )
        told = [row["lane"] for row in grown], [row["size"] for row in grown]
        await connection.execute(_CHECKED, *told)
        await connection.execute(_PRUNE, *told)
        missed = []
        if witness is not None and last is not None:
            known = witness.newest_checkpoint()
            since = last.number if known is None else known
            missed = await connection.fetch(_SINCE, since, checkpoint.number)
    if witness is not None:
        # In order, and never one without those before it: so a hole in the witness is no accident.
        for row in missed:
            witness.keep(msgspec.msgpack.decode(row["content"], type=Checkpoint))
        witness.keep(checkpoint)
        witness.forget_heads(now - round(limits.heads_hours_kept * _HOUR))
    return checkpoint


async def adopt_all(
    connection: Connection, notary: Notary, witness: Witness | None, now: Callable[[], int]
) -> int:
    """Adopt all that was written before there were trees, once in the life of a node: what stands
    where it stood at any later time, somebody has put there. Gives how many it was.
    """
    if witness is None or witness.has_adopted:
        return 0
    number = 0
    while adopted := await adopt(connection, notary, now()):
        number += adopted
    witness.end_adoption()
    return number


async def adopt(connection: Connection, notary: Notary, now: int) -> int:
    """Give a part of the entries that were written before there were trees a place in one, with the
    note that they were adopted; gives how many, 0 when there are no more.
    """
    if await connection.fetchval("select to_regclass('trust.access_before')") is None:
        return 0
    async with connection.transaction():
        rows = await connection.fetch(_BEFORE, _ADOPTED_AT_ONCE)
        if not rows:
            if not await connection.fetchval(_ANY_BEFORE):
                await connection.execute("drop table trust.access_before")
            return 0
        accesses = [
            Access(
                **{
                    **row,
                    "records": tuple(row["records"] or ()),
                    "patients": tuple(row["patients"] or ()),
                    "note": ADOPTED,
                }
            )
            for row in rows
        ]
        await append(connection, notary, await take(connection, notary, now), accesses, now)
    return len(rows)


async def drop_months(
    connection: Connection, notary: Notary, limits: AccessLogLimits, now: int
) -> list[int]:
    """Drop the entries of the months that ended longer ago than they are kept; gives these months.

    Their heads stay and the roots of their subtrees, and an entry of the log says what was dropped.
    """
    last = month_of(now - limits.days * _DAY)
    months = await connection.fetch(_DUE, last // LANES_A_MONTH)
    if not months:
        return []
    async with connection.transaction():
        # Whoever reads the log for long keeps its tables, and nobody shall wait behind us for them.
        await connection.execute("set local lock_timeout = '1s'")
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        due = [row["month"] for row in await connection.fetch(_DUE, last // LANES_A_MONTH)]
        for month in due:
            await connection.execute(f"drop table if exists trust.access_{month}")
            # An erasure holds a digest over all that it redacted, earlier months as well: what it
            # did is forgotten with its own entry, and what it redacted is gone by then.
            await connection.execute(
                "delete from trust.redaction where by_lane / $1 = $2", LANES_A_MONTH, month
            )
        before = [row["month"] for row in await connection.fetch("select month from trust.dropped")]
        gone = await dropped_heads(connection, {*before, *due})
        entry = Access(
            at=now,
            request="",
            actor=NODE,
            role="system",
            purpose="HSYSADMIN",
            action=DROP,
            type="AuditEvent",
            outcome="ok",
            hits=sum(head.size for head in gone if head.lane // LANES_A_MONTH in due),
            digest=digest_of_dropped(notary.hash, gone),
        )
        lane = await take(connection, notary, now)
        await append(connection, notary, lane, [entry], now)
        await connection.execute("delete from trust.dropped")
        await connection.execute(
            "insert into trust.dropped select month, $2, $3 from unnest($1::int[]) as month",
            [*before, *due],
            lane.number,
            lane.size,
        )
    return due


async def dropped_heads(connection: Connection, months: Collection[int]) -> list[Head]:
    """The heads of the lanes of these months."""
    rows = await connection.fetch(
        "select distinct on (lane) lane, size, root, at from trust.head"
        " where lane / $1 = any($2::int[]) order by lane, size desc",
        LANES_A_MONTH,
        [*months],
    )
    return [Head(row["lane"], row["size"], row["root"], row["at"]) for row in rows]


def digest_of_dropped(hash_: Hash, heads: Sequence[Head]) -> bytes:
    """What the entry that drops months holds of all that have been dropped until then."""
    told = (b"%d %d %s\n" % (one.lane, one.size, one.root.hex().encode()) for one in heads)
    return hash_(b"".join(told))


async def keep_ahead(connection: Connection, notary: Notary, now: int) -> None:
    """Have the lanes of this month, and soon before its end those of the next."""
    await ensure_lanes(connection, notary, now)
    await ensure_lanes(connection, notary, now + _AHEAD)
