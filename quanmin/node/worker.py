"""One worker process: answers requests on the socket that the supervisor opened.

It is told everything on standard input, so that no secret stands among the arguments that every
user can list. It ends when the supervisor asks, finishing what it has begun, and when the
supervisor dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
import uvicorn
import uvloop

from quanmin.base.lifetime import end_with
from quanmin.base.logs import SEVERITIES, write_logs
from quanmin.base.problems import Problem
from quanmin.node.memory import settle
from quanmin.node.server import build_application, open_node
from quanmin.node.settings import Settings, unpack
from quanmin.node.tls import HEADERS, open_tls
from quanmin.node.wire import WireLimits, bounded

_BACKLOG: Final = 2048
READY: Final = b"ready\n"

log = logging.getLogger("quanmin.node")


class Orders(msgspec.Struct, frozen=True):
    """What the supervisor tells a worker: settings, database, and the descriptors it inherits.

    `dsn` is the account that owns no table; `owner_dsn` is told to those alone who look after the
    tables.
    `quotas` is memory shared by all workers: what clients have spent, what strangers have, and
    how often jobs were asked about.
    """

    settings: bytes
    dsn: str
    owner_dsn: str
    socket: int
    report: int
    quotas: tuple[int, int, int]
    parent: int


class _Server(uvicorn.Server):
    """Reports when it answers."""

    def __init__(self, config: uvicorn.Config, report: int) -> None:
        super().__init__(config)
        self._report = report

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        os.write(self._report, READY)
        os.close(self._report)


def main() -> None:
    """Serve until told to stop."""
    carry_out(_serve)


def carry_out(work: Callable[[Settings, Orders], Coroutine[Any, Any, None]]) -> None:
    """Do the work under the orders that the supervisor sends, and end with it; what keeps it from
    starting goes to the report.
    """
    told = sys.stdin.buffer.read()
    if not told:  # the supervisor gave up before it came to orders
        sys.exit(0)
    orders = msgspec.json.decode(told, type=Orders)
    end_with(orders.parent)
    settings = unpack(orders.settings)
    write_logs(SEVERITIES[settings.log.severity])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(settings, orders))
    except Problem as problem:
        log.exception("a process of the node cannot start")
        os.write(orders.report, problem.text.encode())
        sys.exit(1)


async def _serve(settings: Settings, orders: Orders) -> None:
    tls = open_tls(settings.node)
    wire = WireLimits(settings.door.head_seconds_max, settings.door.head_bytes_max)
    async with open_node(settings, orders.dsn, is_owner=False) as node:
        settle()
        watching = None if tls is None else asyncio.create_task(tls.watch())
        config = uvicorn.Config(
            build_application(node, orders.quotas),
            loop="none",
            http=bounded(wire),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=settings.node.drain_seconds_max,
            ssl_context_factory=None if tls is None else lambda *_: tls.context,
            headers=None if tls is None else HEADERS,
        )
        await _Server(config, orders.report).serve([socket.socket(fileno=orders.socket)])
        if watching is not None:
            watching.cancel()


if __name__ == "__main__":
    main()
