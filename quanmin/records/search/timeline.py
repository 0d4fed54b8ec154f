"""One person's records from all institutions, latest first."""

from __future__ import annotations

from collections.abc import Collection

from quanmin.base.database import Connection
from quanmin.records.context import Context
from quanmin.records.model import Hits
from quanmin.records.search.arm import Write
from quanmin.records.search.order import LATEST_FIRST, Position, name_of, write_cursor
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selected
from quanmin.records.search.slices import Slices
from quanmin.records.search.term import Scope
from quanmin.records.visibility import Visibility
from quanmin.records.visibility_sql import of_patients, visibility_sql

# A Patient's time is the birth date: it belongs at the head of a page, not at a timeline's end.
_NOT_EVENTS = {"Patient"}
_LAST_RID = 2**63 - 1


async def timeline(  # noqa: PLR0917 - the guard's call: where, whose, which, for whom, how much
    connection: Connection,
    context: Context,
    patients: Collection[int],
    types: Collection[str],
    visibility: Visibility,
    count: int,
    cursor: str | None = None,
) -> Hits:
    """What is recorded of these source Patients (record keys), the latest first, undated last.

    `types` empty means every type but Patient. Raises as `search` does.
    """
    reader = Reader(connection, context)
    chosen = types or (name for name in context.table.types if name not in _NOT_EVENTS)
    scope = Scope(context, tuple(context.definition(name) for name in chosen))
    conditions: tuple[Write, ...] = (
        lambda bind: of_patients("r", patients, bind),
        lambda bind: f"r.type = any({bind(scope.numbers)}::smallint[])",
        lambda _: "r.flags & 1 <> 1",
        lambda bind: visibility_sql(visibility, bind, "r"),
    )
    slices = Slices(reader, Selected(conditions, conditions), LATEST_FIRST, context)
    matches, following = await slices.after(cursor, count)
    return Hits(tuple(matches), next=following)


def place_before(moment: int) -> str:
    """The cursor of what was before a moment (microseconds since 1970): the place in the order is
    the same as after the last record of that moment, so it costs what any slice costs.
    """
    return write_cursor(Position(name_of(LATEST_FIRST), 0, (moment, _LAST_RID)))
