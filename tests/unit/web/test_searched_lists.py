"""A list over a search goes on to the end of the search, whatever of it is not listed, and loses no
row by what happens to others meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from quanmin.trust import Hits
from quanmin.web import searches
from quanmin.web.forms import Cell
from quanmin.web.tables import Fetch, searched

Slices = list[list[str]]


class Search:
    """Numbers in their order; a cursor is the last number that was found."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = list(numbers)
        self.asked: list[int] = []

    async def find(self, cursor: str | None, count: int) -> Hits:
        self.asked.append(count)
        rest = [one for one in self.numbers if one > int(cursor or -1)]
        matches = cast("Any", tuple(rest[:count]))
        return Hits(matches, next=str(matches[-1]) if len(rest) > count else None)


def of_a_search(search: Search) -> Fetch:
    """The odd ones of a search."""

    def cells(hits: Hits) -> Iterator[list[Cell]]:
        for one in cast("Any", hits.matches):
            if one % 2:
                yield [Cell(str(one))]

    return searched(search.find, cells)


def of_records(search: Search) -> Fetch:
    """The same as a list of records."""

    async def find(_type: str, *, count: int, cursor: str | None) -> Hits:
        return await search.find(cursor, count)

    async def made(found: Sequence[Any]) -> list[list[Cell] | None]:
        return [[Cell(str(one))] if one % 2 else None for one in found]

    visit = SimpleNamespace(
        keep=lambda _, state: json.dumps(state), kept=lambda _, text: json.loads(text)
    )
    records = SimpleNamespace(find=find)
    return searches.searched(cast("Any", visit), cast("Any", records), "Task", (), made)


LISTS = [of_a_search, of_records]
Made = Callable[[Search], Fetch]


async def shown(fetch: Fetch, slice_: int, meanwhile: Callable[[], None] = lambda: None) -> Slices:
    """By slices as a page shows them: one more is asked for."""
    slices, after = Slices(), ""
    while True:
        found = await fetch(after, slice_ + 1)
        slices.append([row.cells[0].text for row in found[:slice_]])
        if len(found) <= slice_:
            return slices
        after = found[slice_ - 1].place
        meanwhile()


@pytest.mark.parametrize("made", LISTS)
@pytest.mark.parametrize("slice_", [1, 2, 3, 50])
@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [0, 2, 4, 6],
        [1, 3, 5, 7, 9],
        [0, 2, 4, 6, 7, 9, 10, 12, 14, 15],
        [1, 2, 3, 4, 6, 8, 10, 11, 13, 14, 16],
        [*range(0, 2000, 2), 2001, *range(2002, 3000, 2), 3001, *range(3003, 3300)],
    ],
)
async def test_what_is_not_listed_ends_no_list(made: Made, numbers: list[int], slice_: int) -> None:
    slices = await shown(made(Search(numbers)), slice_)
    assert [one for some in slices for one in some] == [str(n) for n in numbers if n % 2]
    assert all(len(some) == slice_ for some in slices[:-1])


@pytest.mark.parametrize("made", LISTS)
async def test_what_leaves_a_list_hides_no_other_row(made: Made) -> None:
    search = Search(range(200))

    def leave() -> None:
        del search.numbers[:5]

    slices = await shown(made(search), 50, leave)
    assert [one for some in slices for one in some] == [str(n) for n in range(1, 200, 2)]


async def test_a_sheet_of_records_is_the_whole_list() -> None:
    fetch, found, after = of_records(Search(range(2500))), list[str](), ""
    while batch := await fetch(after, 500):
        found += [row.cells[0].text for row in batch]
        after = batch[-1].place
    assert found == [str(n) for n in range(1, 2500, 2)]


async def test_rows_that_are_few_are_not_looked_for_one_by_one() -> None:
    search = Search([*range(1, 99, 2), *range(100, 10_000, 2), 10_001])
    assert len(await of_records(search)("", 51)) == 50
    assert len(search.asked) < 70
