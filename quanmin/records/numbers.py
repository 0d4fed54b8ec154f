"""Numbers for new records, taken from the database in blocks so that a bundle costs no round trip
for its ids.
"""

from __future__ import annotations

from collections.abc import Iterator

from quanmin.base.database import Connection
from quanmin.records.rid import is_assigned, number_of

_BLOCK = 1000


class Numbers:
    """One process's supply. Numbers are never given twice; those of a block that is dropped are
    never used.
    """

    def __init__(self) -> None:
        self._next = 0
        self._end = 0

    async def take(self, connection: Connection, count: int) -> list[int]:
        """`count` numbers nobody else has."""
        numbers: list[int] = []
        while len(numbers) < count:
            if self._next == self._end:
                block = await connection.fetchval("select nextval('records.number')")
                # Another task may have filled the supply while this one waited: this block is used
                # either way.
                numbers += self._fill(block * _BLOCK, count - len(numbers))
            else:
                numbers += self._draw(count - len(numbers))
        return numbers

    def _fill(self, start: int, count: int) -> Iterator[int]:
        if self._next == self._end:
            self._next, self._end = start, start + _BLOCK
            return self._draw(count)
        return iter(range(start, start + min(count, _BLOCK)))

    def _draw(self, count: int) -> Iterator[int]:
        first = self._next
        self._next = min(self._end, first + count)
        return iter(range(first, self._next))


async def pass_over(connection: Connection, rid: int) -> None:
    """Never again give a number up to that of this record key, whatever the database remembers."""
    if is_assigned(rid):
        await connection.execute(
            "select setval('records.number', greatest(last_value, $1)) from records.number",
            number_of(rid) // _BLOCK,
        )
