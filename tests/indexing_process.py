"""A process of a node, for tests of what several do at once: `python indexing_process.py ROLE DSN
FOLDER SEED`.

`write` stores, changes and deletes Patients until it is told to stop (SIGTERM); `index` works off
the jobs that index again, slowly, until it is killed.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from pathlib import Path

from definitions import LIMITS, nothing_asked, of_nation, packed
from stores import create, delete, open_context, update

from quanmin.base.jobs import Worker
from quanmin.base.postgres import open_pool
from quanmin.people import PersonIndex
from quanmin.records.operation import Sender
from quanmin.records.parameters import SearchParameterIndex
from quanmin.records.reindexing import ReindexLimits, reindex_kind
from quanmin.records.store import Store
from quanmin.records.visibility import Everything

NATIONS = ("01", "02", "03")


async def write(dsn: str, folder: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's choices, to be repeated
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    pool = await open_pool(dsn, name="writer", connections_max=3)
    context = open_context(folder)
    store = Store(
        pool,
        context,
        lambda: time.time_ns() // 1000,
        [PersonIndex(context.keying), SearchParameterIndex()],
    )
    sender = Sender(await store.sender("hospital"), Everything(), Everything())
    mine: list[str] = []
    while not ending.is_set():
        body = of_nation(chance.choice(NATIONS), birthDate=f"19{chance.randrange(50, 60)}-01-01")
        if mine and chance.random() < 0.5:
            id_ = chance.choice(mine)
            if chance.random() < 0.2:
                mine.remove(id_)
                await store.write(sender, [delete("Patient", id_)])
            else:
                changed = packed({**body, "id": id_})
                await store.write(sender, [update("Patient", id_, changed)])
            continue
        many = [create("Patient", packed(body), position=n) for n in range(chance.randrange(1, 9))]
        mine += [one.stored.id for one in await store.write(sender, many) if one is not None]
    await pool.close()


async def index(dsn: str, folder: Path) -> None:
    pool = await open_pool(dsn, name="indexer", connections_max=LIMITS.places + 4)
    limits = ReindexLimits(batch_records=7, share=0.5)
    await Worker(pool, [reindex_kind(open_context(folder), nothing_asked, limits)], LIMITS).run()


def main() -> None:
    role, dsn, folder, seed = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    asyncio.run(index(dsn, folder) if role == "index" else write(dsn, folder, seed))


if __name__ == "__main__":
    main()
