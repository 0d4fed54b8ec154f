from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator

import pytest

from quanmin.base.csv_line import line
from quanmin.web.sheet import sheet


@pytest.mark.parametrize("cell", ["=1+1", "+86 13", "-cmd", "@sum", "\tx", "\rx", "＝1+1", "－cmd"])
def test_a_cell_that_a_spreadsheet_would_run_is_made_text(cell: str) -> None:
    (read,) = next(csv.reader(io.StringIO(line([cell]), newline="")))
    assert read == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1.5", "+7", "张伟", '"quoted", with comma', "two\nlines", ""])
def test_every_other_cell_comes_back_as_it_was(cell: str) -> None:
    assert next(csv.reader(io.StringIO(line([cell, "x"]), newline=""))) == [cell, "x"]


async def test_a_sheet_opens_as_utf8_and_is_a_download() -> None:
    async def rows() -> AsyncIterator[list[str]]:
        yield ["张伟"]

    response = sheet("people", ["姓名"], rows())
    content = "".join([str(part) async for part in response.body_iterator])
    assert content == "\ufeff姓名\r\n张伟\r\n"
    assert response.headers["content-disposition"] == 'attachment; filename="people.csv"'
