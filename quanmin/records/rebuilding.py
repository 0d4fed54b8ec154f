"""Works out anew what a stored record is found by, and writes what of it is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.custom import indexed_values
from quanmin.fhir.defining import Defined
from quanmin.fhir.extraction import index_values
from quanmin.fhir.json import decode
from quanmin.fhir.values import SearchParameter, Value
from quanmin.records.catalogue import Catalogue
from quanmin.records.context import SEVERAL, Context
from quanmin.records.index import IN_COLUMNS, IndexEntry, ranges_key
from quanmin.records.label_sets import UNLABELLED
from quanmin.records.model import Stored
from quanmin.records.walls import wall_of

# The processor is given away after this many records, so that leases are renewed meanwhile.
_YIELD_EVERY: Final = 16
_DELETED_AT_ONCE: Final = 10_000

# A record that has been written since it was read has its keys from whoever wrote it.
_LOCK: Final = """
    select r.rid from records.record r
    join unnest($2::bigint[], $3::smallint[], $4::int[]) as t (rid, bucket, seq)
        on r.rid = t.rid and r.bucket = t.bucket and r.seq = t.seq
    where r.type = $1 order by r.rid for update of r
"""
_UPDATE: Final = """
    update records.record set present = $4, low = $5, high = $6, flags = $7, labels = $8,
        tokens = $9, refs = $10, words = $11, apart = $12
    where type = $1 and rid = $2 and bucket = $3
"""
# LIMIT keeps the planner from reading the whole table for a batch, which it would do for each.
_SIDE: Final = {
    "keyed": (
        """
        insert into records.keyed
            (key, system, low, patient, value, rid, type, bucket, wall)
        select t.* from unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::real[],
            $6::bigint[], $7::smallint[], $8::smallint[], $9::int[])
            as t (key, system, low, patient, value, rid, type, bucket, wall)
        where case when t.low is null
            then (select true from records.keyed s where s.key = t.key and s.low is null
                and s.rid = t.rid and s.system = t.system limit 1)
            else (select true from records.keyed s where s.key = t.key and s.low = t.low
                and s.rid = t.rid and s.system = t.system limit 1) end is null
        """
    ),
    "dated": (
        """
        insert into records.dated (key, low, high, rid, type, bucket, wall)
        select t.* from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
            $5::smallint[], $6::smallint[], $7::int[])
            as t (key, low, high, rid, type, bucket, wall)
        where (
            select true from records.dated s where s.key = t.key and s.low = t.low
            and s.high = t.high and s.rid = t.rid limit 1) is null
        """
    ),
    "ranged": (
        """
        insert into records.ranged (key, low, high, rid, type, bucket, wall)
        select t.* from unnest($1::bigint[], $2::numeric[], $3::numeric[], $4::bigint[],
            $5::smallint[], $6::smallint[], $7::int[])
            as t (key, low, high, rid, type, bucket, wall)
        where (
            select true from records.ranged s where s.key = t.key and s.low = t.low
            and s.rid = t.rid and s.high is not distinct from t.high limit 1) is null
        """
    ),
}
_UNITS: Final = """
    insert into records.unit (type, param, system, code, kinds, key)
    values ($1, $2, $3, $4, $5, $6) on conflict do nothing
"""
_WORDINGS: Final = """
    insert into records.wording (key, words) values ($1, $2) on conflict do nothing
"""
_REMOVED: Final = """
    select generation, definition::text from indexing.parameter
    where job = $1 and state = 'removed' order by generation limit 1
"""


class Indexed(msgspec.Struct, frozen=True):
    """What came of some records: how many were changed, and on which (their keys) an expression of
    which custom parameter could not be evaluated.
    """

    changed: int = 0
    failed: tuple[tuple[str, int], ...] = ()


class _Renewed(msgspec.Struct):
    """A record as it was read, with the entry it ought to have."""

    row: Any
    entry: IndexEntry
    apart: int = UNLABELLED


async def index_rows(
    connection: Connection,
    context: Context,
    catalogue: Catalogue,
    rows: Sequence[Any],
    *,
    is_whole: bool,
) -> Indexed:
    """Index records of one type, read with the columns of ROW and their keys, by this catalogue.
    `is_whole` indexes them by all rules, otherwise by custom parameters.

    The caller's transaction holds the catalogue's version. Doing it again changes nothing.
    """
    by_rid = {row["rid"]: row for row in rows}
    opened = await context.open(connection, rows)
    renewed: list[_Renewed] = []
    failed: list[tuple[str, int]] = []
    for number, stored in enumerate(opened):
        if number % _YIELD_EVERY == _YIELD_EVERY - 1:
            await asyncio.sleep(0)
        lacking: list[SearchParameter] = []
        entry = _entry(context, catalogue, stored, lacking, is_whole=is_whole)
        failed += ((param.code, stored.rid) for param in lacking)
        row = by_rid[stored.rid]
        if not is_whole:
            _add_old(entry, row)
        if is_whole or entry.dated or entry.ranged or entry.wordings or _is_new(row, entry):
            renewed.append(_Renewed(row, entry))
    if not renewed:
        return Indexed(0, tuple(failed))
    same = await _lock(connection, renewed)
    renewed = [one for one in renewed if one.row["rid"] in same]
    await _number_labels(connection, context, renewed)
    changed = {
        one.row["rid"]
        for one in renewed
        if _is_new(one.row, one.entry) or one.row["apart"] != (one.apart or None)
    }
    await connection.executemany(
        _UPDATE, [_columns(one) for one in renewed if one.row["rid"] in changed]
    )
    await _add_units(connection, renewed)
    await _add_wordings(connection, renewed)
    changed |= await _add_side(connection, renewed)
    return Indexed(len(changed), tuple(failed))


def _entry(
    context: Context,
    catalogue: Catalogue,
    stored: Stored,
    lacking: list[SearchParameter],
    *,
    is_whole: bool,
) -> IndexEntry:
    """The entry it ought to have; parameters that could not be evaluated are added to `lacking`."""
    definition = catalogue.table.types[stored.type]
    customs = catalogue.customs.get(stored.type, ())
    resource = decode(stored.body or b"{}")
    values: list[tuple[SearchParameter, list[Value]]] = []
    if is_whole or any(_is_measured(param) for param in customs):
        values = index_values(stored.type, resource, context.zone, IN_COLUMNS, base=context.base)
    mine = indexed_values(customs, resource, context.zone, base=context.base, failed=lacking)
    if is_whole:
        entry = context.indexer.entry(definition, values + mine)
        if stored.facts.patient is not None:
            entry.labels |= context.labels_given(stored.body or b"", resource)
        return entry
    return context.indexer.entry(definition, mine, beside=values)


def _is_measured(param: SearchParameter) -> bool:
    """Whether the key of a value holds the kinds of the record's codes too."""
    parts = () if param.custom is None else param.custom.parts
    return any(one.kind == "quantity" for one in (param, *parts))


def _add_old(entry: IndexEntry, row: Any) -> None:
    """What the record has already stays; the rest of the entry is as it was."""
    entry.tokens.update(row["tokens"] or ())
    entry.refs.update(row["refs"] or ())
    entry.words.update(row["words"] or ())
    entry.labels.update(row["labels"] or ())
    entry.present, entry.low, entry.high = row["present"], row["low"], row["high"]
    entry.several = bool(row["flags"] & SEVERAL)


def _is_new(row: Any, entry: IndexEntry) -> bool:
    """Whether the row does not say of the record what the entry says."""
    return (
        row["present"] != _signed(entry.present)
        or (row["low"], row["high"]) != (entry.low, entry.high)
        or bool(row["flags"] & SEVERAL) is not entry.several
        or any(
            set(row[name] or ()) != keys
            for name, keys in (
                ("tokens", entry.tokens),
                ("refs", entry.refs),
                ("words", entry.words),
                ("labels", entry.labels),
            )
        )
    )


def _signed(mask: int) -> int:
    return mask - (1 << 64) if mask >= 1 << 63 else mask


async def _lock(connection: Connection, renewed: Sequence[_Renewed]) -> set[int]:
    rows = [one.row for one in renewed]
    found = await connection.fetch(
        _LOCK,
        rows[0]["type"],
        [row["rid"] for row in rows],
        [row["bucket"] for row in rows],
        [row["seq"] for row in rows],
    )
    return {row["rid"] for row in found}


def _columns(one: _Renewed) -> tuple[object, ...]:
    row, entry = one.row, one.entry
    flags = row["flags"] & ~SEVERAL | (SEVERAL if entry.several else 0)
    return (
        row["type"],
        row["rid"],
        row["bucket"],
        _signed(entry.present),
        entry.low,
        entry.high,
        flags,
        *(list(keys) or None for keys in (entry.labels, entry.tokens, entry.refs, entry.words)),
        one.apart or None,
    )


async def _number_labels(
    connection: Connection, context: Context, renewed: Sequence[_Renewed]
) -> None:
    await context.label_sets.all(connection.fetch)
    numbers = await context.label_sets.numbers(
        connection, (frozenset(one.entry.labels) for one in renewed)
    )
    for one in renewed:
        one.apart = numbers[frozenset(one.entry.labels)]


async def _add_units(connection: Connection, renewed: Sequence[_Renewed]) -> None:
    units = {(one.row["type"], unit) for one in renewed for unit in one.entry.units}
    ordered = sorted(units, key=lambda item: (item[0], item[1].key))
    await connection.executemany(
        _UNITS,
        [(type_, u.param, u.system, u.code, u.kinds, u.key) for type_, u in ordered],
    )


async def _add_wordings(connection: Connection, renewed: Sequence[_Renewed]) -> None:
    found = {key: words for one in renewed for key, words in one.entry.wordings}
    await connection.executemany(_WORDINGS, sorted(found.items()))


async def _add_side(connection: Connection, renewed: Sequence[_Renewed]) -> set[int]:
    """Add the rows of the side tables that are not there; the records that lacked some."""
    found: set[int] = set()
    for table, statement in _SIDE.items():
        rows = [
            (*_side_row(table, item, one), row["rid"], row["type"], row["bucket"], _wall(row))
            for one in renewed
            for row in (one.row,)
            for item in getattr(one.entry, table)
        ]
        if rows:
            added = await connection.fetch(
                f"{statement} returning rid", *map(list, zip(*rows, strict=True))
            )
            found.update(row["rid"] for row in added)
    return found


def _wall(row: Any) -> int:
    return wall_of(row["sender"], row["patient"])


def _side_row(table: str, item: tuple[Any, ...], one: _Renewed) -> tuple[Any, ...]:
    if table != "keyed":
        return item
    return (*item, one.entry.low, one.row["patient"], one.entry.value)


# ---- what nobody asks for any more ---------------------------------------------------------------


async def clean_up(connection: Connection, context: Context, job: int) -> bool:
    """Delete some rows of the side tables that stand under a definition which this job found
    removed; whether there may be more.
    """
    row = await connection.fetchrow(_REMOVED, job)
    if row is None:
        return False
    generation = row["generation"]
    for table, keys in (await _keys_of(connection, context, row)).items():
        deleted = await connection.execute(
            f"delete from records.{table} where ctid = any(array("
            f" select ctid from records.{table} where key = any($1) limit $2))",
            keys,
            _DELETED_AT_ONCE,
        )
        if int(deleted.rpartition(" ")[2]) >= _DELETED_AT_ONCE:
            return True
    names = list({one.name for one in _params_of(row)})
    await connection.execute("delete from records.unit where param = any($1)", names)
    await connection.execute("delete from indexing.parameter where generation = $1", generation)
    return True


async def _keys_of(connection: Connection, context: Context, row: Any) -> dict[str, list[int]]:
    params = _params_of(row)
    dated = [context.keying.dated(one.type, one.name) for one in params if one.kind == "date"]
    units = await connection.fetch(
        "select key from records.unit where param = any($1)", list({one.name for one in params})
    )
    ranged = [key for unit in units for key in (unit["key"], ranges_key(unit["key"]))]
    return {"dated": dated, "ranged": ranged}


def _params_of(row: Any) -> list[SearchParameter]:
    defined = msgspec.json.decode(row["definition"], type=Defined)
    return [
        one
        for param in defined.params
        for one in (param, *(param.custom.parts if param.custom is not None else ()))
    ]
