"""Lists as CSV: what any spreadsheet opens, Chinese intact, nothing in it executed."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable

from starlette.responses import StreamingResponse

# Without the mark, the spreadsheet most offices use reads UTF-8 as the local legacy encoding.
_MARK = "\ufeff"
# A cell that begins with one of these is run as a formula; the apostrophe keeps it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def line(cells: Iterable[str]) -> str:
    """One line of CSV.

    A cell that a spreadsheet would run is made plain text, unless it is a number.
    """
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\r\n").writerow([_plain(cell) for cell in cells])
    return kept.getvalue()


def sheet(
    name: str, heading: Iterable[str], rows: AsyncIterator[Iterable[str]]
) -> StreamingResponse:
    """The rows as a download called `name`, sent as they come, of any length in bounded memory."""

    async def lines() -> AsyncIterator[str]:
        yield _MARK + line(heading)
        async for row in rows:
            yield line(row)

    return StreamingResponse(
        lines(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _plain(cell: str) -> str:
    if not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
