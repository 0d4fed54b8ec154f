"""Erases source Patients: their data keys, and with them every body in every copy and backup.

What a Provenance holds of their documents, a signature and the hash it is over, would tell of each
guess at them whether it is right; so where it is about nothing else it goes with them.

The rows of their records stay as deletions without a body, so that an id is not taken again and
whoever follows the changes hears of it; everything that finds them is removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from quanmin.base.database import Connection
from quanmin.records.context import CHOSEN, DELETED, ERASED, ROW, Context
from quanmin.records.draft import Current, index_again
from quanmin.records.index import link_name
from quanmin.records.operation import Change
from quanmin.records.provenance import targets_of
from quanmin.records.rid import bucket_of, id_of
from quanmin.records.rows import lock_clocks, remove_side, take_clocks

_BATCH = 500

_LOCK = "select bucket, rid from records.record where patient = any($1) order by rid for update"

_ROWS = f"""
    select {ROW}, r.bucket from records.record r
    where r.patient = any($1) and r.flags & {ERASED} = 0 order by r.rid
"""

# Key by key, as the index is asked best.
_ABOUT = f"""
    select {ROW}, r.bucket from records.record r where r.type = $1 and r.rid = any(array(
        select f.rid from unnest($2::bigint[]) as w (key) cross join lateral (
            select p.rid from records.record p
            where p.type = $1 and p.refs @> array[w.key] and p.patient is null and p.flags & 1 <> 1
        ) f
    )) order by r.rid for update
"""

_EMPTY = f"""
    update records.record r set seq = t.seq, version = t.version, updated = t.updated,
        flags = r.flags & {CHOSEN} | {DELETED | ERASED}, present = 0,
        low = null, high = null, body = null, labels = null, tokens = null, refs = null,
        words = null, apart = null
    from unnest($1::smallint[], $2::bigint[], $3::int[], $4::int[], $5::bigint[])
        as t (type, rid, seq, version, updated)
    where r.type = t.type and r.rid = t.rid
"""

# A version that was about somebody else, before the record was mended, is theirs and stays. One of
# these Patients in a record that has moved on to another is found by the bucket in which it was
# made; where it only passed through, nothing but its key tells of it.
_HISTORY = (
    "delete from records.history where rid = any($2) and patient = any($1)",
    "delete from records.history where bucket = any($2) and patient = any($1)",
)


async def is_known(connection: Connection, context: Context, patient: int) -> bool:
    """Whether this node has, or had, a record of a source Patient (a record key)."""
    holder = context.holder(patient, 0)
    found = await connection.fetchval(
        "select true from records.data_key where bucket = $1 and kind = $2 and holder = $3",
        holder.bucket,
        holder.kind,
        holder.number,
    )
    return bool(found)


async def erase_patients(
    connection: Connection, context: Context, patients: Collection[int], now: int
) -> list[Change]:
    """Erase these source Patients (record keys) in the caller's transaction; gives a deletion for
    each of their records. Doing it again does nothing more.

    From the commit on their records answer as gone, no search, count or history finds them, and
    nothing is stored about them in any process. What some process had opened before is forgotten
    there within the time that a codec keeps a key.
    """
    catalogue = context.catalogue.version
    wanted = sorted(patients)
    buckets = {bucket_of(patient) for patient in wanted}
    # Records before clocks, as writers do.
    locked = await connection.fetch(_LOCK, wanted)
    told = await _told_of(connection, context, {row["rid"] for row in locked})
    buckets |= {row["bucket"] for row in (*locked, *told)}
    await lock_clocks(connection, buckets)
    rows = [*await connection.fetch(_ROWS, wanted), *told]
    await _remove_index(connection, context, rows)
    changes = await _empty(connection, context, rows, buckets, now=now, catalogue=catalogue)
    for statement, keys in zip(
        _HISTORY,
        ([row["rid"] for row in rows], sorted({bucket_of(patient) for patient in wanted})),
        strict=True,
    ):
        await connection.execute(statement, wanted, keys)
    await connection.execute(
        "delete from records.history where rid = any($1)", [row["rid"] for row in told]
    )
    await connection.execute(
        "delete from records.granted where patient = any($1) or about = any($1)", wanted
    )
    await context.codec.destroy_keys(connection, [context.holder(patient, 0) for patient in wanted])
    await connection.execute(
        "update records.clock set erasures = erasures + 1 where bucket = any($1)",
        [bucket_of(patient) for patient in wanted],
    )
    return changes


async def _told_of(connection: Connection, context: Context, rids: Collection[int]) -> list[Any]:
    """The rows, locked, of what a Provenance of nobody tells of these records and of no others."""
    definition = context.definition("Provenance")
    link = link_name(definition.name, "target")
    keys = sorted(context.keying.reference(definition.name, link, rid) for rid in rids)
    rows = await connection.fetch(_ABOUT, definition.number, keys)
    found = {}
    for start in range(0, len(rows), _BATCH):
        for stored in await context.open(connection, rows[start : start + _BATCH]):
            found[stored.rid] = set(targets_of(context, stored))
    return [row for row in rows if row["rid"] in found and found[row["rid"]] <= set(rids)]


async def _remove_index(connection: Connection, context: Context, rows: Sequence[Any]) -> None:
    """Bodies tell by which keys they stand in the side tables: the last time they are opened."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        currents = [Current(stored, 0, 0) for stored in await context.open(connection, batch)]
        await remove_side(
            connection, [(one.stored.rid, index_again(context, one)) for one in currents]
        )


async def _empty(
    connection: Connection,
    context: Context,
    rows: Sequence[Any],
    buckets: set[int],
    *,
    now: int,
    catalogue: int,
) -> list[Change]:
    counts = Counter(dict.fromkeys(buckets, 0))
    counts.update(row["bucket"] for row in rows)
    clocks = await take_clocks(connection, counts, catalogue)
    seqs = [clocks[row["bucket"]].tick() for row in rows]
    versions = [context.next_version(row["rid"], row["version"]) for row in rows]
    moments = [max(now, row["updated"] + 1000) for row in rows]
    await connection.execute(
        _EMPTY,
        [row["type"] for row in rows],
        [row["rid"] for row in rows],
        seqs,
        versions,
        moments,
    )
    return [
        Change(
            context.named(row["type"]).name,
            # An id of the client's choosing stood in the body.
            id_of(row["rid"], context.prefix) if row["rid"] > 0 else "",
            row["rid"],
            row["bucket"],
            version,
            row["sender"],
            row["patient"],
            updated,
            None,
        )
        for row, version, updated in zip(rows, versions, moments, strict=True)
    ]
