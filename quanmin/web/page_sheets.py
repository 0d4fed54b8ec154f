"""A table of a page as a sheet: `sheet=due` in the page's address asks for that with the id `due`.

For tables that a page shows whole. A list has a sheet of its own (`tables`), which is all of it.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

from starlette.responses import Response

from quanmin.base.csv_line import MARK, line
from quanmin.base.problems import NotFound

ASKED: Final = "sheet"
# What is pressed is no data, and what is only read out is said by the heading of its column.
_LEFT_OUT: Final = frozenset({"button", "form", "select", "script", "svg", "caption"})
_SILENT: Final = frozenset({("class", "hidden"), ("aria-hidden", "true")})


class _Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._words: list[str] | None = None
        self._left_out: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._left_out:
            self._left_out += [tag] if tag == self._left_out[0] else []
        elif tag == "table":
            self._rows = self.found.setdefault(dict(attrs).get("id") or "", [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._words = []
        elif tag in _LEFT_OUT or (tag == "span" and not _SILENT.isdisjoint(attrs)):
            self._left_out.append(tag)

    def handle_data(self, data: str) -> None:
        if self._words is not None and not self._left_out:
            self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if self._left_out:
            self._left_out = self._left_out[: -1 if tag == self._left_out[0] else None]
        elif tag in {"td", "th"} and self._words is not None:
            self._rows[-1].append(" ".join("".join(self._words).split()))
            self._words = None


def sheet_of(response: Response, name: str) -> Response:
    """The table of a page that was made, as a download. Raises NotFound where it has none such."""
    reading = _Tables()
    reading.feed(bytes(response.body).decode())
    rows = reading.found.get(name) if name else None
    if rows is None:
        raise NotFound("this page has no such table")
    return Response(
        MARK + "".join(line(row) for row in rows if any(row)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="table.csv"'},
    )
