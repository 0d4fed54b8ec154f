"""The change feed: which versions were made, by key only, in the order of their commits within a
bucket.

A consumer keeps its cursor in the database, so that what it does with changes and how far it has
come commit together: nothing is skipped and nothing is done twice. `seq` is given under a lock that
lasts until the commit, so a reader that sees a number sees every smaller one of that bucket too.
A version whose tags or labels were changed without making another moves to a new place.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import NotFound, Sentence


class Entry(msgspec.Struct, frozen=True):
    """One version: its bucket and place in it, its record and type (as numbers), and whether it is
    a deletion.
    """

    bucket: int
    seq: int
    rid: int
    type: int
    version: int
    is_deletion: bool


# The indexes hold blocks of 128 places (`seq >> 7`): they lead to the block of the cursor, and what
# is in a block is sorted.
_NEXT = """
    with behind as (
        select u.bucket, u.seq from records.cursor u join records.clock c using (bucket)
        where u.consumer = $1 and c.seq > u.seq
        order by c.seq - u.seq desc limit $2
    ), share as (
        -- Each bucket gets its part, so that a busy one cannot keep the others waiting.
        select greatest(1, $2 / greatest(1, count(*))) as size from behind
    )
    select v.* from behind b cross join share s cross join lateral (
        select * from (
            (select bucket, seq, rid, type, version, flags from records.record
             where bucket = b.bucket and seq >> 7 >= b.seq >> 7 and seq > b.seq
             order by seq >> 7, seq limit s.size)
            union all
            (select bucket, seq, rid, type, version, flags from records.history
             where bucket = b.bucket and seq >> 7 >= b.seq >> 7 and seq > b.seq
             order by seq >> 7, seq limit s.size)
        ) both_tables order by seq limit s.size
    ) v order by v.bucket, v.seq
"""


async def enrol(connection: Connection, consumer: str, *, from_start: bool) -> None:
    """Make a consumer that begins with the first change, or with the next one; an existing one is
    left alone.
    """
    made = await connection.fetchval(
        "insert into records.consumer (name) values ($1) on conflict do nothing returning name",
        consumer,
    )
    if made is not None:
        await connection.execute(
            "insert into records.cursor (consumer, bucket, seq)"
            " select $1, bucket, case when $2 then 0 else seq end from records.clock",
            consumer,
            from_start,
        )


async def replay(connection: Connection, consumer: str) -> None:
    """Put a consumer back to the first change."""
    await connection.execute("update records.cursor set seq = 0 where consumer = $1", consumer)


async def take(connection: Connection, consumer: str, count: int) -> Sequence[Entry]:
    """The next changes, at most about `count`, and the cursor moved behind them in the caller's
    transaction.

    Consumers of one name wait for each other. Entries of one bucket are consecutive and in commit
    order. Raises NotFound for a consumer that was never enrolled.
    """
    known = await connection.fetchval(
        "select name from records.consumer where name = $1 for update", consumer
    )
    if known is None:
        raise NotFound(
            Sentence(
                "no consumer %(consumer)r of the change feed: enrol it first", consumer=consumer
            )
        )
    rows = await connection.fetch(_NEXT, consumer, count)
    reached = {row["bucket"]: row["seq"] for row in rows}
    await connection.execute(
        """
        update records.cursor u set seq = t.seq
        from unnest($2::smallint[], $3::bigint[]) as t (bucket, seq)
        where u.consumer = $1 and u.bucket = t.bucket
        """,
        consumer,
        list(reached),
        list(reached.values()),
    )
    return [
        Entry(r["bucket"], r["seq"], r["rid"], r["type"], r["version"], bool(r["flags"] & 1))
        for r in rows
    ]
