"""A list over a search goes on to the end of the search, whatever of it is not listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from quanmin.trust import Hits
from quanmin.web.forms import Cell
from quanmin.web.tables import searched


async def listed(numbers: list[int], slice_: int) -> list[list[str]]:
    """The odd ones among these, by slices as a page shows them: one more is asked for."""

    async def find(cursor: str | None, count: int) -> Hits:
        begin = int(cursor or 0)
        end = begin + count
        matches = cast("Any", tuple(numbers[begin:end]))
        return Hits(matches, next=str(end) if end < len(numbers) else None)

    def cells(hits: Hits) -> Iterator[list[Cell]]:
        for one in cast("Any", hits.matches):
            if one % 2:
                yield [Cell(str(one))]

    fetch, slices, after = searched(find, cells), [], ""
    while True:
        found = await fetch(after, slice_ + 1)
        shown = found[:slice_]
        slices.append([row.cells[0].text for row in shown])
        if len(found) <= slice_:
            return slices
        after = shown[-1].place


@pytest.mark.parametrize("slice_", [1, 2, 3, 50])
@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [0, 0, 0, 0],
        [1, 3, 5, 7, 9],
        [0, 0, 0, 0, 1, 3, 0, 0, 0, 5],
        [1, 0, 3, 0, 0, 0, 0, 5, 7, 0, 0],
    ],
)
async def test_what_is_not_listed_ends_no_list(numbers: list[int], slice_: int) -> None:
    slices = await listed(numbers, slice_)
    assert [one for some in slices for one in some] == [str(n) for n in numbers if n % 2]
    assert all(len(some) == slice_ for some in slices[:-1])
