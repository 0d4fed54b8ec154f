"""Lists of what a search finds: the rows of a Table out of records, gone through by the search's
own cursor, of which the address holds nothing that can be read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from quanmin.trust import Stored
from quanmin.web.forms import Cell
from quanmin.web.records import DeclaredRecords
from quanmin.web.tables import Fetch, Row
from quanmin.web.visit import Visit

_PORTION: Final = 100

Made = Callable[[Sequence[Stored]], Awaitable[Sequence[Sequence[Cell] | None]]]
"""From the records that were found to the cells of each; None for one that is not listed."""


def searched(
    visit: Visit, records: DeclaredRecords, type_: str, asked: Sequence[tuple[str, str]], made: Made
) -> Fetch:
    """The fetch of a Table over a search. A place is the cursor of the search after a row, so that
    what leaves the search meanwhile, or moves in it, hides no other row and repeats none.
    """

    async def some(cursor: str | None, most: int, size: int) -> tuple[list[Row], str | None]:
        """The rows, at most so many, of so many hits after a cursor, and the cursor after them."""
        hits = await records.find(type_, *asked, count=size, cursor=cursor)
        cells = await made(hits.matches)
        listed = [(at, one) for at, one in enumerate(cells, 1) if one is not None]
        if len(listed) > most:
            return await some(cursor, most, listed[most - 1][0])
        return [Row(one, "") for _, one in listed], hits.next

    async def fetch(after: str, count: int) -> list[Row]:
        cursor: str | None = visit.kept("list", after).get("cursor") if after else None
        is_over, found, size = bool(after) and cursor is None, list[Row](), 0
        while not is_over and len(found) < count:
            # The last row is had alone: a search tells a cursor after its last hit only, and a page
            # goes on after the last row but one that it asks for.
            most = max(count - 1 - len(found), 1)
            size = min(max(most, size), _PORTION)
            rows, cursor = await some(cursor, most, size)
            found += rows
            is_over, size = cursor is None, 0 if rows else 2 * size
            if found:
                place = visit.keep("list", {"cursor": cursor})
                found[-1] = msgspec.structs.replace(found[-1], place=place)
        return found

    return fetch
