"""Numbers for new records, taken from the database in blocks so that a bundle costs no round trip
for its ids.

An id tells its number, so each sender has blocks of its own: were all served from one, who writes
two records would read off their ids how many others had been written in between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from quanmin.base.database import Connection
from quanmin.records.rid import is_assigned, number_of

_BLOCK = 1000
# So many senders keep what is left of their block; who comes back later begins another.
_SENDERS_MAX: Final = 4096


class Numbers:
    """One process's supply. Numbers are never given twice; those of a block that is dropped are
    never used.
    """

    def __init__(self) -> None:
        self._left: OrderedDict[int, range] = OrderedDict()

    async def take(self, connection: Connection, sender: int, count: int) -> list[int]:
        """`count` numbers nobody else has, out of the blocks of a sender."""
        numbers = list(self._draw(sender, count))
        while len(numbers) < count:
            block = await connection.fetchval("select nextval('records.number')")
            if sender not in self._left:
                self._keep(sender, range(block * _BLOCK, (block + 1) * _BLOCK))
                numbers += self._draw(sender, count - len(numbers))
            else:
                # Another task filled the supply while this one waited: the block is used anyway.
                numbers += range(block * _BLOCK, block * _BLOCK + min(count - len(numbers), _BLOCK))
        return numbers

    def _keep(self, sender: int, left: range) -> None:
        if left:
            self._left[sender] = left
        if len(self._left) > _SENDERS_MAX:
            self._left.popitem(last=False)

    def _draw(self, sender: int, count: int) -> Iterator[int]:
        left = self._left.pop(sender, range(0))
        self._keep(sender, left[count:])
        return iter(left[:count])


async def pass_over(connection: Connection, rid: int) -> None:
    """Never again give a number up to that of this record key, whatever the database remembers."""
    if is_assigned(rid):
        await connection.execute(
            "select setval('records.number', greatest(last_value, $1)) from records.number",
            number_of(rid) // _BLOCK,
        )
