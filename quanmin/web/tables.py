"""Lists: one table, sorted and filtered by its address and gone through by place; with `.csv` after
its path the address is all of it as a sheet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from quanmin.base.problems import Malformed, Sentence
from quanmin.trust import Hits
from quanmin.web.forms import Cell, Field, read_number
from quanmin.web.records import DeclaredRecords
from quanmin.web.route import Access, Page, page
from quanmin.web.sheet import sheet
from quanmin.web.visit import Visit

_OF_LISTS: Final = frozenset({"after"})
_OF_PAGES: Final = frozenset({"lang", "large"})
_NAME_LENGTH_MAX: Final = 40
_ROWS: Final = 50
_SHEET_ROWS: Final = 500
_HIGHEST: Final = (1 << 63) - 1


class Heading(msgspec.Struct, frozen=True):
    """What a column is called; `sort` is the name by which the address asks for its order, `where`
    says that it stands on the page alone, as what to do with a row does, or in the sheet alone.
    """

    words: str
    sort: str = ""
    where: Literal["both", "page", "sheet"] = "both"


class Row(msgspec.Struct, frozen=True):
    """A row and its place in the list: what the address says to go on after it."""

    cells: Sequence[Cell]
    place: str


Column = TypeVar("Column")
Item = TypeVar("Item")
Fetch = Callable[[str, int], Awaitable[Sequence[Row]]]
"""From a place ("": the beginning) and a number to so many rows after it. It may raise Malformed
for what is no place."""


class Press(msgspec.Struct, frozen=True):
    """A button below a list, and the page that it sends its fields to: they are made of the places
    of the rows that are shown. Without any there is no button.
    """

    words: str
    path: str
    fields: Callable[[Sequence[str]], dict[str, str]]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A list as a page shows it. `filters` are fields that the address answers; `order` is what it
    is sorted by, a heading's `sort` with `-` before it for the other way round. `empty` says what
    to do where there is nothing, `warning` above the list what is wrong with what is listed;
    `press` is done with the rows that are shown.
    """

    title: str
    headings: Sequence[Heading]
    fetch: Fetch
    filters: Sequence[Field] = ()
    order: str = ""
    lead: str = ""
    warning: str = ""
    fault: str = ""
    empty: str = ""
    actions: Sequence[tuple[str, str]] = ()
    press: Press | None = None


TableFunction = Callable[..., Awaitable[Table]]
"""From a visit, and in an application the records that it has declared, to the list."""


def table(path: str, *, access: Access, name: str) -> Callable[[TableFunction], tuple[Page, Page]]:
    """Declare the function below as a list: its page, and its sheet `name` at the path with `.csv`,
    which has every row that the address asks for. Whoever fails before the first row gets a page
    that says so and not half a sheet.
    """

    def declared(make: TableFunction) -> tuple[Page, Page]:
        @page(path, access=access)
        async def listed(visit: Visit, *records: DeclaredRecords) -> Response:
            return await _shown(visit, await make(visit, *records))

        @page(f"{path}.csv", access=access)
        async def downloaded(visit: Visit, *records: DeclaredRecords) -> Response:
            made = await make(visit, *records)
            if refusal := _refusal(visit, made) or made.fault:
                raise Malformed(refusal)
            return await _sheet(name, made)

        return listed, downloaded

    return declared


def asked_order(visit: Visit, headings: Iterable[Heading], usual: str = "") -> str:
    """By what the address wants the list sorted, else as usual. Raises Malformed for a column that
    is not sorted by.
    """
    asked = visit.asked("sort") or usual
    known = {one.sort for one in headings if one.sort}
    if asked and asked.removeprefix("-") not in known:
        raise Malformed(
            Sentence(
                "this list is sorted by %(known)s", known=", ".join(sorted(known)) or "nothing"
            )
        )
    return asked


def known(rows: Iterable[Sequence[Cell]], headings: Sequence[Heading], order: str) -> Fetch:
    """The fetch of a list that is known whole: sorted here, a place is how many came before."""
    found = list(rows)
    name = order.removeprefix("-")
    at = next((at for at, one in enumerate(headings) if name and one.sort == name), None)
    if at is not None:
        found.sort(key=lambda cells: _sortable(cells[at]), reverse=order.startswith("-"))
    return shown(found, lambda cells: cells)


def shown(found: Sequence[Item], cells: Callable[[Item], Sequence[Cell]]) -> Fetch:
    """The fetch of a list that is known whole and in order, of which `cells` makes a row of what is
    shown alone; a place is how many came before.
    """

    async def fetch(after: str, count: int) -> list[Row]:
        begin = place_number(after)
        if begin > len(found):
            raise _no_place()
        some = found[begin : begin + count]
        return [Row(cells(one), str(begin + at)) for at, one in enumerate(some, 1)]

    return fetch


_END: Final = "end"


def searched(
    find: Callable[[str | None, int], Awaitable[Hits]],
    cells: Callable[[Hits], Iterable[Sequence[Cell]]],
) -> Fetch:
    """The fetch of a list that is a search: `find` is asked for so many hits after a cursor,
    `cells` makes a row of each match that is listed. A cursor tells the place after the last hit of
    its search, so the last row that is asked for is a search of its own.
    """

    async def fetch(after: str, count: int) -> list[Row]:
        found: list[Row] = []
        place, most = after, max(count - 1, 1)
        while place != _END and len(found) < most:
            hits = await find(place or None, most - len(found))
            found += [Row(one, "") for one in cells(hits)]
            place = hits.next or _END
        if found:
            found[-1] = msgspec.structs.replace(found[-1], place=place)
        while place != _END and len(found) < count:
            hits = await find(place, 1)
            place = hits.next or _END
            found += [Row(one, place) for one in cells(hits)]
        return found

    return fetch


def _sortable(cell: Cell) -> tuple[int, float, str]:
    try:
        return 0, float(cell.text), ""
    except ValueError:
        return 1, 0.0, cell.text


def place_number(after: str) -> int:
    """The number that a place is, 0 for the beginning. Raises Malformed for what is none."""
    if not after:
        return 0
    number = read_number(after)
    if number is None:
        raise _no_place()
    return number


def place_numbers(after: str) -> tuple[int, int]:
    """The two numbers, such as a moment and a number, that a place is (`12.3`); for the beginning
    those after which everything comes that is listed downwards. Raises Malformed for what is none.
    """
    if not after:
        return _HIGHEST, _HIGHEST
    first, point, second = after.partition(".")
    if not (first and point and second):
        raise _no_place()
    return place_number(first), place_number(second)


def _no_place() -> Malformed:
    return Malformed("this is no place in the list: begin from its first page")


def _refusal(visit: Visit, table: Table) -> str:
    """What of the address a list does not answer, in words; "" for nothing: a filter that it has
    not, a choice that its filter has not, an order where none of its columns has any. Who meant to
    narrow a list must not take all of it for the answer.
    """
    sorts = {"sort"} if any(one.sort for one in table.headings) else set()
    known = {one.name for one in table.filters} | sorts
    for name, value in visit.asked_all():
        if value and name not in known | _OF_LISTS | _OF_PAGES:
            said = visit.say("This list is not asked by “%(name)s”. It is asked by: %(known)s.")
            told = ", ".join(sorted(known)) or visit.say("nothing")
            return said % {"name": name[:_NAME_LENGTH_MAX], "known": told}
    for one in table.filters:
        value = visit.asked(one.name)
        if one.kind == "select" and value and value not in {code for code, _ in one.choices}:
            return visit.say("“%(label)s”: choose one of the list.") % {"label": one.label}
    return ""


async def _shown(visit: Visit, table: Table) -> Response:
    after, refusal = visit.asked("after"), _refusal(visit, table)
    found = [] if refusal else await table.fetch(after, _ROWS + 1)
    rows, path = found[:_ROWS], visit.request.url.path
    more = visit.here_with(after=rows[-1].place) if len(found) > _ROWS else ""
    return visit.page(
        "kit/list.html",
        status=Malformed.status if refusal or table.fault else 200,
        table=table,
        fault=refusal or table.fault,
        headings=[
            (one.words, *_turned(visit, one, table.order))
            for one in _on(table, "page", table.headings)
        ],
        rows=[_on(table, "page", row.cells) for row in rows],
        pressed=table.press.fields([row.place for row in rows]) if table.press else {},
        path=path,
        asked={name: value for name, value in _state(visit).items() if name == "sort"},
        more=more,
        first=_address(path, _state(visit)) if after else "",
        csv=_address(f"{path}.csv", _state(visit)),
    )


def _turned(visit: Visit, heading: Heading, order: str) -> tuple[str, str]:
    """Where a heading leads to sort by it, and how the list is sorted by it now."""
    if not heading.sort:
        return "", ""
    is_by_it, is_down = order.removeprefix("-") == heading.sort, order.startswith("-")
    wanted = f"-{heading.sort}" if is_by_it and not is_down else heading.sort
    now = ("descending" if is_down else "ascending") if is_by_it else "none"
    return _address(visit.request.url.path, {**_state(visit), "sort": wanted}), now


def _state(visit: Visit) -> dict[str, Any]:
    """What the address says of the list but for the place, the language and the size."""
    left_out = {"after", "lang", "large"}
    return {k: v for k, v in visit.request.query_params.items() if v and k not in left_out}


def _address(path: str, state: dict[str, Any]) -> str:
    return f"{path}?{urlencode(state)}" if state else path


async def _sheet(name: str, table: Table) -> Response:
    first = await table.fetch("", _SHEET_ROWS)

    async def rows() -> AsyncIterator[list[str]]:
        batch = first
        while batch:
            for row in batch:
                yield [cell.sheet_text for cell in _on(table, "sheet", row.cells)]
            batch = await table.fetch(batch[-1].place, _SHEET_ROWS)

    return sheet(name, [one.words for one in _on(table, "sheet", table.headings)], rows())


def _on(table: Table, where: str, columns: Sequence[Column]) -> list[Column]:
    """Those of the columns that stand there."""
    pairs = zip(table.headings, columns, strict=True)
    return [column for heading, column in pairs if heading.where in {"both", where}]
