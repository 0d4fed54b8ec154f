"""Writes drafts: one COPY a table for what is new, whatever the number of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Outdated
from quanmin.records.draft import Draft
from quanmin.records.index import IndexEntry, Unit
from quanmin.records.label_sets import LabelSets
from quanmin.records.walls import wall_of

_COLUMNS = [
    "rid",
    "seq",
    "updated",
    "patient",
    "low",
    "high",
    "present",
    "version",
    "sender",
    "bucket",
    "type",
    "flags",
    "body",
    "labels",
    "tokens",
    "refs",
    "words",
    "apart",
]

# Each in the order of its table.
_SIDE_COLUMNS: Final = {
    "keyed": ("key", "low", "rid", "patient", "system", "value", "type", "bucket", "wall"),
    "dated": ("key", "low", "high", "rid", "type", "bucket", "wall"),
    "ranged": ("key", "low", "high", "rid", "type", "bucket", "wall"),
}
_Put = Callable[[Connection, str, Sequence[str], list[tuple[object, ...]]], Awaitable[None]]

_UPDATE = f"""
    update records.record set {", ".join(f"{name} = ${i}" for i, name in enumerate(_COLUMNS, 1))}
    where type = $11 and rid = $1 and bucket = $10
"""

_TO_HISTORY = """
    insert into records.history
        (rid, seq, updated, patient, low, version, sender, bucket, type, flags, body, labels)
    select r.rid, r.seq, r.updated, r.patient, r.low, r.version, r.sender, r.bucket, r.type,
        r.flags, r.body, r.labels
    from unnest($1::smallint[], $2::bigint[]) as t (type, rid)
    join records.record r on r.type = t.type and r.rid = t.rid
    where r.type = any($1)
"""


# Of texts as people write them there is no end; a text that was forgotten is written in vain.
_REMEMBERED_MAX: Final = 200_000


class Shared(msgspec.Struct):
    """What many records share and is written once: units in use, texts and addresses by key, and
    sets of labels, of which `numbered` were seen.
    """

    units: set[tuple[int, Unit]] = msgspec.field(default_factory=set)
    wordings: set[int] = msgspec.field(default_factory=set)
    label_sets: LabelSets = msgspec.field(default_factory=LabelSets)
    numbered: Mapping[frozenset[int], int] = {}

    def learn(self, other: Shared) -> None:
        """Remember what has been committed."""
        self.units |= other.units
        if len(self.wordings) > _REMEMBERED_MAX:
            self.wordings.clear()
        self.wordings |= other.wordings
        self.label_sets.learn(other.numbered)


async def write_drafts(
    connection: Connection, drafts: Sequence[Draft], known: Shared, *, is_walled: bool = False
) -> Shared:
    """Write sealed drafts that have their `seq` in the caller's transaction; gives what it saw for
    the first time.
    """
    put = _insert if is_walled else _copy
    if not drafts:
        return Shared()
    numbered = await _number_labels(connection, drafts, known.label_sets)
    replaced = [draft for draft in drafts if draft.current is not None]
    if replaced:
        await _replace(connection, replaced)
    fresh = [_row(draft) for draft in sorted(drafts, key=_by_place) if draft.current is None]
    if fresh:
        await put(connection, "record", _COLUMNS, fresh)
    await _write_side(connection, drafts, put)
    units = await _write_units(connection, drafts, known.units)
    wordings = await _write_wordings(connection, drafts, known.wordings)
    return Shared(units, wordings, numbered=numbered)


async def _number_labels(
    connection: Connection, drafts: Sequence[Draft], label_sets: LabelSets
) -> Mapping[frozenset[int], int]:
    labelled = [draft for draft in drafts if draft.entry.labels]
    sets = [frozenset(draft.entry.labels) for draft in labelled]
    numbered = await label_sets.numbers(connection, sets) if sets else {}
    for draft, labels in zip(labelled, sets, strict=True):
        draft.apart = numbered[labels]
    return numbered


def _by_place(draft: Draft) -> tuple[int, int, int]:
    # Neighbours in an index arrive together, and the records of a type in one partition.
    return draft.definition.number, draft.entry.low or 0, draft.rid


class Clock(msgspec.Struct):
    """What the clock of a bucket said when it was taken: the last `seq` given, keys destroyed."""

    seq: int
    erasures: int

    def tick(self) -> int:
        """The next `seq`."""
        self.seq += 1
        return self.seq


async def lock_clocks(connection: Connection, buckets: Collection[int]) -> None:
    """Hold the clocks of these buckets, in order, until the transaction ends."""
    await connection.execute(
        "select 1 from records.clock where bucket = any($1) order by bucket for update",
        sorted(buckets),
    )


async def take_clocks(
    connection: Connection, counts: Mapping[int, int], catalogue: int
) -> dict[int, Clock]:
    """Take so many `seq` of each of these buckets, and hold their clocks until the transaction
    ends: within a bucket the order of `seq` is the order of commits.

    `catalogue` is the version by which the records were indexed. It is held as well: what is
    indexed again after a later one waits for this transaction. Raises Outdated when it has passed.
    """
    buckets = sorted(counts)
    if len(buckets) > 1:
        # An update of several rows locks them in no order anybody promises; a sorted FOR UPDATE
        # does.
        await lock_clocks(connection, buckets)
    rows = await connection.fetch(
        """
        update records.clock c set seq = c.seq + t.count
        from unnest($1::smallint[], $2::int[]) as t (bucket, count)
        where c.bucket = t.bucket returning c.bucket, c.seq - t.count as seq, c.erasures,
            (select indexing.hold($3)) as catalogue
        """,
        buckets,
        [counts[bucket] for bucket in buckets],
        catalogue,
    )
    if any(row["catalogue"] != catalogue for row in rows):
        raise Outdated("what is indexed has just changed: repeat it", retry_after_seconds=1)
    return {row["bucket"]: Clock(row["seq"], row["erasures"]) for row in rows}


async def _replace(connection: Connection, drafts: Sequence[Draft]) -> None:
    following = [draft for draft in drafts if _is_next(draft)]
    types = [draft.definition.number for draft in following]
    rids = [draft.rid for draft in following]
    if types:
        await connection.execute(_TO_HISTORY, types, rids)
    await connection.executemany(_UPDATE, [_row(draft) for draft in drafts])
    old = [(draft.rid, draft.old) for draft in drafts if draft.old is not None]
    await remove_side(connection, old)


async def remove_side(connection: Connection, old: Iterable[tuple[int, IndexEntry]]) -> None:
    """Remove the rows of the side tables that these index entries of records, by key, stand for;
    also where they were written from other moments than the entries tell now.
    """
    old = list(old)
    for table, rows in (
        ("keyed", [(key, entry.low, rid) for rid, entry in old for key, _ in entry.keyed]),
        ("dated", [(key, low, rid) for rid, entry in old for key, low, _ in entry.dated]),
        ("ranged", [(key, low, rid) for rid, entry in old for key, low, _ in entry.ranged]),
    ):
        left = Counter((key, rid) for key, _, rid in rows)
        for write, some in (
            ("s.low = o.low", {row for row in rows if row[1] is not None}),
            ("s.low is null", {row for row in rows if row[1] is None}),
        ):
            if some:
                left -= await _removed(connection, table, write, some)
        # Reads all that stands under the key: half of a type has the commonest.
        if left:
            await _removed(connection, table, "true", {(key, None, rid) for key, rid in left})


async def _removed(
    connection: Connection, table: str, low: str, rows: Collection[tuple[int, Any, int]]
) -> Counter[tuple[int, int]]:
    """Of which keys and records rows were removed, and how many."""
    kind = "numeric" if table == "ranged" else "bigint"
    found = await connection.fetch(
        f"delete from records.{table} s"
        f" using unnest($1::bigint[], $2::{kind}[], $3::bigint[]) as o (key, low, rid)"
        f" where s.key = o.key and {low} and s.rid = o.rid returning s.key, s.rid",
        *map(list, zip(*rows, strict=True)),
    )
    return Counter((row["key"], row["rid"]) for row in found)


def _is_next(draft: Draft) -> bool:
    """Whether the current version is replaced by another, and not by itself with another meta."""
    return draft.current is not None and draft.version != draft.current.stored.version


def _row(draft: Draft) -> tuple[object, ...]:
    entry = draft.entry
    return (
        draft.rid,
        draft.seq,
        draft.updated,
        draft.patient,
        entry.low,
        entry.high,
        entry.present,
        draft.version,
        draft.sender,
        draft.bucket,
        draft.definition.number,
        draft.flags,
        draft.sealed,
        _array(entry.labels),
        _array(entry.tokens),
        _array(entry.refs),
        _array(entry.words),
        draft.apart or None,
    )


def _array(keys: set[int]) -> list[int] | None:
    return list(keys) if keys else None


async def _copy(
    connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[object, ...]]
) -> None:
    await connection.copy_records_to_table(
        table, schema_name="records", columns=columns, records=rows
    )


async def _insert(
    connection: Connection, table: str, columns: Sequence[str], rows: list[tuple[object, ...]]
) -> None:
    """COPY is refused for a table whose rows have policies (PostgreSQL, "COPY"): rows go as an
    array of the table's own row type, which has its columns in their order.
    """
    await connection.execute(
        f"insert into records.{table} ({', '.join(columns)})"
        f" select {', '.join(columns)} from unnest($1::records.{table}[])",
        rows,
    )


async def _write_side(connection: Connection, drafts: Sequence[Draft], put: _Put) -> None:
    keyed: list[tuple[object, ...]] = []
    dated: list[tuple[object, ...]] = []
    ranged: list[tuple[object, ...]] = []
    for draft in drafts:
        entry: IndexEntry = draft.entry
        low, rid, patient = entry.low, draft.rid, draft.patient
        tail = (draft.definition.number, draft.bucket, wall_of(draft.sender, patient))
        keyed += (
            (key, low, rid, patient, system, entry.value, *tail) for key, system in entry.keyed
        )
        dated += ((*span, rid, *tail) for span in entry.dated)
        ranged += ((*span, rid, *tail) for span in entry.ranged)
    for table, rows in (("keyed", keyed), ("dated", dated), ("ranged", ranged)):
        if rows:
            rows.sort(key=itemgetter(0))
            await put(connection, table, _SIDE_COLUMNS[table], rows)


async def _write_units(
    connection: Connection, drafts: Sequence[Draft], known: set[tuple[int, Unit]]
) -> set[tuple[int, Unit]]:
    seen = {(draft.definition.number, unit) for draft in drafts for unit in draft.entry.units}
    new = seen - known
    if new:
        ordered = sorted(new, key=lambda item: (item[0], item[1].key))
        await connection.executemany(
            "insert into records.unit (type, param, system, code, kinds, key)"
            " values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            [
                (number, unit.param, unit.system, unit.code, unit.kinds, unit.key)
                for number, unit in ordered
            ],
        )
    return new


async def _write_wordings(
    connection: Connection, drafts: Sequence[Draft], known: set[int]
) -> set[int]:
    seen = {key: words for draft in drafts for key, words in draft.entry.wordings}
    # In order, so that writers who meet the same new texts wait for each other and not in a circle.
    new = sorted(seen.keys() - known)
    if new:
        await connection.executemany(
            "insert into records.wording (key, words) values ($1, $2) on conflict do nothing",
            [(key, seen[key]) for key in new],
        )
    return set(new)
