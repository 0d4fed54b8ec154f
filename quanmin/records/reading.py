"""Reading by identity: a record, a version, a history. Every row passes the asker's visibility."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import cache
from typing import Any

import asyncpg
import msgspec

from quanmin.base.database import Connection, Database, Reader
from quanmin.base.problems import Gone, Malformed, NotFound, Sentence
from quanmin.fhir.table import TypeDefinition, load_table
from quanmin.records.codec import ERASED as ERASED_TEXT
from quanmin.records.context import DELETED, ERASED, NOBODY, ROW, Context
from quanmin.records.glance import Glances
from quanmin.records.model import Batch, Stored
from quanmin.records.rid import bucket_of, is_assigned
from quanmin.records.simplifying import left_of, permitting
from quanmin.records.visibility import (
    Everything,
    Facts,
    Grant,
    Having,
    Nothing,
    Visibility,
    of_versions,
)
from quanmin.records.visibility_sql import allows, having_in, mentions_grants, visibility_sql
from quanmin.records.walls import Wall, WalledPool

# Each gives a row, and reads as many where there is no record.
_ASSIGNED = f"""
    (select {ROW} from records.record r where r.type = $1 and r.rid = $2 and r.bucket = $3)
    union all (select {ROW} from records.nobody r) limit 1
"""
_CHOSEN = f"""
    select r.* from (
        (select p.bucket from records.place p where p.home = $3 and p.rid = $2)
        union all (select n.bucket from records.nobody n) limit 1
    ) p cross join lateral (
        (select {ROW} from records.record r
            where r.type = $1 and r.rid = $2 and r.bucket = p.bucket)
        union all (select {ROW} from records.nobody r) limit 1
    ) r
"""

_GRANTS = """
    select grantee, type, since, until, source, part, rank, low, high, keys, systems, rids
    from records.granted where patient = $1
"""
# All of it, where there is anything that permits.
_GRANTS_IF = f"""
    {_GRANTS} and (select exists (
        select from records.granted g where g.patient = $1 and g.grantee = any($2::bigint[])))
"""


async def read(
    connection: Connection, context: Context, visibility: Visibility, type_: str, id_: str
) -> Stored:
    """The current version. Raises NotFound when there is none the asker may see, Gone when it has
    been deleted.
    """
    row, facts = await _current_row(connection, context, visibility, type_, id_)
    return await _open_current(connection, context, row, facts)


async def glance(
    database: asyncpg.Pool[asyncpg.Record],
    glances: Glances,
    context: Context,
    visibility: Visibility,
    *,
    type_: str,
    id_: str,
    wall: Wall | None,
) -> Stored:
    """Like `read`, its row fetched together with those of others who ask at the same moment."""
    reader = database if wall is None else WalledPool(database, wall)
    row, facts = await _current_row(
        reader, context, visibility, type_, id_, glances=glances, wall=wall
    )
    return await _open_current(database, context, row, facts)


async def read_version(
    connection: Connection,
    context: Context,
    visibility: Visibility,
    type_: str,
    id_: str,
    *,
    version: int,
) -> Stored:
    """One version of a record that the asker may see as it is now and as it was then.

    Raises NotFound, or Gone when that version is a deletion.
    """
    row, facts = await _current_row(connection, context, visibility, type_, id_)
    _refuse_erased(row)
    if row["version"] != version:
        found = await connection.fetchrow(
            f"select {ROW} from records.history r where r.rid = $1 and r.version = $2::bigint",
            row["rid"],
            version,
        )
        older = of_versions(visibility)
        then = None if found is None else await _seen(connection, context, older, found)
        if then is None:
            raise NotFound(
                Sentence(
                    "there is no version %(version)s of this %(type)s", version=version, type=type_
                )
            )
        row, facts = found, then
    if row["flags"] & DELETED:
        raise Gone(
            Sentence(
                "version %(version)s is the deletion of this %(type)s", version=version, type=type_
            )
        )
    return await _open_one(connection, context, row, facts)


async def read_patient(
    connection: Connection, context: Context, visibility: Visibility, rid: int
) -> Stored:
    """The current version of the Patient with this record key. Raises NotFound, Gone."""
    definition = context.definition("Patient")
    row = await connection.fetchrow(_ASSIGNED, definition.number, rid, bucket_of(rid))
    facts = await _seen_or_not(connection, context, visibility, definition, row)
    if row is None or facts is None or row["flags"] & DELETED:
        raise NotFound("there is no Patient with this key")
    return await _open_one(connection, context, row, facts)


async def types_present(connection: Connection, context: Context) -> list[str]:
    """The types of which there are records, in the order of their names."""
    rows = await connection.fetch(
        "select t.number from unnest($1::smallint[]) as t (number) cross join lateral"
        " (select 1 from records.record r where r.type = t.number limit 1) one",
        [definition.number for definition in context.table.types.values()],
    )
    return sorted(context.named(row["number"]).name for row in rows)


async def _current_row(
    database: Reader,
    context: Context,
    visibility: Visibility,
    type_: str,
    id_: str,
    *,
    glances: Glances | None = None,
    wall: Wall | None = None,
) -> tuple[Any, Facts]:
    definition = context.definition(type_)
    rid = context.rid_of(type_, id_)
    if rid is None:
        row, facts = None, None
    elif glances is not None and is_assigned(rid):
        row = await glances.row(definition.number, rid, wall)
        facts = await _seen_or_not(database, context, visibility, definition, row)
    else:
        statement = _ASSIGNED if is_assigned(rid) else _CHOSEN
        row = await database.fetchrow(statement, definition.number, rid, bucket_of(rid))
        facts = await _seen_or_not(database, context, visibility, definition, row)
    if facts is None:
        raise NotFound(Sentence("there is no %(type)s with this id", type=type_))
    return row, facts


async def is_visible(
    reader: Reader, context: Context, visibility: Visibility, type_: str, rid: int
) -> bool:
    """Whether a record of this type and key is there and visible: as many rows are read to find
    that it is hidden as to find that it is not there.
    """
    definition = context.definition(type_)
    statement = _ASSIGNED if is_assigned(rid) else _CHOSEN
    row = await reader.fetchrow(statement, definition.number, rid, bucket_of(rid))
    return await _seen_or_not(reader, context, visibility, definition, row) is not None


async def _seen_or_not(
    database: Reader, context: Context, visibility: Visibility, definition: TypeDefinition, row: Any
) -> Facts | None:
    """The facts by which the record in a row is visible. What is not there is asked about as what
    is hidden.
    """
    if row is not None and row["type"] != NOBODY:
        known = context.facts(row)
        if not isinstance(left_of(visibility, known), Nothing):
            return await seen(database, visibility, known, row["rid"])
    is_of_patients = definition.name == "Patient" or bool(definition.patient_params)
    patient = NOBODY if is_of_patients else None
    nobody = Facts(NOBODY, patient, definition.name, frozenset(), None)
    await seen(database, visibility, nobody, NOBODY)
    return None


async def _open_current(database: Database, context: Context, row: Any, facts: Facts) -> Stored:
    _refuse_erased(row)
    if row["flags"] & DELETED:
        raise Gone(
            Sentence(
                "this %(type)s has been deleted; its history can still be read", type=facts.type
            )
        )
    return await _open_one(database, context, row, facts)


async def _open_one(connection: Database, context: Context, row: Any, facts: Facts) -> Stored:
    """The record of a row, with the facts by which it was found visible."""
    opened = await context.open(connection, [row])
    if not opened:
        raise Gone(ERASED_TEXT)
    return msgspec.structs.replace(opened[0], facts=facts) if facts.grants else opened[0]


def _refuse_erased(row: Any) -> None:
    if row["flags"] & ERASED:
        raise Gone(ERASED_TEXT)


async def _seen(
    connection: Reader, context: Context, visibility: Visibility, row: Any
) -> Facts | None:
    return await seen(connection, visibility, context.facts(row), row["rid"])


async def seen(connection: Reader, visibility: Visibility, facts: Facts, rid: int) -> Facts | None:
    """The facts by which the record of this key, of which a row tells these, is visible: what else
    decides it is fetched. None when it is not.
    """
    left = left_of(visibility, facts)
    if isinstance(left, Everything | Nothing):
        return facts if isinstance(left, Everything) else None
    if facts.patient is not None and mentions_grants(left):
        grants = await grants_of(connection, facts.patient, permitting(left))
        facts = msgspec.structs.replace(facts, grants=grants)
    facts = await with_codes(connection, facts, rid, having_in(left))
    return facts if allows(left, facts) else None


async def with_codes(
    connection: Reader, facts: Facts, rid: int, asked: Sequence[Having] = ()
) -> Facts:
    """The facts with those of the record's codes that its grants, or these, ask about."""
    having = [one for one in asked if one.type == facts.type]
    having += [
        Having(facts.type, frozenset(key for key, _ in one.codes), one.codes)
        for one in facts.grants
        if one.codes is not None and one.type in {None, facts.type}
    ]
    return await _with_codes(connection, facts, rid, having) if having else facts


async def grants_of(
    connection: Reader, patient: int, permitting: frozenset[int] | None = None
) -> frozenset[Grant]:
    """What a source Patient grants, holding or not; nothing where nothing is granted to those that
    are `permitting`, so that no row is read of whoever permits nothing.
    """
    if permitting is None:
        rows = await connection.fetch(_GRANTS, patient)
    else:
        rows = await connection.fetch(_GRANTS_IF, patient, sorted(permitting))
    return frozenset(map(_grant, rows))


def _grant(row: Any) -> Grant:
    type_ = _type_names()[row["type"]] if row["type"] else None
    keys, rids = row["keys"], row["rids"]
    return Grant(
        row["grantee"],
        type_,
        row["since"],
        row["until"],
        row["source"],
        row["part"],
        row["rank"],
        None if row["low"] is None else (row["low"], row["high"]),
        None if keys is None else frozenset(zip(keys, row["systems"], strict=True)),
        None if rids is None else frozenset(rids),
    )


@cache
def _type_names() -> dict[int, str]:
    return {definition.number: name for name, definition in load_table().types.items()}


async def count_beyond(connection: Connection, visibility: Visibility, rids: Sequence[int]) -> int:
    """How many of these records, by their keys, are not visible as they are now."""
    arguments: list[Any] = [list(rids)]

    def bind(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    seen = visibility_sql(visibility, bind, "r")
    number: int = await connection.fetchval(
        "select count(*) from records.record r where r.rid = any($1::bigint[])"
        f" and ({seen}) is not true",
        *arguments,
    )
    return number


async def _with_codes(
    connection: Reader, facts: Facts, rid: int, having: Sequence[Having]
) -> Facts:
    """The facts with those of the record's codes that are asked about."""
    row = await connection.fetchrow(
        "select array(select unnest(r.tokens) intersect select unnest($2::bigint[])) as keys,"
        " array(select array[s.key, s.system] from records.keyed s where s.rid = r.rid"
        " and s.key = any($3::bigint[]) and s.low is not distinct from r.low) as codes"
        " from records.record r where r.type = $4 and r.rid = $1",
        rid,
        list({key for one in having for key in one.keys}),
        list({key for one in having for key, _ in one.codes}),
        load_table().types[facts.type].number,
    )
    if row is None:
        return facts
    return msgspec.structs.replace(
        facts, keys=frozenset(row["keys"]), codes=frozenset(map(tuple, row["codes"]))
    )


# The version after an older one stands in the history too, or holds now. Its number need not be
# the next: a restore passes over some.
_REPLACED_AFTER = """
    coalesce(
        (select n.updated from records.history n where n.rid = r.rid and n.version > r.version
         order by n.version limit 1),
        (select c.updated from records.record c
         where c.type = r.type and c.rid = r.rid and c.bucket = r.bucket and c.version > r.version)
    ) > {low}
"""


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions: of one record, of a type, or of everything; `since` and `before` in
    microseconds.

    `since` is inclusive and `before` exclusive on the moment a version was made; `at` is a span
    [low, high) at some moment of which a version was current (R4 http.html#history); `cursor`
    continues a Batch.
    """

    type: str | None = None
    id: str | None = None
    since: int | None = None
    before: int | None = None
    at: tuple[int, int] | None = None
    count: int = 50
    cursor: str | None = None


async def history(
    connection: Connection, context: Context, visibility: Visibility, query: HistoryQuery
) -> Batch:
    """Versions, newest first. A version is shown when the asker may see it and the record as it is
    now.
    """
    conditions: list[str] = []
    arguments: list[Any] = []

    def bind(value: object) -> str:
        arguments.append(value)
        return f"${len(arguments)}"

    if query.type is not None and query.id is not None:
        row, _ = await _current_row(connection, context, visibility, query.type, query.id)
        _refuse_erased(row)
        conditions.append(f"r.rid = {bind(row['rid'])}")
    if query.type is not None:
        number = context.definition(query.type).number
        conditions.append(f"r.type = {bind(number)}::smallint")
    if query.since is not None:
        conditions.append(f"r.updated >= {bind(query.since)}")
    if query.before is not None:
        conditions.append(f"r.updated < {bind(query.before)}")
    replaced = ""
    if query.at is not None:
        low, high = query.at
        conditions.append(f"r.updated < {bind(high)}")
        replaced = f"and {_REPLACED_AFTER.format(low=bind(low))}"
    if query.cursor is not None:
        position = ", ".join(bind(part) for part in _read_cursor(query.cursor))
        conditions.append(f"(r.updated, r.rid, r.version) < ({position})")
    seen = visibility_sql(visibility, bind, "r")
    seen_then = visibility_sql(of_versions(visibility), bind, "r")
    seen_now = visibility_sql(visibility, bind, "c")
    where = " and ".join([*conditions, "true"])
    limit = bind(query.count + 1)
    rows = await connection.fetch(
        f"""
        select * from (
            (select {ROW} from records.record r where {where} and {seen}
             order by r.updated desc, r.rid desc, r.version desc limit {limit})
            union all
            (select {ROW} from records.history r where {where} and {seen_then}
             and exists (select from records.record c
                         where c.type = r.type and c.rid = r.rid and c.bucket = r.bucket
                         and {seen_now})
             {replaced}
             order by r.updated desc, r.rid desc, r.version desc limit {limit})
        ) r order by updated desc, rid desc, version desc limit {limit}
        """,
        *arguments,
    )
    shown = rows[: query.count]
    versions = await context.open(connection, shown)
    rest = len(rows) > query.count
    return Batch(tuple(versions), _write_cursor(shown[-1]) if rest and shown else None)


def _write_cursor(row: Any) -> str:
    position: Sequence[int] = (row["updated"], row["rid"], row["version"])
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode()


def _read_cursor(cursor: str) -> tuple[int, int, int]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[int, int, int])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Malformed("the cursor is not one this node gave: start again without it") from error
