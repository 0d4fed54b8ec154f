"""A process that has timers fire, for tests that kill it: `python clock_process.py DSN FOLDER`.

It fires what is due in a hundred days, says so in the transaction that does, and never commits it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from ruling import brought_by, under
from stores import open_context, open_guard

from quanmin.base.database import Connection
from quanmin.base.postgres import open_pool
from quanmin.records.operation import Change
from quanmin.web.application import discover
from quanmin.web.clocks import Clocks


class Stuck:
    """Hears of a Task that is written, and hangs."""

    types = frozenset({"Task"})
    is_early = False

    async def apply(self, _connection: Connection, _changes: Sequence[Change]) -> None:
        """Say that the transaction is under way."""
        sys.stdout.write("inside\n")
        sys.stdout.flush()
        await asyncio.sleep(60)


async def main(dsn: str, folder: Path) -> None:
    pool = await open_pool(dsn, name="clocks", connections_max=4)
    guard = open_guard(pool, open_context(folder), beside=[Stuck()])
    now, days = guard.now, timedelta(days=100) // timedelta(microseconds=1)
    guard.now = lambda: now() + days
    await Clocks(under(guard, brought=brought_by("trials")), discover("trials")).fire()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
