"""Slices of a selection in an order that indexes keep: each continued where the one before
ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from quanmin.records.context import Context
from quanmin.records.model import Stored
from quanmin.records.search.deciding import hits_among
from quanmin.records.search.order import (
    Order,
    Phase,
    Position,
    phases,
    position_after,
    read_cursor,
    write_cursor,
)
from quanmin.records.search.reader import Reader
from quanmin.records.search.selection import Selection

_BATCH_MAX = 500


class Slices:
    """The slices of one selection in one order."""

    def __init__(
        self, reader: Reader, selection: Selection, order: Order, context: Context
    ) -> None:
        self._reader = reader
        self._selection = selection
        self._order = order
        self._context = context

    async def after(self, cursor: str | None, count: int) -> tuple[list[Stored], str | None]:
        """`count` hits after the cursor, and where the next begin, None at the end."""
        position = None if cursor is None else read_cursor(cursor, self._order)
        found: list[tuple[Phase, Stored]] = []
        for phase in phases(self._order):
            begin = position
            if position is not None and position.phase != phase.number:
                if position.phase > phase.number:
                    continue
                begin = None
            wanted = count + 1 - len(found)
            found += [(phase, one) async for one in self._walk(phase, begin, wanted)]
            if len(found) > count:
                return [one for _, one in found[:count]], self._end(*found[count - 1])
        return [one for _, one in found], None

    def _end(self, phase: Phase, last: Stored) -> str:
        time = last.facts.time
        return write_cursor(position_after(phase, self._order, last.updated, time, last.rid))

    async def _walk(
        self, phase: Phase, position: Position | None, wanted: int
    ) -> AsyncIterator[Stored]:
        """The next `wanted` hits of a phase, or all that are left."""
        undecided, judges = self._selection.undecided, self._selection.judges
        is_open = bool(undecided or judges)
        size = min(2 * wanted + 20, _BATCH_MAX) if is_open else wanted
        while wanted > 0:
            rows = await self._selection.slice(self._reader, phase, position, size)
            opened = await self._reader.open(rows)
            for stored in await hits_among(opened, undecided, judges, self._context):
                if wanted > 0:
                    wanted -= 1
                    yield stored
            if len(rows) < size:
                return
            last = rows[-1]
            position = position_after(phase, self._order, last["updated"], last["low"], last["rid"])
            size = min(2 * size, _BATCH_MAX) if is_open else wanted
            self._reader.check_time()
