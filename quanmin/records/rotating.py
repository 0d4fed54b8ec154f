"""Replaces data keys by new ones, of the suite in force, and seals every body under them again,
while records are read and written.

A new key is put beside the old one: from then on whoever writes seals under it, and both open. A
writer that had read the old one learns so from the clock of its Patient's bucket and begins again.
For what is about nobody there is no such clock: there the job waits until no process can have the
old key at hand. Then it walks through all bodies, under the lock of each row, so that what a writer
is about to replace is waited for and never overwritten. It walks again until it finds none under an
old key, and only then are the old keys destroyed. A version stays the version it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from quanmin.base.crypto import Tampered
from quanmin.base.database import Connection, Database
from quanmin.base.jobs import Continue, Done, Job, Kind, put
from quanmin.base.problems import Conflict, Unusable
from quanmin.records.codec import (
    GENERATIONS,
    PATIENT,
    DataKey,
    Holder,
    KeyChanged,
    generation_of,
)
from quanmin.records.context import Context
from quanmin.records.rid import bucket_of
from quanmin.records.rows import lock_clocks
from quanmin.records.succession import add_link

log = logging.getLogger("quanmin.records")

ROTATE: Final = "rotate-data-keys"

_KEYS_A_STEP: Final = 500
_ROWS_A_LOOK: Final = 4000
_ROWS_A_STEP: Final = 500
_BYTES_A_STEP: Final = 4 << 20
_PAUSE_SECONDS: Final = 0.2
# Whoever has read a row reads its key next: an old key stays for so long after the last body.
_LINGER_SECONDS: Final = 5.0
_MARGIN_SECONDS: Final = 1.0
_START: Final = (-1, -1, -(2**63))
_FIRST: Final = -(2**63)

_KEYS: Final = """
    select bucket, kind, holder, wrapped, generation, succession from records.data_key
    where (bucket, kind, holder) > ($1, $2, $3) and wrapped <> '' and former is null
        and ($4::bigint[] is null or (kind = 0 and holder = any($4) and bucket = any($5)))
    order by bucket, kind, holder limit $6
"""
# Only what is still as it was read: a key destroyed meanwhile stays destroyed.
_REPLACE: Final = """
    update records.data_key k set former = k.wrapped, wrapped = t.new, generation = t.generation,
        succession = t.succession
    from unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::bytea[], $5::bytea[],
        $6::smallint[], $7::bytea[])
        as t (bucket, kind, holder, old, new, generation, succession)
    where k.bucket = t.bucket and k.kind = t.kind and k.holder = t.holder and k.wrapped = t.old
"""
_TELL_WRITERS: Final = "update records.clock set erasures = erasures + 1 where bucket = any($1)"
_IS_LEFT: Final = "select exists (select from records.data_key where former is not null)"
_OLD_KEYS: Final = """
    select bucket, kind, holder from records.data_key where former is not null
    order by bucket, kind, holder limit $1
"""
_DROP: Final = """
    update records.data_key k set former = null
    from unnest($1::smallint[], $2::smallint[], $3::bigint[]) as t (bucket, kind, holder)
    where k.bucket = t.bucket and k.kind = t.kind and k.holder = t.holder
"""
# What leads to the key of the body goes with it, for a file of the ledger that is written anew.
_LEAD: Final = """
    update records.ledger l set succession = k.succession
    from unnest($1::bytea[], $2::smallint[], $3::bigint[]) as t (entry, bucket, holder)
    join records.data_key k on k.bucket = t.bucket and k.kind = 0 and k.holder = t.holder
    where l.entry = t.entry
"""
_EXPECTED: Final = """
    select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    where i.inhparent in ('records.record'::regclass, 'records.history'::regclass)
"""
_NOW: Final = "select (extract(epoch from clock_timestamp()) * 1e6)::bigint"
# The transactions under way, of every account: of those of others the activity tells nothing.
_UNDER_WAY: Final = """
    select array(select virtualtransaction from pg_locks
        where locktype = 'virtualxid' and granted and pid <> pg_backend_pid())
"""


class _Table(msgspec.Struct, frozen=True):
    """Where bodies stand. `key` are the columns by which the walk goes, in the order of an index;
    with those of `more` they name a row. The rest is what tells the place of a body.
    """

    name: str
    key: dict[str, str]
    start: tuple[Any, ...]
    more: dict[str, str] = {}
    patient: str = "patient"
    sender: str = "sender"
    moment: str = "updated"

    @property
    def names(self) -> dict[str, str]:
        """The columns that name a row, with their types."""
        return {**self.key, **self.more}


_TABLES: Final = {
    "record": _Table("records.record", {"rid": "bigint"}, (_FIRST,), more={"type": "smallint"}),
    "history": _Table(
        "records.history",
        {"rid": "bigint", "version": "int", "updated": "bigint"},
        (_FIRST, -1, _FIRST),
    ),
    "ledger": _Table(
        "records.ledger",
        {"entry": "bytea"},
        ("",),
        patient="patients[1]",
        sender="0",
        moment="at",
    ),
    "fact": _Table("plans.fact", {"rid": "bigint", "plan": "bigint"}, (_FIRST, _FIRST)),
}
Phase = Literal[
    "make", "drain", "wait", "drain again", "record", "history", "ledger", "fact", "drop"
]
_WALKS: Final = ("record", "history", "ledger", "fact")


class Wanted(msgspec.Struct, frozen=True):
    """The source Patients (record keys) whose data keys are replaced; None: everybody's and
    everything's.
    """

    patients: tuple[int, ...] | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a job goes on: after this data key or this row, in hexadecimal where it is bytes.
    `since` is when the phase began, `earlier` what transactions were under way then. `found` counts
    what the round of walks found; `is_leftover` says that the round is about what an earlier job
    left.
    """

    phase: Phase
    after: tuple[int | str, ...] = ()
    since: int = 0
    keys: int = 0
    bodies: int = 0
    found: int = 0
    unopened: int = 0
    is_leftover: bool = False
    earlier: tuple[str, ...] | None = None


def rotate_kind(context: Context) -> Kind:
    """The kind of job that replaces data keys."""
    return Kind(ROTATE, _Rotating(context).step)


async def put_rotating(
    connection: Connection, owner: str, patients: Sequence[int] | None = None
) -> int:
    """Put the job in; gives its number. Raises Conflict while another is open."""
    wanted = Wanted(None if patients is None else tuple(patients))
    if await connection.fetchval(
        "select exists (select from jobs.job where kind = $1 and state in ('waiting', 'running'))",
        ROTATE,
    ):
        raise Conflict("data keys are being replaced already: `quanmin keys status` says how far")
    return await put(connection, ROTATE, msgspec.to_builtins(wanted), owner=owner, once=ROTATE)


async def count_former(database: Database) -> int:
    """How many data keys have an old one beside them, because bodies may be left under it."""
    return int(
        await database.fetchval("select count(*) from records.data_key where former is not null")
    )


class _Rotating:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._codec = context.codec

    async def step(self, connection: Connection, job: Job) -> Continue | Done:
        wanted = msgspec.convert(job.payload, Wanted)
        if job.position is None:
            is_left = await connection.fetchval(_IS_LEFT)
            first: Phase = "drain" if is_left else "make"
            place = Place(first, is_leftover=bool(is_left))
            total = await connection.fetchval(_EXPECTED) if wanted.patients is None else None
            return Continue(msgspec.to_builtins(place), 0, total or None, "begins")
        place = msgspec.convert(job.position, Place)
        after = await self._next(connection, wanted, place)
        if after is None:
            result = {"keys": place.keys, "bodies": place.bodies, "unopened": place.unopened}
            said = _unopened(place.unopened) if place.unopened else ""
            return Done(result, said)
        return Continue(msgspec.to_builtins(after), after.bodies, None, _SAID[after.phase])

    async def _next(self, connection: Connection, wanted: Wanted, place: Place) -> Place | None:
        match place.phase:
            case "make":
                return await self._make(connection, wanted, place)
            case "drain" | "drain again":
                return await self._drain(connection, place)
            case "wait":
                return await self._wait(connection, place)
            case "drop":
                return await self._drop(connection, place)
            case _:
                return await self._walk(connection, wanted, place)

    # ---- new keys -----------------------------------------------------------------------------

    async def _make(self, connection: Connection, wanted: Wanted, place: Place) -> Place:
        rows = await connection.fetch(
            _KEYS, *(place.after or _START), *_named(wanted), _KEYS_A_STEP
        )
        if not rows:
            # A Patient's writers have been told by the clock.
            first: Phase = "record" if wanted.patients is not None else "drain"
            return msgspec.structs.replace(place, phase=first, after=(), since=0)
        await self._replace(connection, rows)
        last = rows[-1]
        after = (last["bucket"], last["kind"], last["holder"])
        return msgspec.structs.replace(place, after=after, keys=place.keys + len(rows))

    async def _replace(self, connection: Connection, rows: Sequence[Any]) -> None:
        holders = [Holder(row["bucket"], row["kind"], row["holder"]) for row in rows]
        try:
            old = await self._codec.unwrap(
                [(holder, row["wrapped"]) for holder, row in zip(holders, rows, strict=True)]
            )
        except Tampered as error:
            raise Unusable(
                "A data key cannot be unwrapped: a key of the node is missing. Bring it back with "
                "`quanmin restore --keys FILE`, then `quanmin jobs retry`."
            ) from error
        new = {
            holder: DataKey(self._codec.new_key(), (row["generation"] + 1) % GENERATIONS)
            for holder, row in zip(holders, rows, strict=True)
        }
        context = self._context
        links = [
            add_link(
                context.derive,
                context.suite,
                holder,
                keys=(DataKey(old[holder], row["generation"]), new[holder]),
                before=row["succession"],
            )
            for holder, row in zip(holders, rows, strict=True)
        ]
        wrapped = await self._codec.wrap([(holder, new[holder].key) for holder in holders])
        # Clocks before keys, as whoever erases.
        buckets = {holder.bucket for holder in holders if holder.kind == PATIENT}
        await lock_clocks(connection, buckets)
        done = await connection.execute(
            _REPLACE,
            [holder.bucket for holder in holders],
            [holder.kind for holder in holders],
            [holder.number for holder in holders],
            [row["wrapped"] for row in rows],
            wrapped,
            [new[holder].generation for holder in holders],
            links,
        )
        if int(done.rpartition(" ")[2]) < len(rows):
            raise Conflict("a data key was wrapped anew or destroyed meanwhile: it is repeated")
        try:
            # For the clocks it may have waited long.
            await self._codec.refuse_gone(wrapped)
        except KeyChanged:
            raise Conflict("a key of the node was destroyed meanwhile: it is repeated") from None
        await connection.execute(_TELL_WRITERS, sorted(buckets))

    # ---- waiting ------------------------------------------------------------------------------

    async def _drain(self, connection: Connection, place: Place) -> Place:
        under_way = await connection.fetchval(_UNDER_WAY)
        if place.earlier is None:
            return msgspec.structs.replace(place, earlier=tuple(under_way))
        # Whoever began before may have read what was there before.
        if not set(place.earlier).isdisjoint(under_way):
            await asyncio.sleep(_PAUSE_SECONDS)
            return place
        following: Phase = "wait" if place.phase == "drain" else "record"
        now = await connection.fetchval(_NOW)
        return msgspec.structs.replace(place, phase=following, since=now, earlier=None)

    async def _wait(self, connection: Connection, place: Place) -> Place:
        now = await connection.fetchval(_NOW)
        left = self._codec.seconds_max + _MARGIN_SECONDS - (now - place.since) / 1e6
        if left <= 0:
            return msgspec.structs.replace(place, phase="drain again", since=now)
        await asyncio.sleep(min(left, _MARGIN_SECONDS))
        return place

    # ---- bodies -------------------------------------------------------------------------------

    async def _walk(self, connection: Connection, wanted: Wanted, place: Place) -> Place:
        table = _TABLES[place.phase]
        patients = None if place.is_leftover else wanted.patients
        rows = await _look(connection, table, place, patients)
        if not rows:
            return await self._follow(connection, place)
        keys = await self._replaced(connection, [self._holder(row) for row in rows])
        stale: list[Any] = []
        seen = size = 0
        for row in rows:
            holder = self._holder(row)
            if holder in keys and row["head"] >> 4 != keys[holder].generation:
                if stale and (len(stale) == _ROWS_A_STEP or size + row["bytes"] > _BYTES_A_STEP):
                    break
                stale.append(row)
                size += row["bytes"]
            seen += 1
        sealed, unopened = await self._seal_again(connection, table, stale, keys)
        after = tuple(_plain(rows[seen - 1][name]) for name in table.key)
        return msgspec.structs.replace(
            place,
            after=after,
            bodies=place.bodies + sealed,
            found=place.found + sealed,
            unopened=place.unopened + unopened,
        )

    async def _follow(self, connection: Connection, place: Place) -> Place:
        """What comes when a table has been walked through."""
        at = _WALKS.index(place.phase)
        if at + 1 < len(_WALKS):
            return msgspec.structs.replace(place, phase=_WALKS[at + 1], after=())
        if place.found:
            return msgspec.structs.replace(place, phase=_WALKS[0], after=(), found=0, unopened=0)
        now = await connection.fetchval(_NOW)
        return msgspec.structs.replace(place, phase="drop", after=(), since=now)

    async def _replaced(
        self, connection: Connection, holders: Sequence[Holder]
    ) -> dict[Holder, DataKey]:
        """The data keys of those of these holders that have an old one as well."""
        keys = await self._codec.read_keys(connection, sorted(set(holders), key=_order))
        return {holder: key for holder, key in keys.items() if key.former is not None}

    async def _seal_again(
        self,
        connection: Connection,
        table: _Table,
        stale: Sequence[Any],
        keys: dict[Holder, DataKey],
    ) -> tuple[int, int]:
        """How many bodies have been sealed again, and how many open under neither key."""
        if not stale:
            return 0, 0
        names = [[row[name] for row in stale] for name in table.names]
        rows = await connection.fetch(_locking(table), *names)
        done: list[tuple[Any, bytes]] = []
        unopened = 0
        for row in rows:
            key = keys.get(self._holder(row))
            if key is None or generation_of(row["body"]) == key.generation:
                continue  # somebody has written meanwhile
            place = self._context.place(
                row["type"], row["rid"], row["version"], row["patient"], row["moment"]
            )
            try:
                done.append((row, self._codec.seal_again(key, place, row["body"])))
            except Tampered:
                unopened += 1
                log.warning(
                    "a body opens under none of its data keys",
                    extra={"type": row["type"], "record": row["rid"], "version": row["version"]},
                )
        if done:
            await connection.execute(
                _writing(table),
                [body for _, body in done],
                *([row[name] for row, _ in done] for name in table.names),
            )
        if done and table is _TABLES["ledger"]:
            holders = [self._holder(row) for row, _ in done]
            await connection.execute(
                _LEAD,
                [row["entry"] for row, _ in done],
                [holder.bucket for holder in holders],
                [holder.number for holder in holders],
            )
        return len(done), unopened

    def _holder(self, row: Any) -> Holder:
        return self._context.holder(row["patient"], row["sender"])

    # ---- the end ------------------------------------------------------------------------------

    async def _drop(self, connection: Connection, place: Place) -> Place | None:
        now = await connection.fetchval(_NOW)
        left = _LINGER_SECONDS - (now - place.since) / 1e6
        if left > 0:
            await asyncio.sleep(min(left, 1.0))
            return place
        rows = await connection.fetch(_OLD_KEYS, _KEYS_A_STEP)
        if not rows:
            return Place("make", bodies=place.bodies) if place.is_leftover else None
        await connection.execute(
            _DROP,
            [row["bucket"] for row in rows],
            [row["kind"] for row in rows],
            [row["holder"] for row in rows],
        )
        return place


_SAID: Final[dict[str, str]] = {
    "make": "makes new keys",
    "drain": "waits for what began before",
    "wait": "waits until no process has an old key at hand",
    "drain again": "waits for what began before",
    "record": "seals records again",
    "history": "seals earlier versions again",
    "ledger": "seals the ledger again",
    "fact": "seals again what plans know",
    "drop": "destroys the old keys",
}


async def _look(
    connection: Connection, table: _Table, place: Place, patients: Sequence[int] | None
) -> list[Any]:
    """The next rows with a body, by their keys alone; bodies are not read."""
    key, count = ", ".join(table.key), len(table.key)
    marks = _marks(table.key)
    found = await connection.fetch(
        f"""
        select {", ".join(table.names)}, {table.patient} as patient, {table.sender} as sender,
            get_byte(substring(body from 1 for 1), 0) as head, octet_length(body) as bytes
        from {table.name}
        where body is not null and ({key}) > ({marks})
            and (${count + 1}::bigint[] is null or {table.patient} = any(${count + 1}))
        order by {key} limit ${count + 2}
        """,
        *_read_place(table, place),
        patients,
        _ROWS_A_LOOK,
    )
    return list(found)


def _locking(table: _Table) -> str:
    names, sender = table.names, "0" if table.sender == "0" else f"t.{table.sender}"
    columns = {**names, **dict.fromkeys(("rid", "type", "version", "body"), "")}
    return f"""
        select {", ".join(f"t.{column}" for column in columns)}, t.{table.moment} as moment,
            t.{table.patient} as patient, {sender} as sender
        from unnest({_marks(names, "[]")}) as n ({", ".join(names)})
        join {table.name} t using ({", ".join(names)}) where t.body is not null
        order by {", ".join(f"t.{name}" for name in table.key)} for update of t
    """


def _writing(table: _Table) -> str:
    names = table.names
    same = " and ".join(f"t.{name} = n.{name}" for name in names)
    return f"""
        update {table.name} t set body = n.new
        from unnest({_marks({"new": "bytea", **names}, "[]")}) as n (new, {", ".join(names)})
        where {same}
    """


def _marks(kinds: dict[str, str], suffix: str = "") -> str:
    return ", ".join(f"${i}::{kind}{suffix}" for i, kind in enumerate(kinds.values(), 1))


def _read_place(table: _Table, place: Place) -> list[Any]:
    """Positions are JSON, in which bytes stand as hexadecimal."""
    after = place.after or table.start
    return [
        bytes.fromhex(str(one)) if kind == "bytea" else one
        for one, kind in zip(after, table.key.values(), strict=True)
    ]


def _plain(value: Any) -> int | str:
    return value.hex() if isinstance(value, bytes) else value


def _named(wanted: Wanted) -> tuple[list[int] | None, list[int] | None]:
    if wanted.patients is None:
        return None, None
    return list(wanted.patients), sorted({bucket_of(patient) for patient in wanted.patients})


def _order(holder: Holder) -> tuple[int, int, int]:
    return holder.bucket, holder.kind, holder.number


def _unopened(count: int) -> str:
    return f"{count:,} bodies open under none of their data keys and stay as they are"
