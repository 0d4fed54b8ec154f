"""A process that works exports off, for tests that kill it: `python export_process.py DSN FOLDER`.

Each step is as small as can be, so that there are many places to be killed at.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from outlet import HURRIED, exports_in, kind_of
from stores import START, open_context, open_guard

from quanmin.base.jobs import Worker
from quanmin.base.postgres import open_pool
from quanmin.trust import Actors


async def main(dsn: str, folder: Path) -> None:
    pool = await open_pool(dsn, name="job worker", connections_max=10)
    exports = exports_in(folder, step_records=25, step_seconds=0.001, file_records_max=400)
    guard = open_guard(pool, open_context(folder))
    guard.now = lambda: START + 10**12  # later than any writer of the tests
    await Worker(pool, [kind_of(guard, Actors(pool), exports)], HURRIED).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
