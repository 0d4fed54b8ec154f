"""What a restore must not undo: who has been erased, and which consents were refused or withdrawn.

An entry commits with what it tells of, and is then written to a file outside the database, which no
backup of the database brings back. A database that was restored lacks entries which the file has:
those are carried out again before anybody is served.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from quanmin.base.chained_file import Broken, ChainedFile
from quanmin.base.database import UNAVAILABLE, Connection
from quanmin.base.keys import KeyPort
from quanmin.base.node_keys import node_keys
from quanmin.base.problems import Unusable
from quanmin.fhir.table import load_table
from quanmin.records.codec import PATIENT
from quanmin.records.operation import Change
from quanmin.records.rid import bucket_of

log = logging.getLogger("quanmin.records")

_LOCK: Final = int.from_bytes(b"ledger", "big")
_BATCH: Final = 1000
_ID_BYTES: Final = 16
_FIELDS: Final = "entry, kind, at, patients, type, rid, version, flags, sender, body, succession"
_INSERT: Final = f"""
    insert into records.ledger ({_FIELDS}, place)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing
"""
# The row as it is: its body is sealed under the data key of its person, with what leads to that key
# from those before.
_NOTE: Final = f"""
    insert into records.ledger ({_FIELDS})
    select t.entry, 'consent', r.updated, array[r.patient], r.type, r.rid, r.version, r.flags,
        s.code, r.body, k.succession
    from unnest($1::bytea[], $2::bigint[], $4::smallint[]) as t (entry, rid, bucket)
    join records.record r on r.type = $3 and r.rid = t.rid
    join records.sender s using (sender)
    join records.data_key k on k.bucket = t.bucket and k.kind = {PATIENT} and k.holder = r.patient
    where r.patient is not null and r.body is not null
"""
_WAITING: Final = f"""
    select {_FIELDS} from records.ledger where place is null order by at limit {_BATCH}
"""
_PLACED: Final = """
    update records.ledger l set place = t.place
    from unnest($1::bytea[], $2::bigint[]) as t (entry, place) where l.entry = t.entry
"""
_STATE: Final = """
    select coalesce(max(place), 0) as place, count(*) filter (where place is null) as waiting
    from records.ledger
"""
_IN_THE_WAY: Final[tuple[type[Exception], ...]] = (OSError, Broken, *UNAVAILABLE)
_TAKES_AWAY: Final = (b'"deny"', b'"policyRule"')


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An erasure of source Patients (record keys), a version of a Consent as its row tells it, or
    the certificate (`body`) of a deletion of these Patients; `at` in microseconds since 1970 in
    UTC, of a Consent the moment of its version. `succession` leads from the data keys before to
    that of the body.
    """

    entry: bytes
    kind: str
    at: int
    patients: tuple[int, ...]
    type: int | None = None
    rid: int | None = None
    version: int | None = None
    flags: int | None = None
    sender: str | None = None
    body: bytes | None = None
    succession: bytes | None = None


def ledger_file(path: Path, keys: KeyPort) -> ChainedFile:
    """A ledger's file, or a copy of it; only this node can read it."""
    return ChainedFile(path, node_keys(keys).rooted("ledger"))


class Placed(msgspec.Struct, frozen=True):
    """An entry, and where it ends in the file."""

    entry: Entry
    end: int


class Ledger:
    """The ledger of one process; registered as a projection."""

    types: frozenset[str] = frozenset({"Consent"})
    is_early = False

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], file: ChainedFile) -> None:
        self._pool = pool
        self._file = file

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Note the versions that may take something away: all but a first one that only permits."""
        noted = [
            (change.rid, bucket_of(change.patient))
            for change in changes
            if change.patient is not None and not _only_gives(change)
        ]
        if noted:
            rids, buckets = zip(*noted, strict=True)
            number = load_table().types["Consent"].number
            await connection.execute(_NOTE, [_new_id() for _ in noted], rids, number, buckets)

    async def note_erased(self, connection: Connection, patients: Sequence[int], at: int) -> None:
        """Note in the caller's transaction that these source Patients (record keys) are erased."""
        entry = Entry(entry=_new_id(), kind="erasure", at=at, patients=tuple(patients))
        await insert(connection, entry, None)

    async def note_certificate(
        self, connection: Connection, patients: Sequence[int], at: int, body: bytes
    ) -> None:
        """Note in the caller's transaction what certifies that these source Patients were deleted;
        `carry` takes it to the file.
        """
        entry = Entry(
            entry=_new_id(), kind="certificate", at=at, patients=tuple(patients), body=body
        )
        await insert(connection, entry, None)

    async def carry(self) -> None:
        """Write to the file what is not there yet; on disk when this returns.

        Where that fails the log says so, and the next call tries again: the entries are durable in
        the database meanwhile.
        """
        try:
            while await self._carry_some():
                pass
        except _IN_THE_WAY:
            log.exception("the ledger's file cannot be written; it is tried again")

    async def missing(self) -> list[Placed]:
        """The entries that the file has and this database has not, in order: none but after a
        restore. What only the database has is in the file when this returns.

        Raises Unusable when the file is not as it was written.
        """
        state = await self._pool.fetchrow(_STATE)
        end = self._file.end()
        if state is not None and not state["waiting"] and state["place"] == end:
            return []
        try:
            found = {
                entry.entry: Placed(entry, one.end)
                for one in self._file.read()
                for entry in (msgspec.msgpack.decode(one.content, type=Entry),)
            }
        except Broken as error:
            raise Unusable(
                f"The ledger of erasures and consents cannot be relied on: {error}. Bring back the "
                "copy that lies in the folder of the backups, or an earlier one of your own."
            ) from error
        known = {row["entry"] for row in await self._pool.fetch("select entry from records.ledger")}
        both = known & found.keys()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("update records.ledger set place = null")
            await connection.execute(_PLACED, list(both), [found[entry].end for entry in both])
        lacking = [placed for entry, placed in found.items() if entry not in known]
        if lacking:
            log.warning("the database is older than its ledger", extra={"count": len(lacking)})
        await self.carry()
        return lacking

    async def _carry_some(self) -> bool:
        """Write a batch to the file; whether there may be more."""
        async with self._pool.acquire() as connection, connection.transaction():
            # Whoever comes while another carries waits: what it came for may be in that batch.
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            rows = await connection.fetch(_WAITING)
            if rows:
                contents = [msgspec.msgpack.encode(_entry(row)) for row in rows]
                ends = await asyncio.to_thread(self._file.append, contents)
                await connection.execute(_PLACED, [row["entry"] for row in rows], ends)
        return len(rows) == _BATCH


async def insert(connection: Connection, entry: Entry, place: int | None) -> None:
    """Put an entry into the database, once, in the caller's transaction."""
    fields = msgspec.structs.astuple(entry)
    await connection.execute(_INSERT, *fields, place)


def _entry(row: Any) -> Entry:
    fields = dict(row)
    return Entry(**{**fields, "patients": tuple(fields["patients"])})


def _new_id() -> bytes:
    return secrets.token_bytes(_ID_BYTES)


def _only_gives(change: Change) -> bool:
    """Whether without this version nothing would be open that it closes: a first version, active,
    in which nothing is denied and no policy decides.
    """
    resource = change.resource
    if change.version > 1 or change.body is None or resource is None:
        return False
    is_denying = any(word in change.body for word in _TAKES_AWAY)
    return resource.get("status") == "active" and not is_denying
