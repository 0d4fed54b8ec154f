"""Indexes records that are there already by rules that are newer than they are.

A job walks the records by their keys, opens each, works out its keys anew and writes those that are
missing, under the lock of the record and only if it is still the one that was read. Each step is a
writer like any other: it holds the version of the catalogue by which it indexes. The walk begins
when all who may be writing by an older one have ended; what they wrote is then there to be walked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from quanmin.base.database import Connection
from quanmin.base.jobs import Continue, Done, Job, Kind
from quanmin.base.problems import Outdated
from quanmin.fhir.table import load_table
from quanmin.records.catalogue import Catalogue, index_rules, read_catalogue
from quanmin.records.context import ROW, Context
from quanmin.records.parameters import REINDEX
from quanmin.records.rebuilding import clean_up, index_rows
from quanmin.records.rid import id_of, is_assigned

_DRAIN_SECONDS: Final = 0.2
_HOLDS_MAX: Final = 10
_PAUSE_SECONDS_MAX: Final = 5.0
_EXAMPLES_MAX: Final = 10
_HOLD: Final = "select indexing.hold($1)"

# Those who hold an older version are writing by it, or about to see that it has passed.
_OLDER: Final = """
    select count(*) from pg_locks
    where locktype = 'advisory' and classid = 1902732408 and objsubid = 2
        and objid::bigint < $1 and pid <> pg_backend_pid()
        and database = (select oid from pg_database where datname = current_database())
"""
_CLAIM_PARAMETERS: Final = """
    update indexing.parameter set state = 'indexing', reason = '', job = $1
    where state = 'pending' or ($2 and state in ('indexing', 'failed')) returning codes
"""
_CLAIM_RULES: Final = """
    update indexing.rule set state = 'indexing', reason = '', job = $1
    where state = 'pending' or ($2 and state in ('indexing', 'failed')) returning rule
"""
_CLAIM_REMOVED: Final = "update indexing.parameter set job = $1 where state = 'removed'"
_GO_ON: Final = """
    update indexing.{table} set state = 'indexing', reason = '' where job = $1 and state = 'failed'
"""
_LEFT: Final = """
    select exists (select from indexing.parameter where job = $1 and state = 'indexing')
        or exists (select from indexing.rule where job = $1 and state = 'indexing')
"""
_READY: Final = """
    update indexing.{table} set state = 'ready', reason = ''
    where job = $1 and state = 'indexing'
"""
_STOPPED: Final = """
    update indexing.{table} set state = 'failed', reason = 'it was cancelled'
    where job = $1 and state = 'indexing'
"""
_TABLES: Final = ("parameter", "rule")

# Bounded by number and by bytes; a body is counted without being read.
_BATCH: Final = f"""
    select * from (
        select r.*, sum(octet_length(r.body)) over (order by r.rid) - octet_length(r.body) as before
        from (
            select {ROW}, r.bucket, r.seq, r.high, r.present, r.tokens, r.refs, r.words, r.apart
            from records.record r
            where r.type = $1 and r.rid > $2 and r.flags & 1 <> 1 order by r.rid limit $3
        ) r
    ) b where b.before < $4 order by b.rid
"""
_ONE: Final = f"""
    select {ROW}, r.bucket, r.seq, r.high, r.present, r.tokens, r.refs, r.words, r.apart
    from records.record r where r.type = $1 and r.rid = $2 and r.flags & 1 <> 1
"""
_EXPECTED: Final = """
    explain (format json) select 1 from records.record
    where type = any($1::smallint[]) and flags & 1 <> 1
"""


class ReindexLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast records are indexed again beside the requests."""

    batch_records: Annotated[
        int, Meta(description="How many records are indexed again in one step.", ge=1, le=10_000)
    ] = 500
    batch_bytes: Annotated[
        int,
        Meta(
            description="How many bytes of stored records one step takes, at least one record.",
            ge=1,
        ),
    ] = 4 << 20
    share: Annotated[
        float,
        Meta(
            description="How much of the time indexing again may work; the rest it leaves to the "
            "requests.",
            gt=0,
            le=1,
        ),
    ] = 0.5


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job is to index: by default what is not ready; else all records of some types (none
    named: of all), or one record (type, key), by all rules.
    """

    is_whole: bool = False
    types: tuple[str, ...] = ()
    record: tuple[str, int] | None = None


class Example(msgspec.Struct, frozen=True):
    """A record on which the expression of a parameter cannot be evaluated: by the id that the node
    gave it, else by its key.
    """

    type: str
    record: str
    parameter: str


class Place(msgspec.Struct, frozen=True):
    """Where a job goes on. `types` are the numbers of those still to be walked, the first after the
    key `rid`; `took` is for how long the last step worked. `failed` counts evaluations that failed,
    of which some are `examples`.
    """

    types: tuple[int, ...]
    is_whole: bool
    is_drained: bool = False
    rid: int | None = None
    seen: int = 0
    changed: int = 0
    took: float = 0.0
    total: int = 0
    failed: int = 0
    examples: tuple[Example, ...] = ()


_KEY_MIN: Final = -(2**63)


Asked = Callable[[Job], Awaitable[object]]
"""What a job is to index: the fields of `Wanted`."""


def reindex_kind(context: Context, asked: Asked, limits: ReindexLimits | None = None) -> Kind:
    """The kind of job that indexes again, for the store of this context."""
    reindexing = _Reindexing(context, asked, limits or ReindexLimits())
    return Kind(REINDEX, reindexing.step, reindexing.cancelled)


class _Reindexing:
    def __init__(self, context: Context, asked: Asked, limits: ReindexLimits) -> None:
        self._context = context
        self._asked = asked
        self._limits = limits

    async def step(self, connection: Connection, job: Job) -> Continue | Done:
        wanted = msgspec.convert(await self._asked(job), Wanted)
        if job.position is None:
            place = await self._begin(connection, job, wanted)
            return Continue(msgspec.to_builtins(place), 0, place.total or None, "begins")
        place = msgspec.convert(job.position, Place)
        await self._rest(place)
        for table in _TABLES:
            await connection.execute(_GO_ON.format(table=table), job.number)
        started = time.monotonic()
        if not place.is_drained:
            place = await self._drain(connection, place)
        elif place.types:
            if not (wanted.is_whole or await connection.fetchval(_LEFT, job.number)):
                place = msgspec.structs.replace(place, types=())
            else:
                place = await self._walk(connection, place, wanted)
        else:
            return await self._end(connection, job, place)
        place = msgspec.structs.replace(place, took=time.monotonic() - started)
        said = "" if place.is_drained else "waits for writings that began before"
        return Continue(msgspec.to_builtins(place), place.seen, None, said)

    async def cancelled(self, connection: Connection, job: Job) -> None:
        for table in _TABLES:
            await connection.execute(_STOPPED.format(table=table), job.number)

    async def _begin(self, connection: Connection, job: Job, wanted: Wanted) -> Place:
        """Take up what is open, and say which types are to be walked."""
        table = self._context.table
        takes_all = wanted.is_whole and not wanted.types and wanted.record is None
        numbers: set[int] = set()
        is_whole = wanted.is_whole
        if takes_all or not wanted.is_whole:
            parameters = await connection.fetch(_CLAIM_PARAMETERS, job.number, takes_all)
            rules = await connection.fetch(_CLAIM_RULES, job.number, takes_all)
            await connection.execute(_CLAIM_REMOVED, job.number)
            numbers |= {
                table.types[text.partition(" ")[0]].number
                for row in parameters
                for text in row["codes"]
            }
            named = {row["rule"] for row in rules}
            for rule in (one for one in index_rules() if one.name in named):
                numbers |= {table.types[name].number for name in rule.types or table.types}
            is_whole = is_whole or bool(named)
        if takes_all:
            numbers = {definition.number for definition in table.types.values()}
        elif wanted.record is not None:
            numbers = {table.types[wanted.record[0]].number}
        elif wanted.is_whole:
            numbers = {table.types[name].number for name in wanted.types}
        total = await _expected(connection, numbers) if wanted.record is None else 1
        return Place(tuple(sorted(numbers)), is_whole, total=total)

    async def _rest(self, place: Place) -> None:
        share = self._limits.share
        await asyncio.sleep(min(place.took * (1 / share - 1), _PAUSE_SECONDS_MAX))

    async def _drain(self, connection: Connection, place: Place) -> Place:
        version = await connection.fetchval("select version from indexing.catalogue")
        is_drained = not await connection.fetchval(_OLDER, version)
        if not is_drained:
            await asyncio.sleep(_DRAIN_SECONDS)
        return msgspec.structs.replace(place, is_drained=is_drained)

    async def _walk(self, connection: Connection, place: Place, wanted: Wanted) -> Place:
        catalogue = await self._hold(connection)
        number, rid = place.types[0], _KEY_MIN if place.rid is None else place.rid
        if wanted.record is not None:
            rows = await connection.fetch(_ONE, number, wanted.record[1])
        else:
            limits = self._limits
            rows = await connection.fetch(
                _BATCH, number, rid, limits.batch_records, limits.batch_bytes
            )
        if not rows:
            return msgspec.structs.replace(place, types=place.types[1:], rid=None)
        indexed = await index_rows(
            connection, self._context, catalogue, rows, is_whole=place.is_whole
        )
        is_over = wanted.record is not None
        return msgspec.structs.replace(
            place,
            types=place.types[1:] if is_over else place.types,
            rid=None if is_over else rows[-1]["rid"],
            seen=place.seen + len(rows),
            changed=place.changed + indexed.changed,
            failed=place.failed + len(indexed.failed),
            examples=(
                *place.examples,
                *(self._example(number, rid, code) for code, rid in indexed.failed[:_EXAMPLES_MAX]),
            )[:_EXAMPLES_MAX],
        )

    def _example(self, number: int, rid: int, code: str) -> Example:
        # Of an id that a client chose nobody knows what it says, and jobs are not encrypted.
        record = id_of(rid, self._context.prefix) if is_assigned(rid) else str(rid)
        return Example(self._context.named(number).name, record, code)

    async def _hold(self, connection: Connection) -> Catalogue:
        """The catalogue as it is; later walks wait for this step."""
        for _ in range(_HOLDS_MAX):
            catalogue = await read_catalogue(connection, load_table())
            if await connection.fetchval(_HOLD, catalogue.version) == catalogue.version:
                return catalogue
        raise Outdated("what is indexed changes all the time: the step is repeated")

    async def _end(self, connection: Connection, job: Job, place: Place) -> Continue | Done:
        for table in _TABLES:
            await connection.execute(_READY.format(table=table), job.number)
        if await clean_up(connection, self._context, job.number):
            return Continue(
                msgspec.to_builtins(place), place.seen, None, "deletes what is not used"
            )
        result = {"records": place.seen, "changed": place.changed}
        if not place.failed:
            return Done(result)
        told = msgspec.to_builtins(place.examples)
        return Done(
            {**result, "failed": place.failed, "examples": told},
            f"{place.failed:,} times an expression could not be evaluated on a record",
        )


async def _expected(connection: Connection, numbers: Sequence[int] | set[int]) -> int:
    if not numbers:
        return 0
    plan: Any = msgspec.json.decode(await connection.fetchval(_EXPECTED, sorted(numbers)))
    return int(plan[0]["Plan"]["Plan Rows"])
