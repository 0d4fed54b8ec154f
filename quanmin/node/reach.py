"""Gets at a node's database from the command line, whether the node runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from quanmin.base.cluster import Cluster
from quanmin.base.problems import Unusable
from quanmin.node.database import embedded, is_new, make_database, make_ready
from quanmin.node.ledger import catch_up
from quanmin.node.own_keys import open_keys
from quanmin.node.places import Places
from quanmin.node.settings import Settings


@contextmanager
def reached_database(settings: Settings, *, may_make: bool = True) -> Iterator[str]:
    """The DSN of a database that is ready; an embedded server that nobody runs is run meanwhile.

    A node that was never started is made, unless told not to. Raises Unusable with the way out.
    """
    places = Places(settings.node.directory)
    if settings.postgres.dsn:
        dsn = settings.postgres.dsn
        keys = open_keys(places, settings.keys, is_new=asyncio.run(is_new(dsn)))
        asyncio.run(make_ready(dsn, settings, keys))
        asyncio.run(catch_up(settings, dsn, keys))
        yield dsn
        return
    cluster = embedded(settings, places)
    if not may_make and not cluster.exists():
        raise Unusable(
            f"No node has ever run in {places.directory}: name the right folder with --directory."
        )
    running = places.running()
    if running is not None:
        if not running.is_ready:
            raise Unusable("The node is starting: try again in a moment.")
        yield cluster.dsn()
        return
    places.prepare()
    lock = places.lock()
    if lock is None:
        raise Unusable("The node is starting or stopping: try again in a moment.")
    with lock:
        keys = open_keys(places, settings.keys, is_new=not cluster.exists())
        if not cluster.exists():
            cluster.create()
        cluster.start(wait_seconds_max=settings.postgres.start_seconds_max)
        try:
            asyncio.run(make_database(cluster))
            asyncio.run(make_ready(cluster.dsn(), settings, keys))
            asyncio.run(catch_up(settings, cluster.dsn(), keys))
            yield cluster.dsn()
        finally:
            cluster.stop()


def running_cluster(settings: Settings) -> Cluster:
    """The embedded server of a running node, for programs that talk to it. Raises Unusable."""
    if settings.postgres.dsn:
        raise Unusable(
            "This node's database is an external server: back it up and restore it with that "
            "server's own means."
        )
    places = Places(settings.node.directory)
    if places.running() is None:
        raise Unusable("The node does not run: start it first with `quanmin node start`.")
    return embedded(settings, places)
