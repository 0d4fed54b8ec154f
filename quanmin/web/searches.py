"""Lists of what a search finds: the rows of a Table out of records, gone through by the search's
own cursor, of which the address holds nothing that can be read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

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
    """The fetch of a Table over a search. A place is where the search was, and how many of that
    portion came before.
    """

    async def fetch(after: str, count: int) -> list[Row]:
        place = visit.kept("list", after) if after else {}
        cursor: str | None = place.get("cursor")
        skip: int = place.get("skip", 0)
        rows: list[Row] = []
        while True:
            hits = await records.find(type_, *asked, count=_PORTION, cursor=cursor)
            for at, cells in enumerate(await made(hits.matches), 1):
                if at > skip and cells is not None:
                    rows.append(Row(cells, visit.keep("list", {"cursor": cursor, "skip": at})))
            cursor, skip = hits.next, 0
            if cursor is None or len(rows) >= count:
                return rows[:count]

    return fetch
