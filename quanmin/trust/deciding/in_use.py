"""To which grantees anything is granted at all: what concerns nobody need not be asked of records.

It is looked up anew for each request; requests that arrive together share the statement.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from quanmin.base.database import Reader
from quanmin.base.sharing import Shared
from quanmin.records.walls import Wall

_WIDE: Final = 500
_WIDE_SECONDS: Final = 60.0
_WIDE_KNOWN_MAX: Final = 10_000
# The order keeps the planner on the index, whatever it thinks that the first few cost in the table:
# of a number to which nothing is granted it would read all grants there are.
_IN_USE: Final = """
    select asked.number, few.size from unnest($1::bigint[], $2::int[]) as asked (number, most)
    cross join lateral (
        select count(*) as size from (
            select from records.granted g where g.grantee = asked.number
            order by g.patient limit asked.most
        ) first
    ) few
    where few.size > 0
"""


class InUse(msgspec.Struct, frozen=True):
    """To which of some grantees anything is granted, now or once or some day; `wide` are those of
    them to whom much is.
    """

    numbers: frozenset[int] = frozenset()
    wide: frozenset[int] = frozenset()

    def joined(self, other: InUse) -> InUse:
        """Of the one and the other grantees."""
        return InUse(self.numbers | other.numbers, self.wide | other.wide)


_NOTHING: Final = InUse()
_Asked = tuple[Wall | None, tuple[int, ...]]


class Grants:
    """What is granted, for one process and one event loop."""

    def __init__(self, connect: Callable[[Wall | None], Reader]) -> None:
        """`connect` gives what asks single statements of one side of a wall."""
        self._connect = connect
        self._shared: Shared[_Asked, InUse] = Shared(self._ask, _NOTHING)
        # That much is granted is counted once in a while. It says how records are found, not which.
        self._wide: dict[int, float] = {}

    async def to(self, numbers: tuple[int, ...], wall: Wall | None) -> InUse:
        """What is granted to these grantees, as it shows on this side of the wall."""
        return await self._shared.of((wall, numbers))

    async def _ask(self, several: Sequence[_Asked]) -> dict[_Asked, InUse]:
        of_walls: defaultdict[Wall | None, set[int]] = defaultdict(set)
        for wall, numbers in several:
            of_walls[wall].update(numbers)
        found = {
            wall: await self._in_use(wall, sorted(numbers)) for wall, numbers in of_walls.items()
        }
        return {asked: _among(found[asked[0]], asked[1]) for asked in several}

    async def _in_use(self, wall: Wall | None, numbers: list[int]) -> InUse:
        now = asyncio.get_running_loop().time()
        wide = {number for number in numbers if self._wide.get(number, 0.0) > now}
        most = [1 if number in wide else _WIDE + 1 for number in numbers]
        rows = await self._connect(wall).fetch(_IN_USE, numbers, most)
        counted = {row["number"] for row in rows if row["size"] > _WIDE}
        if len(self._wide) > _WIDE_KNOWN_MAX:
            self._wide.clear()
        self._wide.update(dict.fromkeys(counted, now + _WIDE_SECONDS))
        in_use = frozenset(row["number"] for row in rows)
        return InUse(in_use, in_use & (wide | counted))


def _among(in_use: InUse, numbers: Sequence[int]) -> InUse:
    return InUse(in_use.numbers.intersection(numbers), in_use.wide.intersection(numbers))
