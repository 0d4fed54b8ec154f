"""One process that works background jobs off: of its own, so that no request waits for a job.

A step may hold the processor for a while, and one that goes wrong may take its process along.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import msgspec
import uvloop

from quanmin.base.jobs import Worker
from quanmin.base.lifetime import end_with
from quanmin.base.logs import SEVERITIES, write_logs
from quanmin.base.problems import Problem
from quanmin.node.job_kinds import kinds_of
from quanmin.node.memory import rest_the_collector
from quanmin.node.server import open_node
from quanmin.node.settings import Settings, unpack
from quanmin.node.worker import READY, Orders

log = logging.getLogger("quanmin.node")

# The steps under way have a connection each, and may need another; two look after the jobs.
_CONNECTIONS_A_PLACE = 2
_CONNECTIONS_BESIDE = 2


def main() -> None:
    """Work until told to stop; what keeps it from starting goes to the report."""
    told = sys.stdin.buffer.read()
    if not told:  # the supervisor gave up before it came to orders
        sys.exit(0)
    orders = msgspec.json.decode(told, type=Orders)
    end_with(orders.parent)
    settings = unpack(orders.settings)
    write_logs(SEVERITIES[settings.log.severity])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(settings, orders))
    except Problem as problem:
        log.exception("a worker for jobs cannot start")
        os.write(orders.report, problem.text.encode())
        sys.exit(1)


async def _work(settings: Settings, orders: Orders) -> None:
    limit = settings.jobs.places * _CONNECTIONS_A_PLACE + _CONNECTIONS_BESIDE
    async with open_node(settings, orders.dsn, connections_max=limit) as node:
        worker = Worker(node.pool, kinds_of(node), settings.jobs)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        rest_the_collector()
        os.write(orders.report, READY)
        os.close(orders.report)
        await worker.run()


if __name__ == "__main__":
    main()
