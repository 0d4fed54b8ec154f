"""A table of a page as a sheet: what it has of the table, and what it is asked by."""

from __future__ import annotations

import pytest
from starlette.responses import HTMLResponse

from quanmin.base.problems import NotFound
from quanmin.web.page_sheets import sheet_of

PAGE = """<table id="stays"><tr><td>not this one</td></tr></table>
<table id="due"><caption>What is due</caption>
<thead><tr><th scope="col">Day <span class="hidden">of the week</span></th><th>What</th></tr>
</thead>
<tbody>
<tr><th><a href="/x">2026-01-31</a></th><td>  first <b>dose</b>,
  &quot;once&quot; <span aria-hidden="true">↑ <span>more</span></span></td></tr>
<tr><td>=1+1</td><td>here<form><button>Give</button><span>and so</span></form></td></tr>
<tr><td></td><td></td></tr>
</tbody></table><p>after</p>"""


def test_a_sheet_holds_what_the_table_says_and_not_what_is_pressed() -> None:
    sheet = bytes(sheet_of(HTMLResponse(PAGE), "due").body).decode()
    assert sheet.splitlines() == [
        "\ufeffDay,What",
        '2026-01-31,"first dose, ""once"""',
        "'=1+1,here",
    ]


@pytest.mark.parametrize("name", ["", "1", "stock"])
def test_a_table_that_the_page_has_not_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        sheet_of(HTMLResponse(PAGE + "<table><tr><td>nameless</td></tr></table>"), name)
