"""The worker processes of a node: started, counted, revived, renewed one by one, and let finish."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from quanmin.base.problems import Unusable
from quanmin.node.settings import Settings, pack
from quanmin.node.worker import READY, Orders

log = logging.getLogger("quanmin.node")

_PAUSE_SECONDS_MAX: Final = 30.0
_YOUNG_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1


class _Worker:
    """One process, and the end of the pipe on which it reports."""

    def __init__(self, process: subprocess.Popen[bytes], report: int) -> None:
        self.process = process
        self.report = report
        self.began = time.monotonic()

    def is_alive(self) -> bool:
        return self.process.poll() is None


class Workforce:
    """All workers of one node; they share one listening socket."""

    def __init__(self, settings: Settings, dsn: str, listening: int) -> None:
        self._settings = settings
        self._dsn = dsn
        self._listening = listening
        self._workers: list[_Worker] = []
        self._failures = 0
        self._not_before = 0.0

    def processes(self) -> tuple[int, ...]:
        """The numbers of the living workers."""
        return tuple(worker.process.pid for worker in self._workers if worker.is_alive())

    def start(self, is_given_up: Callable[[], bool]) -> None:
        """Start all workers at once, return when each answers; raises Unusable if one cannot."""
        self._workers = [self._begin() for _ in range(self._settings.node.workers)]
        for worker in self._workers:
            self._wait(worker, is_given_up)

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
            self._workers.append(self._begin())
        pause = min(2.0 ** (self._failures - 1), _PAUSE_SECONDS_MAX) if self._failures else 0.0
        self._not_before = time.monotonic() + pause
        return True

    def renew(self, is_given_up: Callable[[], bool]) -> None:
        """Replace every worker, one after the other, so that some always answer."""
        for old in list(self._workers):
            new = self._begin()
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

    def _begin(self) -> _Worker:
        reading, writing = os.pipe()
        orders = Orders(pack(self._settings), self._dsn, self._listening, writing, os.getpid())
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "quanmin.node.worker"],
                stdin=subprocess.PIPE,
                pass_fds=(self._listening, writing),
            )
        finally:
            os.close(writing)
        if process.stdin is None:
            raise RuntimeError
        try:
            process.stdin.write(msgspec.json.encode(orders))
            process.stdin.close()
        except BrokenPipeError:
            log.exception("a worker ended before it was told anything")
        return _Worker(process, reading)

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
        self._workers.remove(worker)
