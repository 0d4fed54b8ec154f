"""Wraps every data key, and the secrets that are kept, anew by the node's newest key, beside the
requests.

Nothing waits for it: a data key stays what it is, and whoever reads one unwraps it by the key whose
number stands in front. A walk that has ended looks whether a process has meanwhile wrapped by an
older key, and goes round again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from quanmin.base.crypto import Tampered
from quanmin.base.database import Connection, Database
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.base.keys import KeyPort, pack_number
from quanmin.base.node_keys import wrap_kept_again
from quanmin.base.problems import Conflict, Sentence, Unusable
from quanmin.records.codec import Codec, Holder, KeyChanged

REWRAP: Final = "rewrap-keys"
_BATCH: Final = """
    select bucket, kind, holder, wrapped from records.data_key
    where (bucket, kind, holder) > ($1, $2, $3)
        and wrapped <> '' and substring(wrapped from 1 for 2) <> $4
    order by bucket, kind, holder limit $5
"""
# Only what is still as it was read: a key destroyed meanwhile stays destroyed.
_REPLACE: Final = """
    update records.data_key k set wrapped = t.new
    from unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bytea[], $5::bytea[])
        as t (bucket, kind, holder, old, new)
    where k.bucket = t.bucket and k.kind = t.kind and k.holder = t.holder and k.wrapped = t.old
"""
_COUNTS: Final = """
    select get_byte(wrapped, 0) * 256 + get_byte(wrapped, 1) as number, count(*) as count from (
        select wrapped from records.data_key where wrapped <> ''
        union all select former from records.data_key where former is not null
        union all select wrapped from node.secret
    ) k group by 1
"""
_OTHERS: Final = """
    select (select count(*) from records.data_key
            where wrapped <> '' and substring(wrapped from 1 for 2) <> $1)
        + (select count(*) from node.secret where substring(wrapped from 1 for 2) <> $1)
"""
_IS_USED: Final = """
    select exists (select from records.data_key
        where substring(wrapped from 1 for 2) = $1 or substring(former from 1 for 2) = $1)
        or exists (select from node.secret where substring(wrapped from 1 for 2) = $1)
"""
_ONE_AT_A_TIME: Final = "select pg_advisory_xact_lock(hashtextextended('keys of the node', 0))"
_LOCK: Final = "lock table records.data_key, node.secret in share row exclusive mode"
_START: Final = (-1, -1, -(2**63))
_KEYS_A_STEP: Final = 2000


class Place(msgspec.Struct, frozen=True):
    """Where the walk goes on: after this data key. `done` counts those wrapped anew."""

    bucket: int
    kind: int
    holder: int
    done: int = 0


def rewrap_kind(codec: Codec) -> Kind:
    """The kind of job that wraps data keys anew."""

    async def step(connection: Connection, job: Job) -> Continue | Done:
        return await _step(connection, job, codec)

    return Kind(REWRAP, step)


async def put_rewrapping(connection: Connection, owner: str) -> int:
    """Put the job in, unless one is open; gives its number."""
    return await put(connection, REWRAP, {}, owner=owner, once=REWRAP)


async def begin_rewrapping(connection: Connection, port: KeyPort, owner: str) -> tuple[int, int]:
    """Make a new key of the node, which wraps from now on, and put the job in; gives the numbers of
    both. Of two who begin at once the second makes the key after: a module would take two of one
    number, and each would open what it had wrapped itself and nothing else.
    """
    async with connection.transaction():
        await connection.execute(_ONE_AT_A_TIME)
        number = port.numbers()[-1] + 1
        port.add(number)
        return number, await put_rewrapping(connection, owner)


async def count_wrapped(database: Database) -> dict[int, int]:
    """How many data keys and secrets each of the node's keys wraps, by its number."""
    rows = await database.fetch(_COUNTS)
    return {row["number"]: row["count"] for row in rows}


async def refuse_used(connection: Connection, number: int) -> None:
    """Raises Conflict while this key of the node wraps a data key or a secret; until the caller's
    transaction ends none is wrapped at all, so that it holds until then.
    """
    await connection.execute(_ONE_AT_A_TIME)
    await connection.execute(_LOCK)
    if await connection.fetchval(_IS_USED, pack_number(number)):
        raise Conflict(
            Sentence(
                "key %(number)s still wraps data keys: `quanmin keys rotate` has them wrapped"
                " anew, and those that are being replaced need it until `quanmin keys status`"
                " says they are gone",
                number=number,
            )
        )


async def refuse_missing(connection: Connection, numbers: Collection[int]) -> None:
    """Raises Unusable when a data key or a secret is wrapped by a key of the node that is none of
    these. Reads every data key.
    """
    counts = await count_wrapped(connection)
    missing = sorted(counts.keys() - set(numbers))
    if missing:
        named = " and ".join(f"key {number}" for number in missing)
        total = sum(counts[number] for number in missing)
        raise Unusable(
            f"{total:,} data keys of this database are wrapped by {named} of the node, which is not"
            " there: bring it back from the copy of the keys of that time with `quanmin restore"
            " --keys FILE`; those that are there stay."
        )


async def _step(connection: Connection, job: Job, codec: Codec) -> Continue | Done:
    newest = pack_number(codec.wrapping_key())
    if job.position is None:
        total = await connection.fetchval(_OTHERS, newest)
        return Continue(msgspec.to_builtins(Place(*_START)), 0, total or None, "begins")
    place = msgspec.convert(job.position, Place)
    after = (place.bucket, place.kind, place.holder)
    rows = await connection.fetch(_BATCH, *after, newest, _KEYS_A_STEP)
    if rows:
        done = place.done + await _wrap_again(connection, codec, rows)
        last = rows[-1]
        went = Place(last["bucket"], last["kind"], last["holder"], done)
        return Continue(msgspec.to_builtins(went), done)
    if await wrap_kept_again(connection, codec.port):
        return Continue(msgspec.to_builtins(place), place.done, None, "wraps what is kept")
    if await connection.fetchval(_OTHERS, newest):
        again = Place(*_START, place.done)
        return Continue(msgspec.to_builtins(again), place.done, None, "goes round again")
    return Done({"keys": place.done, "by": codec.wrapping_key()})


async def _wrap_again(connection: Connection, codec: Codec, rows: list[Any]) -> int:
    holders = [Holder(row["bucket"], row["kind"], row["holder"]) for row in rows]
    old = [row["wrapped"] for row in rows]
    try:
        new = await codec.wrap_again(list(zip(holders, old, strict=True)))
    except Tampered as error:
        raise Unusable(
            "A data key cannot be unwrapped: a key of the node is missing. Bring it back with "
            "`quanmin restore --keys FILE`, then `quanmin jobs retry`."
        ) from error
    await connection.execute(
        _REPLACE,
        [holder.bucket for holder in holders],
        [holder.kind for holder in holders],
        [holder.number for holder in holders],
        old,
        new,
    )
    try:
        await codec.refuse_gone(new)
    except KeyChanged:
        raise Conflict("a key of the node was destroyed meanwhile: it is repeated") from None
    return len(rows)
