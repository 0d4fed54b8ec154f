"""Imports being worked off, here or in a process that tests kill:
`python import_process.py DSN FOLDER`. `FOLDER` has the keys, and the spool in `imports`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
from stores import open_context, open_notary
from workers import work_until_told

from quanmin.api.importing import Arrivals
from quanmin.base.clock import Clock
from quanmin.base.crypto import suite_named
from quanmin.base.fetching import FetchPlaces
from quanmin.base.jobs import JobLimits, Worker
from quanmin.base.keys import FileKeys
from quanmin.base.postgres import open_pool
from quanmin.base.spool import Spool
from quanmin.node.importing import Importing
from quanmin.people import PersonIndex
from quanmin.records.store import Store
from quanmin.trust import AccessLog, Actors, Guard
from quanmin.trust.imports import ImportLimits

LIMITS = JobLimits(
    lease_seconds=1.0, turn_seconds=0.5, poll_seconds=0.1, backoff_seconds=0.05, attempts_max=100
)


def open_arrivals(folder: Path, limits: ImportLimits, *, has_room: bool = True) -> Arrivals:
    """The spool below `folder`, under its keys."""
    spool = Spool(
        folder / "imports",
        FileKeys(folder / "keys").derive("spool"),
        suite_named("international"),
        lambda: has_room,
    )
    return Arrivals(spool, FetchPlaces(limits.folder, limits.origins), limits)


def open_worker(pool: Any, guard: Guard, arrivals: Arrivals, limits: JobLimits = LIMITS) -> Worker:
    """A worker that works imports off."""
    importing = Importing(guard, Actors(pool), arrivals.spool, arrivals.places, arrivals.limits)
    return Worker(pool, [importing.kind], limits)


async def main(dsn: str, folder: Path, settings: bytes) -> None:
    pool = await open_pool(dsn, name="import worker", connections_max=12)
    context = open_context(folder)
    clock = Clock()
    people = PersonIndex(context.keying)
    log = AccessLog(pool, open_notary(context))
    guard = Guard(Store(pool, context, clock.now, [people]), people, log, clock.now)
    limits = msgspec.json.decode(settings, type=ImportLimits)
    await work_until_told(open_worker(pool, guard, open_arrivals(folder, limits)), pool)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3].encode()))
