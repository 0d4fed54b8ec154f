"""Workers of background jobs, for as long as a test needs them, here or in another process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from quanmin.base.jobs import Worker


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[Worker]:
    """A worker of this process, ended on leaving."""
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running


async def work_until_told(worker: Worker, pool: asyncpg.Pool[Any]) -> None:
    """Be a process that works jobs off until it is told to stop (SIGTERM) or killed."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    try:
        await worker.run()
    finally:
        await pool.close()
