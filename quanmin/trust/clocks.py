"""Which cases of workflows have a clock that has run out, kept by the transaction that writes them.

The clock is the end of `restriction.period` of a Task that has the security label of its code: so
are the cases that the engine of workflows makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quanmin.base.database import Connection
from quanmin.fhir.dates import interval
from quanmin.records.context import Context
from quanmin.records.operation import Change
from quanmin.records.rid import id_of, is_assigned
from quanmin.trust.guarding import Guarding

_PUT: Final = """
    insert into trust.task_clock (task, due, sender, code) values ($1, $2, $3, $4)
    on conflict (task) do update set due = excluded.due, code = excluded.code
"""
_STOP: Final = "delete from trust.task_clock where task = any($1::bigint[])"
_RUN_OUT: Final = """
    select c.task, c.due, c.code, s.code as sender
    from trust.task_clock c join records.sender s on s.sender = c.sender
    where c.due <= $1 and (c.due, c.task) > ($2, $3) and c.code = any($4::text[])
    order by c.due, c.task limit $5
"""


class RunOut(msgspec.Struct, frozen=True):
    """A clock that has run out: the Task by key and id, when (microseconds), the label of its
    workflow (system|code), and the code of the institution whose case it is.
    """

    task: int
    id: str
    due: int
    label: str
    sender: str


class TaskClocks:
    """The projection of running clocks."""

    types = frozenset({"Task"})
    is_early = False

    def __init__(self, context: Context) -> None:
        self._context = context

    async def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """See `Projection`."""
        stopped = []
        for change in changes:
            # The engine has the node give ids: by one that was chosen nobody could read it.
            if change.type != "Task" or not is_assigned(change.rid):
                continue
            running = self._running(change.resource or {})
            if running is None:
                stopped.append(change.rid)
            else:
                await connection.execute(_PUT, change.rid, running[0], change.sender, running[1])
        if stopped:
            await connection.execute(_STOP, stopped)

    def _running(self, task: dict[str, Any]) -> tuple[int, str] | None:
        """When the clock of a case runs out, and the label of its workflow."""
        end = ((task.get("restriction") or {}).get("period") or {}).get("end")
        found = interval(end, self._context.zone) if isinstance(end, str) else None
        labels = {_said(one) for one in (task.get("meta") or {}).get("security") or ()}
        codes = [_said(one) for one in (task.get("code") or {}).get("coding") or ()]
        label = next((one for one in codes if one in labels), None)
        return None if found is None or label is None else (found[0], label)


async def run_out(
    guard: Guarding, labels: Sequence[str], moment: int, *, after: tuple[int, int], count: int
) -> list[RunOut]:
    """The clocks of cases with one of these labels that have run out by a moment, the first first,
    beyond `after` (when and key of the last one). For the node itself: it asks for no rights.
    """
    async with guard.store.glancing() as connection:
        rows = await connection.fetch(_RUN_OUT, moment, *after, list(labels), count)
    prefix = guard.store.context.prefix
    return [
        RunOut(row["task"], id_of(row["task"], prefix), row["due"], row["code"], row["sender"])
        for row in rows
    ]


def _said(coding: dict[str, Any]) -> str:
    return f"{coding.get('system', '')}|{coding.get('code', '')}"
