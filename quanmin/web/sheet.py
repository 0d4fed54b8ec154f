"""Lists as CSV, for download."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from starlette.responses import StreamingResponse

from quanmin.base.csv_line import MARK, line


def sheet(
    name: str, heading: Iterable[str], rows: AsyncIterator[Iterable[str]]
) -> StreamingResponse:
    """The rows as a download called `name`, sent as they come, of any length in bounded memory."""

    async def lines() -> AsyncIterator[str]:
        yield MARK + line(heading)
        async for row in rows:
            yield line(row)

    return StreamingResponse(
        lines(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )
