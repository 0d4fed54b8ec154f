"""Slices of a selection in an order that indexes keep: each continued where the one before
ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from quanmin.records.context import Context
from quanmin.records.model import Stored
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
        self.order = order
        self._selection = selection
        self._context = context

    async def after(self, cursor: str | None, count: int) -> tuple[list[Stored], str | None]:
        """`count` hits after the cursor, and where the next begin, None at the end."""
        position = None if cursor is None else read_cursor(cursor, self.order)
        found: list[tuple[Phase, Stored]] = []
        for phase in phases(self.order):
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
        return write_cursor(position_after(phase, self.order, last.updated, time, last.rid))

    async def _walk(
        self, phase: Phase, position: Position | None, wanted: int
    ) -> AsyncIterator[Stored]:
        """The next `wanted` hits of a phase, or all that are left."""
        if wanted <= 0:
            return
        async with aclosing(self.hits(phase, position, wanted)) as hits:
            async for stored in hits:
                yield stored
                wanted -= 1
                if wanted == 0:
                    return

    async def hits(
        self, phase: Phase, position: Position | None, expected: int
    ) -> AsyncGenerator[Stored, None]:
        """The hits of a phase after a position; about so many are expected to be asked for."""
        selection = self._selection
        is_open = bool((selection.undecided and not selection.is_near) or selection.judges)
        size = min(2 * expected + 20, _BATCH_MAX) if is_open else expected
        while True:
            rows = await selection.slice(self._reader, phase, position, size)
            opened = await self._reader.open(rows)
            for stored in await selection.hits(opened, self._context):
                yield stored
            if len(rows) < size:
                return
            last = rows[-1]
            position = position_after(phase, self.order, last["updated"], last["low"], last["rid"])
            size = min(2 * size, _BATCH_MAX)
            self._reader.check_time()
