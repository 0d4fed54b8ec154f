"""One process that works background jobs off: of its own, so that no request waits for a job.

A step may hold the processor for a while, and one that goes wrong may take its process along.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from quanmin.base.database import UNAVAILABLE
from quanmin.base.jobs import Listed, Worker, find
from quanmin.base.postgres import open_pool
from quanmin.base.problems import NotFound
from quanmin.node.job_kinds import kinds_of
from quanmin.node.memory import settle
from quanmin.node.server import Node, open_node
from quanmin.node.settings import Settings
from quanmin.node.worker import READY, Orders, carry_out
from quanmin.trust.drafts import sweep_drafts
from quanmin.trust.due import begin_renewals, put_again, put_telling
from quanmin.trust.log.keeping import adopt_all, check_in, drop_months, keep_ahead
from quanmin.web.application import discover
from quanmin.web.clocks import Clocks
from quanmin.web.national import National, answered_applications, read_answers
from quanmin.workflow.notices import Delivery, deliver, open_ports
from quanmin.workflow.outgoing import Sending, open_port, send_outgoing

# The steps under way have a connection each, of either kind; two look after the jobs, and two read
# what is told outside, and what is answered, while two others hold their places in the queues.
_CONNECTIONS_BESIDE = 5
_SWEEP_SECONDS = 600.0
_DAY = 86_400_000_000
# So long after midnight those are looked at again for whom that changes something.
_DAY_PASSED_SECONDS = 60.0


log = logging.getLogger("quanmin.node")


def main() -> None:
    """Work until told to stop."""
    carry_out(_work)


async def _work(settings: Settings, orders: Orders) -> None:
    # Steps and their jobs are the owner's: they look after the whole node. What a step does for
    # somebody who asked goes through the guard, by the account that requests are answered with.
    limit = settings.jobs.places + _CONNECTIONS_BESIDE
    async with (
        open_node(settings, orders.dsn, connections_max=limit, is_owner=False) as node,
        owner_pool(orders.owner_dsn, limit) as pool,
    ):
        delivery = open_delivery(node)
        sweeping = asyncio.create_task(sweep(node))
        keeping = asyncio.create_task(keep_log(node, pool))
        delivering = asyncio.create_task(deliver(delivery, settings.notices.poll_seconds))
        watching = asyncio.create_task(watch_clocks(node))
        listing = asyncio.create_task(keep_due_lists(node, pool))
        telling = asyncio.create_task(tell_outside(node))
        hearing = asyncio.create_task(hear_outside(node))
        worker = Worker(pool, kinds_of(node), settings.jobs)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        settle()
        os.write(orders.report, READY)
        os.close(orders.report)
        await worker.run()
        sweeping.cancel()
        keeping.cancel()
        delivering.cancel()
        watching.cancel()
        listing.cancel()
        telling.cancel()
        hearing.cancel()


@asynccontextmanager
async def owner_pool(dsn: str, limit: int) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    """Connections of who owns the tables."""
    pool = await open_pool(dsn, name="quanmin worker", connections_max=limit)
    try:
        yield pool
    finally:
        await pool.close()


def open_delivery(node: Node) -> Delivery:
    """What has messages of notices leave this node. Raises Unusable."""
    settings = node.settings
    return Delivery(
        node.pool,
        node.guard,
        open_ports(settings.notices, node.places.notices),
        settings.notices,
        sites={"zh": settings.node.title_zh, "en": settings.node.title_en},
        origin=settings.origin,
        now=node.guard.now,
    )


async def watch_clocks(node: Node) -> None:
    """Have the timers of workflows fire when they have run out. Several processes do so beside each
    other: one that was first has done it, and the others find nothing.
    """
    level = node.settings.node.level
    clocks = Clocks(node.guard, [one for one in discover() if level in one.application.levels])
    while True:
        try:
            await clocks.fire()
        except UNAVAILABLE:
            log.warning("workflows: the database cannot be reached", exc_info=True)
        except Exception:
            log.exception("workflows: a pass over the clocks failed and is tried again")
        await asyncio.sleep(node.settings.jobs.clock_seconds)


async def tell_outside(node: Node) -> None:
    """Have the system outside told of cases, until cancelled."""
    settings = node.settings.outgoing
    port = open_port(settings, node.places.reports)
    await send_outgoing(Sending(node.pool, node.guard, port, settings), settings.poll_seconds)


async def hear_outside(node: Node) -> None:
    """Have what the system outside answers of cases carried out, until cancelled."""
    settings, level = node.settings.outgoing, node.settings.node.level
    port = open_port(settings, node.places.reports)
    at_level = [one for one in discover() if level in one.application.levels]
    reading = [National(node.guard, port, one) for one in answered_applications(at_level)]
    await asyncio.gather(*(read_answers(one, settings.answers_seconds) for one in reading))


async def sweep(node: Node) -> None:
    """Remove what has had its time: sessions and attempts at signing in, drafts, and the files of
    exports and of pages that are no more, also those that a dead process left.
    """

    async def find_job(number: int) -> Listed | None:
        try:
            return await find(node.pool, number)
        except NotFound:
            return None

    while True:
        try:
            for shelf in (node.exports.shelf, node.made):
                await shelf.sweep(find_job, time.time_ns() // 1000)
            await node.sign_in.sweep()
            days = node.settings.pages.draft_days
            await sweep_drafts(node.pool, node.guard.now() - days * _DAY)
        except UNAVAILABLE:
            log.warning("sweeping: the database cannot be reached", exc_info=True)
        await asyncio.sleep(_SWEEP_SECONDS)


async def keep_due_lists(node: Node, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Have due lists made by plans that are new or say something else, those looked at again for
    whom it is another day, and those told who are to be.
    """
    due = node.guard.due
    while True:
        try:
            async with pool.acquire() as connection, connection.transaction():
                await begin_renewals(connection, due, "node")
                await put_again(connection, due, node.guard.now())
                await put_telling(connection, due)
        except UNAVAILABLE:
            log.warning("due lists: the database cannot be reached", exc_info=True)
        except asyncpg.PostgresError:
            log.exception("due lists: keeping them failed and is tried again")
        await asyncio.sleep(_DAY_PASSED_SECONDS)


async def keep_log(node: Node, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Sign the state of the access log from time to time, adopt what was written before there were
    trees, have next month's lanes in time, and drop what has been kept long enough.
    """
    log_, limits = node.guard.log, node.settings.access_log

    def now_() -> int:
        return time.time_ns() // 1000

    while True:
        try:
            async with pool.acquire() as connection:
                now = now_()
                await keep_ahead(connection, log_.notary, now)
                await adopt_all(connection, log_.notary, log_.witness, now_)
                for month in await drop_months(connection, log_.notary, limits, now):
                    log.info("a month of the access log was kept long enough: %s", month)
                await check_in(connection, log_.notary, log_.witness, now, limits)
        except UNAVAILABLE:
            log.warning("access log: the database cannot be reached", exc_info=True)
        except (OSError, asyncpg.PostgresError):
            log.exception("access log: its keeping failed and is tried again")
        await asyncio.sleep(limits.checkpoint_seconds)


if __name__ == "__main__":
    main()
