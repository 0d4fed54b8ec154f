"""Runs the statements of one search within the time that one search may take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import Sentence, TooCostly
from quanmin.records.context import Context, Terms
from quanmin.records.model import Stored


class Statement:
    """SQL in the making: its text may name what it binds."""

    def __init__(self) -> None:
        self.arguments: list[object] = []

    def bind(self, value: object) -> str:
        """Take a value in; the placeholder that stands for it."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"


class Reader:
    """A connection for one search. The clock starts when it is made."""

    def __init__(
        self, connection: Connection, context: Context, seconds: float | None = None
    ) -> None:
        """`seconds` instead of what a search may take, for what nobody waits for."""
        self._connection = connection
        self._context = context
        self._seconds = seconds or context.limits.search_seconds_max
        # Which records (type, id) are meant by others, asked for by several parts of one search.
        self.meant: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        self._end = asyncio.get_running_loop().time() + self._seconds

    def terms(self) -> Terms | None:
        """The terminology as the search sees it; None where the node has none."""
        make = self._context.terms
        return None if make is None else make(self._connection)

    def check_time(self) -> float:
        """The seconds left. Raises TooCostly when there are none."""
        left = self._end - asyncio.get_running_loop().time()
        if left <= 0:
            raise self._too_long()
        return left

    async def rows(self, text: str, statement: Statement) -> list[Any]:
        """The rows of a statement. Raises TooCostly when the search's time is over."""
        try:
            return await self._connection.fetch(
                text, *statement.arguments, timeout=self.check_time()
            )
        except TimeoutError:
            raise self._too_long() from None

    async def fetch(self, text: str, *values: object) -> list[Any]:
        """The same for values that the text counts itself."""
        statement = Statement()
        statement.arguments = list(values)
        return await self.rows(text, statement)

    async def fetchrow(self, text: str, *values: object) -> Any:
        """The first of these rows; None without one."""
        rows = await self.fetch(text, *values)
        return rows[0] if rows else None

    async def open(self, rows: Sequence[Any]) -> list[Stored]:
        """The records in rows; those of erased persons are left out."""
        return await self._context.open(self._connection, rows) if rows else []

    async def cost(self, text: str, statement: Statement) -> tuple[float, int]:
        """What the planner thinks of a statement: its cost, and how many rows it gives."""
        rows = await self.rows(f"explain (format json) {text}", statement)
        plan = msgspec.json.decode(rows[0][0])[0]["Plan"]
        return float(plan["Total Cost"]), int(plan["Plan Rows"])

    def _too_long(self) -> TooCostly:
        return TooCostly(
            Sentence(
                "the search took longer than %(seconds)g seconds: narrow it", seconds=self._seconds
            )
        )
