"""A list is one declaration: its page, order and filters, and its sheet at the same address."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from clinic import Browser, Clinic
from starlette.applications import Starlette

from quanmin.base.problems import NotFound
from quanmin.web import Access, Application, DeclaredRecords, Text, Visit
from quanmin.web.application import Installed
from quanmin.web.forms import Cell, Field
from quanmin.web.house import KitSettings
from quanmin.web.tables import Heading, Table, asked_order, known, table
from quanmin.web.whole import build

STOCK = [(f"lot {number:03}", (number * 37) % 120, number % 2) for number in range(120)]


@table("/stock", access=Access(frozenset({"operator"})), name="stock")
async def stock(visit: Visit, records: DeclaredRecords) -> Table:
    del records
    if visit.asked("room") == "nowhere":
        raise NotFound("there is no such room")
    headings = [
        Heading("Lot", "lot"),
        Heading("Doses", "doses"),
        Heading("Room"),
        Heading("Change", where="page"),
        Heading("Note", where="sheet"),
    ]
    order = asked_order(visit, headings, "lot")
    rows = [
        [
            Cell(lot, f"/stock/{lot}"),
            Cell(str(doses), is_number=True),
            Cell(f"room {room}", tag="=1"),
            Cell("Throw away", f"/stock/{lot}/end"),
            Cell(f"note on {lot}"),
        ]
        for lot, doses, room in STOCK
        if visit.asked("room") in {"", str(room)}
    ]
    return Table(
        title="Stock",
        headings=headings,
        fetch=known(rows, headings, order),
        order=order,
        filters=[
            Field("room", "Room", value=visit.asked("room")),
            Field("kind", "Kind", "select", visit.asked("kind"), [("", "any"), ("a", "A")]),
        ],
        fault="The day is none." if visit.asked("room") == "odd" else "",
        empty="Order some first.",
    )


@pytest.fixture
async def browser(clinic: Clinic, tmp_path: Path) -> Browser:
    (tmp_path / "templates").mkdir()
    application = Application(
        name="trial",
        title=Text(zh="库存", en="Stock"),
        summary=Text(zh="库存", en="Stock"),
        levels=frozenset({"county"}),
        roles=frozenset({"operator"}),
        reads=frozenset(),
        home="/stock",
        pages=stock,
    )
    kit = KitSettings(secret=b"p" * 32, zone=clinic.guard.store.context.zone)
    installed = (Installed(application, tmp_path),)
    routes = build(clinic.guard, clinic.sign_in, kit, installed=installed)
    return await clinic.enter("centre", Starlette(routes=routes))


def lots(page: str) -> list[str]:
    return re.findall(r'scope="row"><a href="[^"]+">(lot \d+)<', page)


def link(page: str, words: str) -> str:
    found = re.search(rf'<a href="([^"]+)">{re.escape(words)}', page)
    assert found is not None, words
    return found[1].replace("&amp;", "&")


async def sheet_of(browser: Browser, address: str) -> list[list[str]]:
    answer = await browser.get(address)
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))


async def test_a_list_is_gone_through_from_its_beginning_to_its_end(browser: Browser) -> None:
    seen, page = [], (await browser.get("/stock")).text
    assert "To the beginning" not in page
    assert "50 entries, and more" in page
    seen += lots(page)
    for _ in range(2):
        page = (await browser.get(link(page, "Next"))).text
        seen += lots(page)
    assert seen == [lot for lot, _, _ in STOCK]
    assert '">Next<' not in page
    assert "20 entries" in page
    assert lots((await browser.get(link(page, "To the beginning"))).text) == seen[:50]


async def test_a_column_sorts_by_its_numbers_and_the_other_way_round(browser: Browser) -> None:
    page = (await browser.get("/stock")).text
    assert page.count('aria-sort="ascending"') == 1
    assert page.count('aria-sort="none"') == 1
    up = (await browser.get(link(page, "Doses"))).text
    by_doses = [lot for lot, _, _ in sorted(STOCK, key=lambda one: one[1])]
    assert lots(up) == by_doses[:50]
    down = (await browser.get(link(up, "Doses"))).text
    assert lots(down) == by_doses[::-1][:50]
    assert 'aria-sort="descending"' in down
    assert lots((await browser.get(link(down, "Next"))).text) == by_doses[::-1][50:100]


async def test_the_sheet_has_all_that_the_address_asks_for_in_its_order(browser: Browser) -> None:
    page = (await browser.get("/stock?sort=-doses&room=1&lang=en")).text
    assert 'name="sort" value="-doses"' in page, "another filter keeps the order"
    address = link(page, "All as a sheet (CSV)")
    assert address == "/stock.csv?sort=-doses&room=1"
    heading, *rows = await sheet_of(browser, address)
    assert heading == ["Lot", "Doses", "Room", "Note"]
    assert "Throw away" in page
    assert "note on" not in page
    assert [row[0] for row in rows] == [
        lot for lot, _, room in sorted(STOCK, key=lambda one: -one[1]) if room == 1
    ]
    assert {row[2] for row in rows} == {"room 1 (=1)"}
    assert {row[3] for row in rows} == {f"note on {row[0]}" for row in rows}
    assert len(await sheet_of(browser, "/stock.csv?after=50")) == 121, "from the beginning"


@pytest.mark.parametrize(
    "asked",
    [
        "sort=room",
        "sort=--lot",
        "after=x",
        "after=-1",
        "after=9999999999",
        "after=121",
        "after=1e2",
    ],
)
async def test_what_is_no_order_and_no_place_is_refused(browser: Browser, asked: str) -> None:
    assert (await browser.get(f"/stock?{asked}")).status_code == 400


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("zzz=1", "This list is not asked by “zzz”. It is asked by: kind, room, sort."),
        ("kind=zzz", "“Kind”: choose one of the list."),
        ("room=odd", "The day is none."),
    ],
)
async def test_what_a_list_does_not_answer_is_refused_in_words(
    browser: Browser, asked: str, said: str
) -> None:
    answer = await browser.get(f"/stock?{asked}&lang=en")
    assert answer.status_code == 400
    assert said in answer.text
    assert 'name="room"' in answer.text, "to be mended where it stands"
    sheet = await browser.get(f"/stock.csv?{asked}")
    assert (sheet.status_code, said in sheet.text) == (400, True)
    assert sheet.headers["content-type"].startswith("text/html")
    assert (await browser.get("/stock?kind=a&zzz=")).status_code == 200


async def test_an_empty_list_says_what_to_do_and_a_failing_one_is_no_half_sheet(
    browser: Browser,
) -> None:
    page = (await browser.get("/stock?room=7")).text
    assert "Nothing was found" in page
    assert "Order some first." in page
    assert "(CSV)" not in page
    for path in ("/stock", "/stock.csv"):
        answer = await browser.get(f"{path}?room=nowhere")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
