"""Which records a search is about, and the statements that read or count them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from quanmin.fhir.query import Clause
from quanmin.records.context import ROW
from quanmin.records.search.coded import keyed_condition
from quanmin.records.search.order import (
    Column,
    Phase,
    Position,
    after,
    order_by,
    part_condition,
)
from quanmin.records.search.reader import Reader, Statement
from quanmin.records.search.term import Scope, Walk, Write

_OWN: dict[Column, str] = {"updated": "r.updated", "low": "r.low", "rid": "r.rid"}
_WALKED: dict[Column, str] = {"updated": "r.updated", "low": "k.low", "rid": "k.rid"}


class Selection(msgspec.Struct, frozen=True):
    """The same records in every statement of a search; `undecided` clauses are left to Python.

    `walk` replaces one of the conditions when records are read in time order; `walked` are then the
    others. `only_set` gives exactly the records selected, from a side table.
    """

    scope: Scope
    reading: tuple[Write, ...]
    counting: tuple[Write, ...]
    undecided: tuple[Clause, ...] = ()
    walk: Walk | None = None
    walked: tuple[Write, ...] = ()
    only_set: Write | None = None

    def rows(self, phase: Phase, position: Position | None, limit: int) -> tuple[str, Statement]:
        """The statement for the next rows of a phase after a position."""
        statement = Statement()
        conditions = [write(statement.bind) for write in self.reading]
        conditions += _place(phase, position, _OWN, statement)
        text = (
            f"select {ROW} from records.record r where {_all(conditions)}"
            f" order by {order_by(phase, _OWN)} limit {statement.bind(limit)}::bigint"
        )
        return text, statement

    def walked_rows(
        self, walk: Walk, phase: Phase, position: Position | None, limit: int
    ) -> tuple[str, Statement]:
        """The same rows, by walking the codes of `walk`: their index has each code's records by
        time.
        """
        statement = Statement()
        parts = []
        for pair in walk.pairs:
            conditions = [keyed_condition(Walk((pair,)), statement.bind)]
            conditions += [write(statement.bind) for write in self.walked]
            conditions += _place(phase, position, _WALKED, statement)
            parts.append(
                f"(select distinct on ({_columns(phase, _WALKED)}) {ROW} from records.keyed k"
                f" join records.record r on r.rid = k.rid and r.bucket = k.bucket"
                f" where {_all(conditions)} order by {order_by(phase, _WALKED)}"
                f" limit {statement.bind(limit)}::bigint)"
            )
        if len(parts) == 1:
            return parts[0], statement
        # A record with two of the codes is met in two walks.
        text = (
            f"select distinct on ({_columns(phase, _OWN)}) * from ({' union all '.join(parts)}) r"
            f" order by {order_by(phase, _OWN)} limit {statement.bind(limit)}::bigint"
        )
        return text, statement

    def all_rows(self, limit: int) -> tuple[str, Statement]:
        """The statement for all rows in no order, at most `limit`."""
        statement = Statement()
        conditions = [write(statement.bind) for write in self.reading]
        text = (
            f"select {ROW} from records.record r where {_all(conditions)}"
            f" limit {statement.bind(limit)}::bigint"
        )
        return text, statement

    def count(self, limit: int) -> tuple[str, Statement]:
        """The statement that counts the rows, at most `limit`."""
        statement = Statement()
        if self.only_set is not None:
            counted = f"select distinct f.rid from ({self.only_set(statement.bind)}) f"
        else:
            conditions = [write(statement.bind) for write in self.counting]
            counted = f"select 1 from records.record r where {_all(conditions)}"
        text = f"select count(*) from ({counted} limit {statement.bind(limit)}::bigint) c"
        return text, statement

    async def slice(
        self, reader: Reader, phase: Phase, position: Position | None, limit: int
    ) -> list[Any]:
        """The next rows of a phase after a position."""
        text, statement = self.rows(phase, position, limit)
        if self.walk is not None and phase.order[0].column in {"low", "rid"}:
            by_walk = self.walked_rows(self.walk, phase, position, limit)
            if len(self.walked) <= _ALWAYS_ASKED or await _is_cheaper(
                reader, by_walk, (text, statement)
            ):
                text, statement = by_walk
        return await reader.rows(text, statement)


# Type, not deleted, visibility: with nothing else asked, a walk fills a slice at once.
_ALWAYS_ASKED = 3


async def _is_cheaper(
    reader: Reader, one: tuple[str, Statement], other: tuple[str, Statement]
) -> bool:
    return (await reader.cost(*one))[0] <= (await reader.cost(*other))[0]


def _place(
    phase: Phase, position: Position | None, columns: dict[Column, str], statement: Statement
) -> list[str]:
    conditions = part_condition(phase, columns)
    if position is not None:
        conditions += after(phase, position, columns, statement.bind)
    return conditions


def _columns(phase: Phase, columns: dict[Column, str]) -> str:
    return ", ".join(columns[key.column] for key in phase.order)


def _all(conditions: Iterable[str]) -> str:
    return " and ".join(conditions) or "true"
