"""Keeps a node running: its PostgreSQL, its workers and what must be done from time to time.

One process per node. It opens the socket and starts workers that share it; whatever dies is started
again; asked to end, it lets the workers finish, then stops the database. Killed itself, it takes
all of them along, and the next start clears up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from quanmin.base.clock import Clock
from quanmin.base.cluster import Cluster
from quanmin.base.keys import KeyPort
from quanmin.base.problems import Problem, Unusable
from quanmin.node.access_rules import rules_in_force
from quanmin.node.archive import Archivist, archive_parameters, open_archive
from quanmin.node.database import (
    Room,
    embedded,
    is_new,
    make_database,
    make_months,
    make_ready,
    worker_source,
)
from quanmin.node.ledger import catch_up, share_ledger
from quanmin.node.own_keys import open_keys
from quanmin.node.places import HOST, Places, State
from quanmin.node.settings import Settings
from quanmin.node.tls import open_tls
from quanmin.node.workforce import LABOURING, Source, Workforce
from quanmin.web.page_settings import load_boundaries
from quanmin.workflow.notices import open_ports
from quanmin.workflow.outgoing import open_port

log = logging.getLogger("quanmin.node")


_BACKLOG: Final = 2048
_TICK_SECONDS: Final = 0.5
_PORT_SECONDS: Final = 0.1
_DUTY_SECONDS: Final = 60.0
_MONTHS_SECONDS: Final = 6 * 3600.0
_REVIVE_SECONDS: Final = 1.0


class Supervisor:
    """Runs one node in this process; `announce` is called once, when it takes requests."""

    def __init__(self, settings: Settings, announce: Callable[[State], None]) -> None:
        self._settings = settings
        self._places = Places(settings.node.directory)
        self._announce = announce
        self._cluster: Cluster | None = None
        self._archivist: Archivist | None = None
        self._workforce: Workforce | None = None
        self._keys: KeyPort | None = None
        self._dsn = settings.postgres.dsn
        self._started_at = Clock().now()
        self._asked: set[int] = set()
        self._due: dict[Callable[[], None], float] = {}

    def run(self) -> None:
        """Start everything, keep it running, and return when asked to end and all is stopped.

        Raises Unusable, with everything stopped again, when the node cannot start.
        """
        self._places.prepare()
        lock = self._places.lock()
        if lock is None:
            raise Unusable(
                f"A node already runs in {self._places.directory}: `quanmin node status` shows "
                "it, `quanmin node stop` ends it."
            )
        with lock, self._signals() as woken, self._listening() as listening:
            try:
                self._keep_state(is_ready=False)
                self._start(listening)
                self._watch(woken)
            finally:
                self._stop()

    # ---- start and stop -----------------------------------------------------------------------

    def _start(self, listening: socket.socket) -> None:
        began = time.monotonic()
        # Told here, before anything is started.
        open_tls(self._settings.node)
        rules_in_force(self._settings)
        load_boundaries(self._settings.pages)
        open_ports(self._settings.notices, self._places.notices)
        open_port(self._settings.outgoing, self._places.reports)
        self._workforce = Workforce(self._settings, listening.fileno())
        if self._dsn:
            keys = open_keys(
                self._places, self._settings.keys, is_new=asyncio.run(is_new(self._dsn))
            )
        else:
            # Keys before data: data without keys is a loss, keys without data are nothing.
            self._cluster = embedded(self._settings, self._places, self._archive_parameters())
            keys = open_keys(self._places, self._settings.keys, is_new=not self._cluster.exists())
            self._dsn = self._start_database(self._cluster, keys)
        applied = asyncio.run(make_ready(self._dsn, self._settings, keys))
        if applied:
            log.info("tables brought up to date", extra={"migration": applied[-1].number})
        self._keys = keys
        asyncio.run(catch_up(self._settings, self._dsn, keys))
        if self._places.holds_fictional_data:
            # Loaded only here: its invented province is a second that no other node should wait.
            from quanmin.node.demo_actors import enrol_first_actors  # noqa: PLC0415 - see above

            asyncio.run(enrol_first_actors(self._dsn, self._places))
        source = Source(self._dsn, worker_source(self._settings, self._places))
        self._workforce.start(source, self._is_asked_to_end)
        state = self._keep_state(is_ready=True)
        log.info(
            "node started",
            extra={
                "port": state.port,
                "worker": len(state.workers),
                "duration_ms": round((time.monotonic() - began) * 1000),
            },
        )
        self._announce(state)

    def _archive_parameters(self) -> dict[str, str]:
        return archive_parameters(self._settings.backup, self._places)

    def _start_database(self, cluster: Cluster, keys: KeyPort) -> str:
        settings = self._settings
        if not cluster.exists():
            cluster.create()
        if settings.backup.directory is not None:
            archive = open_archive(settings.backup, keys, settings.node.cipher_suite)
            self._archivist = Archivist(archive, self._places, cluster)
            self._archivist.prepare()
            self._archivist.start()
        cluster.start(wait_seconds_max=settings.postgres.start_seconds_max)
        asyncio.run(make_database(cluster))
        return cluster.dsn()

    def _stop(self) -> None:
        if self._workforce is not None:
            self._workforce.stop()
            self._due.pop(self._share_ledger, None)
            self._do(self._share_ledger, 0.0)
        # PostgreSQL archives its last segment while it stops, so the archivist leaves after it.
        if self._cluster is not None:
            self._cluster.stop()
        if self._archivist is not None:
            self._archivist.stop()
        self._places.forget_state()
        log.info("node stopped")

    @contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end = time.monotonic() + self._settings.node.drain_seconds_max
            while not self._is_bound(opened, is_last=time.monotonic() > end):
                time.sleep(_PORT_SECONDS)
            opened.listen(_BACKLOG)
            opened.set_inheritable(True)
            yield opened

    def _is_bound(self, opened: socket.socket, *, is_last: bool) -> bool:
        """Whether the port is ours now; False while workers of a node that was killed drain."""
        port = self._settings.node.port
        try:
            # Loopback only, whatever the operator would like: TLS ends in front of the node.
            opened.bind((HOST, port))
        except OSError as error:
            if not is_last and self._places.has_left_over():
                return False
            raise Unusable(
                f"Port {port} is taken by another program ({error.strerror}): end it, or "
                "choose another port with `--port` or the setting `node.port`."
            ) from error
        return True

    # ---- watching -----------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Signals wake a `select` through a pipe; what they ask is done between two looks."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {
            number: signal.signal(number, self._note)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        }
        earlier = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(earlier)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._asked.add(number)

    def _is_asked_to_end(self) -> bool:
        return bool(self._asked & {signal.SIGTERM, signal.SIGINT})

    def _watch(self, woken: int) -> None:
        while not self._is_asked_to_end():
            if select.select([woken], [], [], _TICK_SECONDS)[0]:
                os.read(woken, 4096)
            self._revive()
            if signal.SIGHUP in self._asked:
                self._asked.discard(signal.SIGHUP)
                self._workers().renew(self._is_asked_to_end)
                self._keep_state()
            self._do(self._look_at_disk, _DUTY_SECONDS)
            self._do(self._make_months, _MONTHS_SECONDS)
            self._do(self._share_ledger, self._settings.backup.archive_seconds_max)

    def _workers(self) -> Workforce:
        if self._workforce is None:
            raise RuntimeError
        return self._workforce

    def _revive(self) -> None:
        """Start again whatever has died."""
        if self._cluster is not None and not self._cluster.is_alive():
            self._do(self._revive_database, _REVIVE_SECONDS)
        if self._workers().revive():
            self._keep_state()

    def _revive_database(self) -> None:
        if self._cluster is not None:
            log.error("PostgreSQL has died and is started again")
            self._cluster.start(wait_seconds_max=self._settings.postgres.start_seconds_max)
            self._keep_state()

    def _do(self, duty: Callable[[], None], every_seconds: float) -> None:
        """Do a duty when it is due; one that fails is tried next time, the node goes on."""
        now = time.monotonic()
        if now < self._due.get(duty, 0.0):
            return
        self._due[duty] = now + every_seconds
        try:
            duty()
        except (OSError, Problem):
            log.exception("a duty of the node failed and is tried again later")

    def _look_at_disk(self) -> None:
        if self._cluster is None:
            return
        room = Room(self._cluster.home, self._settings.disk.free_bytes_min)
        free = room.free_bytes()
        if free < self._settings.disk.free_bytes_min:
            log.error("disk is full: writes are refused", extra={"free_bytes": free})
        elif free < self._settings.disk.free_bytes_warned:
            log.warning("disk is filling", extra={"free_bytes": free})

    def _make_months(self) -> None:
        for _ in asyncio.run(make_months(self._dsn)):
            log.info("a month's tables made ahead")

    def _share_ledger(self) -> None:
        if self._keys is not None:
            share_ledger(self._places, self._keys, self._settings.backup.directory)

    def _keep_state(self, *, is_ready: bool = True) -> State:
        state = State(
            process=os.getpid(),
            port=self._settings.node.port,
            started_at=self._started_at,
            is_ready=is_ready,
            is_embedded=self._cluster is not None,
            workers=self._workforce.processes() if self._workforce else (),
            job_workers=self._workforce.processes(LABOURING) if self._workforce else (),
            postgres=self._cluster.process_id if self._cluster else None,
            scheme="http" if self._settings.node.tls_certificate is None else "https",
        )
        self._places.keep_state(state)
        return state
