"""The worker processes of a node: started, counted, revived, renewed one by one, and let finish.

There are two trades: those that answer requests, and those that work background jobs off.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from quanmin.api.metering import forget_process, shared_folder
from quanmin.base.problems import Unusable
from quanmin.base.quota import share_memory
from quanmin.node.places import Places
from quanmin.node.settings import Settings, pack
from quanmin.node.worker import READY, Orders

log = logging.getLogger("quanmin.node")

_PAUSE_SECONDS_MAX: Final = 30.0
_YOUNG_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1

ANSWERING: Final = "quanmin.node.worker"
LABOURING: Final = "quanmin.node.labour"


class Source(msgspec.Struct, frozen=True):
    """How the database is reached: as who owns the tables, and as who answers requests."""

    owner: str = ""
    worker: str = ""


class _Shared(msgspec.Struct, frozen=True):
    """What all workers of a node have in common."""

    listening: int
    quotas: tuple[int, int, int]
    environment: dict[str, str]


class _Worker:
    """One process; it loads the program and then waits for its orders."""

    def __init__(self, trade: str, shared: _Shared) -> None:
        self.trade = trade
        self.report, writing = os.pipe()
        self._report_there = writing
        self.began = time.monotonic()
        # Who does not answer must not hold the port either: after a crash nobody could have it.
        answering = (shared.listening, *shared.quotas) if trade == ANSWERING else ()
        self.process = subprocess.Popen(  # noqa: S603 - one of the two programs named above
            [sys.executable, "-m", trade],
            stdin=subprocess.PIPE,
            pass_fds=(writing, *answering),
            env=os.environ | shared.environment,
        )

    def order(self, settings: Settings, source: Source, shared: _Shared) -> None:
        """Tell it what to do; a worker that has died meanwhile is found by whoever waits for it."""
        orders = Orders(
            settings=pack(settings),
            dsn=source.worker,
            owner_dsn=source.owner if self.trade == LABOURING else "",
            socket=shared.listening,
            report=self._report_there,
            quotas=shared.quotas,
            parent=os.getpid(),
        )
        os.close(self._report_there)
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.write(msgspec.json.encode(orders))
                self.process.stdin.close()

    def is_alive(self) -> bool:
        return self.process.poll() is None


class Workforce:
    """All workers of one node; those that answer share one listening socket."""

    def __init__(self, settings: Settings, listening: int) -> None:
        """Begin the workers at once: they load the program while the database starts."""
        self._settings = settings
        self._source = Source()
        self._metrics = Places(settings.node.directory).metrics
        self._shared = _Shared(
            listening,
            (
                share_memory("clients' quotas"),
                share_memory("strangers' quotas"),
                share_memory("quotas of jobs"),
            ),
            shared_folder(self._metrics),
        )
        self._workers = [_Worker(ANSWERING, self._shared) for _ in range(settings.node.workers)]
        self._failures = 0
        self._not_before = 0.0

    def processes(self, trade: str = ANSWERING) -> tuple[int, ...]:
        """The numbers of the living workers of a trade."""
        return tuple(
            worker.process.pid
            for worker in self._workers
            if worker.trade == trade and worker.is_alive()
        )

    def start(self, source: Source, is_given_up: Callable[[], bool]) -> None:
        """Return when all that answer do, those for jobs begun; Unusable if one cannot answer."""
        self._source = source
        for worker in self._workers:
            worker.order(self._settings, source, self._shared)
        for worker in self._workers:
            self._wait(worker, is_given_up)
        # Jobs can wait: loading the program for them meanwhile would hold up the first answer.
        for _ in range(self._settings.jobs.processes):
            self._workers.append(self._begin(LABOURING))

    def revive(self) -> bool:
        """Replace workers that have died, ever more slowly if they die young; whether any had."""
        dead = [worker for worker in self._workers if not worker.is_alive()]
        if not dead or time.monotonic() < self._not_before:
            return False
        for worker in dead:
            log.error("a worker has died", extra={"exit_code": worker.process.returncode})
            is_young = time.monotonic() - worker.began < _YOUNG_SECONDS
            self._failures = self._failures + 1 if is_young else 0
            self._forget(worker)
            self._workers.append(self._begin(worker.trade))
        pause = min(2.0 ** (self._failures - 1), _PAUSE_SECONDS_MAX) if self._failures else 0.0
        self._not_before = time.monotonic() + pause
        return True

    def renew(self, is_given_up: Callable[[], bool]) -> None:
        """Replace every worker, one after the other, so that some always answer."""
        for old in list(self._workers):
            new = self._begin(old.trade)
            self._workers.append(new)
            self._wait(new, is_given_up)
            old.process.terminate()
            self._end(old, self._deadline())
            self._forget(old)

    def stop(self) -> None:
        """Ask all to end, let them finish what they have begun, and return when they are gone."""
        for worker in self._workers:
            worker.process.terminate()
        end = self._deadline()
        for worker in list(self._workers):
            self._end(worker, end)
            self._forget(worker)
        for descriptor in self._shared.quotas:
            os.close(descriptor)

    def _begin(self, trade: str) -> _Worker:
        worker = _Worker(trade, self._shared)
        worker.order(self._settings, self._source, self._shared)
        return worker

    def _wait(self, worker: _Worker, is_given_up: Callable[[], bool]) -> None:
        end = time.monotonic() + self._settings.node.start_seconds_max
        while time.monotonic() < end:
            if is_given_up():
                raise Unusable("The node was asked to stop while it was starting.")
            if select.select([worker.report], [], [], _POLL_SECONDS)[0]:
                said = os.read(worker.report, 4096)
                if said == READY:
                    return
                reason = said.decode("utf-8", "replace") or "it ended without a word: see node.log"
                raise Unusable(f"A worker could not start: {reason}")
        raise Unusable(
            "The workers were not ready in time: see node.log, or raise `node.start_seconds_max`."
        )

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.node.drain_seconds_max + _GRACE_SECONDS

    def _end(self, worker: _Worker, end: float) -> None:
        try:
            worker.process.wait(max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            log.exception("a worker did not end in time and is killed")
            worker.process.kill()
            worker.process.wait()

    def _forget(self, worker: _Worker) -> None:
        os.close(worker.report)
        forget_process(self._metrics, worker.process.pid)
        self._workers.remove(worker)
