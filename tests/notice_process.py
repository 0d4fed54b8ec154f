"""A process that sends messages, for tests that kill it: `python notice_process.py DSN FOLDER`.

It puts a message into the folder, says so, and never gets to noting that it was sent.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sending import Hands, delivery
from stores import open_context, open_guard

from quanmin.base.postgres import open_pool
from quanmin.trust.notices import CHANNELS
from quanmin.workflow.notices import Message
from quanmin.workflow.notices.ports import FilePort


class Stuck(FilePort):
    """Takes a message and hangs."""

    async def send(self, message: Message) -> None:
        await super().send(message)
        sys.stdout.write("taken\n")
        sys.stdout.flush()
        await asyncio.sleep(60)


async def main(dsn: str, folder: Path) -> None:
    pool = await open_pool(dsn, name="sender", connections_max=4)
    guard = open_guard(pool, open_context(folder))
    ports = dict.fromkeys(CHANNELS, Stuck(folder / "notices"))
    await delivery(pool, guard, folder / "notices", Hands(), ports, gather_seconds=0).work()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
