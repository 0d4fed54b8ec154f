"""Takes the names of erased people out of the log, in a way that shows it was the erasure that did.

The leaf keeps the commitment to what an entry named. What is left gets a commitment of its own in
`trust.redaction`, and the erasure's own entry, which is in a tree, holds a digest over these.
Whoever takes out names by hand has no such entry.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Connection
from quanmin.base.merkle import Hash
from quanmin.trust.log.entry import SALT_BYTES, Place, personal_bytes
from quanmin.trust.log.notary import commit, hash_of
from quanmin.trust.log.rows import ENTRY, Kept, read_entry

_NAMING: Final = (
    f"select {ENTRY}, l.suite from trust.access a join trust.lane l using (lane)"
    " where a.patients && $1::bigint[] order by a.lane, a.n for update of a"
)
_TAKE_OUT: Final = """
    update trust.access a set records = t.records::bigint[], patients = t.patients::bigint[],
        salt = t.salt
    from unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::bytea[])
        as t (lane, n, records, patients, salt)
    where a.lane = t.lane and a.n = t.n
"""
_STEPS: Final = """
    select r.lane, r.n, max(r.step) as step from trust.redaction r
    join unnest($1::int[], $2::bigint[]) as t (lane, n) on r.lane = t.lane and r.n = t.n
    group by r.lane, r.n
"""
_NOTE: Final = """
    insert into trust.redaction (lane, n, step, remains, by_lane, by_n)
    select t.*, $5, $6 from unnest($1::int[], $2::bigint[], $3::int[], $4::bytea[]) as t
"""


class Redaction(msgspec.Struct, frozen=True, order=True):
    """An entry that lost names, for the how manieth time, and the commitment to what is left."""

    place: Place
    step: int
    remains: bytes


def digest_of(hash_: Hash, redactions: Iterable[Redaction]) -> bytes:
    """What the entry of an erasure holds of the redactions that it made."""
    told = (
        b"%d %d %d %s\n" % (one.place.lane, one.place.number, one.step, one.remains.hex().encode())
        for one in sorted(redactions)
    )
    return hash_(b"".join(told))


async def redact(
    connection: Connection, patients: Collection[int], records: Collection[int]
) -> list[Redaction]:
    """Take these Patients, and these records of theirs, out of every entry that names one of the
    Patients, in the caller's transaction; gives what `note_redactions` ties to the erasure's entry.
    """
    gone, gone_records = set(patients), set(records)
    rows = await connection.fetch(_NAMING, sorted(gone))
    if not rows:
        return []
    kept = [read_entry(row) for row in rows]
    steps = await _steps(connection, kept)
    found, arguments = [], []
    for row, one in zip(rows, kept, strict=True):
        hash_ = hash_of(row["suite"])
        left = tuple(rid for rid in one.access.records if rid not in gone_records | gone)
        others = tuple(rid for rid in one.access.patients if rid not in gone)
        salt = os.urandom(SALT_BYTES)
        remains = commit(hash_, salt, personal_bytes(left, others))
        found.append(Redaction(one.place, steps[one.place] + 1, remains))
        arguments.append(
            (one.place.lane, one.place.number, left, others, one.commitment(hash_) + salt)
        )
    lanes, numbers, lefts, several, salts = zip(*arguments, strict=True)
    await connection.execute(
        _TAKE_OUT,
        lanes,
        numbers,
        [_array(one) for one in lefts],
        [_array(one) for one in several],
        salts,
    )
    return found


async def note_redactions(
    connection: Connection, redactions: Sequence[Redaction], by: Place
) -> None:
    """Say by which entry these were made; its digest is theirs."""
    if redactions:
        await connection.execute(
            _NOTE,
            [one.place.lane for one in redactions],
            [one.place.number for one in redactions],
            [one.step for one in redactions],
            [one.remains for one in redactions],
            by.lane,
            by.number,
        )


async def _steps(connection: Connection, kept: Sequence[Kept]) -> dict[Place, int]:
    steps: dict[Place, int] = defaultdict(int)
    redacted = [one.place for one in kept if one.is_redacted]
    if redacted:
        rows = await connection.fetch(
            _STEPS, [one.lane for one in redacted], [one.number for one in redacted]
        )
        for row in rows:
            steps[Place(row["lane"], row["n"])] = row["step"]
    return steps


def _array(keys: Sequence[int]) -> str | None:
    return f"{{{','.join(map(str, keys))}}}" if keys else None
