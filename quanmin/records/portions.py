"""All records of a type, in portions: each goes on behind the key of the last record before it.

By record key, a record that is written meanwhile is neither skipped nor given twice, and the last
portion costs what the first did. A portion is bounded by bytes as well as by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.addresses import localized_query
from quanmin.fhir.query import Query
from quanmin.records.context import ROW, Context
from quanmin.records.model import Stored
from quanmin.records.readiness import require_indexed
from quanmin.records.search.arm import Write
from quanmin.records.search.order import Key, Order, phases, position_after, write_cursor
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.selecting import select
from quanmin.records.search.slices import Slices
from quanmin.records.search.term import Scope
from quanmin.records.simplifying import seen_of_type
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import visibility_sql

_BY_KEY: Order = (Key("rid", descending=False),)
# So many are opened before their size is looked at again.
_OPENED_AT_ONCE = 16
_SEARCHED_MAX = 200


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """Which records of a type: written at `until` or before and after `since` (microseconds), of
    `patients` (record keys), or with `of_patients` of any patient. `deleted` asks for what has been
    deleted instead.
    """

    type: str
    until: int
    since: int | None = None
    of_patients: bool = False
    patients: tuple[int, ...] | None = None
    deleted: bool = False

    @property
    def is_by_target(self) -> bool:
        """Whether its records tell by what they are about whose they are, and not by their rows."""
        return self.of_patients and self.type == "Provenance" and not self.deleted


class Portion(msgspec.Struct, frozen=True):
    """Some records in the order of their keys, and where the next portion begins: None at the
    end.
    """

    versions: tuple[Stored, ...]
    after: int | None


async def portion(
    connection: Connection,
    context: Context,
    visibility: Visibility,
    extent: Extent,
    *,
    after: int | None,
    count: int,
    bytes_max: int,
) -> Portion:
    """The next records of the extent, at most `count`, and no more than one beyond `bytes_max`."""
    statement = Statement()
    bind = statement.bind
    conditions = [
        *_typed(context, extent, visibility, statement),
        *(write(bind) for write in _bounds(extent)),
        *([] if after is None else [f"r.rid > {bind(after)}::bigint"]),
    ]
    # The sizes of packed bodies are known without reading them.
    rows = await connection.fetch(
        f"select {ROW} from (select *, sum(octet_length(body)) over (order by rid) as upto from"
        f" (select {ROW} from records.record r where {' and '.join(conditions)}"
        f" order by r.rid limit {bind(count)}::bigint) r) r"
        f" where upto - coalesce(octet_length(body), 0) <= {bind(bytes_max)}::bigint"
        " order by r.rid",
        *statement.arguments,
    )
    found, last = await _opened(connection, context, rows, bytes_max)
    if last is None:
        # Rows that were cut by their size are seen by the next portion.
        return Portion(tuple(found), rows[-1]["rid"] if rows else None)
    return Portion(tuple(found), last)


async def searched_portion(
    connection: Connection,
    context: Context,
    queries: Sequence[tuple[Query, Visibility]],
    extent: Extent,
    *,
    after: int | None,
    count: int,
    bytes_max: int,
    seconds: float,
) -> Portion:
    """The same of the records that any of the queries finds, each among what it may look at.
    Raises as `search` does, and as `require_indexed`.
    """
    scope = Scope(context, (context.definition(extent.type),))
    phase, count = phases(_BY_KEY)[0], min(count, _SEARCHED_MAX)
    cursor = None
    if after is not None:
        cursor = write_cursor(position_after(phase, _BY_KEY, 0, None, after))
    found: dict[int, Stored] = {}
    for query, visibility in queries:
        await require_indexed(connection, context, query)
        reader = Reader(connection, context, seconds)
        asked = localized_query(query, context.base)
        selected = await select(reader, scope, asked, visibility, _BY_KEY)
        selected = msgspec.structs.replace(
            selected, reading=(*selected.reading, *_bounds(extent)), only_set=()
        )
        hits, _ = await Slices(reader, selected, _BY_KEY, context).after(cursor, count)
        found |= {hit.rid: hit for hit in hits}
    given, size = [], 0
    for rid in sorted(found)[:count]:
        given.append(found[rid])
        size += len(found[rid].body or b"")
        if size > bytes_max:
            break
    return Portion(tuple(given), given[-1].rid if given else None)


async def patients_among(
    connection: Connection, context: Context, visibility: Visibility, rids: Sequence[int]
) -> set[int]:
    """Those of these keys under which there is a visible Patient."""
    statement = Statement()
    extent = Extent(type="Patient", until=0)
    conditions = _typed(context, extent, visibility, statement)
    rows = await connection.fetch(
        f"select r.rid from records.record r where {' and '.join(conditions)}"
        f" and r.rid = any({statement.bind(sorted(rids))}::bigint[])",
        *statement.arguments,
    )
    return {row["rid"] for row in rows}


def _typed(
    context: Context, extent: Extent, visibility: Visibility, statement: Statement
) -> list[str]:
    number = statement.bind(context.definition(extent.type).number)
    seen = seen_of_type(visibility, extent.type)
    return [
        f"r.type = {number}::smallint",
        # What was erased is deleted too, and has no body to be told of.
        "r.flags & 9 = 1" if extent.deleted else "r.flags & 1 <> 1",
        visibility_sql(seen, statement.bind, "r"),
    ]


def _bounds(extent: Extent) -> list[Write]:
    writes: list[Write] = [lambda bind: f"r.updated <= {bind(extent.until)}::bigint"]
    if extent.since is not None:
        writes.append(lambda bind: f"r.updated > {bind(extent.since)}::bigint")
    if extent.is_by_target:
        return writes
    if extent.patients is not None:
        writes.append(
            lambda bind: f"r.patient = any({bind(list(extent.patients or ()))}::bigint[])"
        )
    elif extent.of_patients:
        writes.append(lambda _: "r.patient is not null")
    return writes


async def _opened(
    connection: Connection, context: Context, rows: Sequence[Any], bytes_max: int
) -> tuple[list[Stored], int | None]:
    """The records, and the key of the last row that was opened when not all were: packed bodies can
    be far larger than they look.
    """
    found: list[Stored] = []
    size = 0
    for begin in range(0, len(rows), _OPENED_AT_ONCE):
        some = rows[begin : begin + _OPENED_AT_ONCE]
        opened = await context.open(connection, some)
        found += opened
        size += sum(len(stored.body or b"") for stored in opened)
        if size > bytes_max:
            return found, some[-1]["rid"]
    return found, None
