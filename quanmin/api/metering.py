"""Numbers about the door for Prometheus; labels name interactions and statuses, no more.

With several workers, each would know only its own share: when the environment variable
`PROMETHEUS_MULTIPROC_DIR` names a folder (set before this program starts), they count in files
there, and whichever worker is asked answers for all. What a worker has counted stays counted when
it dies; what it did at that moment does not, see `forget_process`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)


_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def shared_folder(folder: Path) -> dict[str, str]:
    """An empty folder for the numbers of all workers, as the environment tells them of it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.glob("*.db"):
        left.unlink()
    return {_FOLDER: str(folder)}


def forget_process(folder: Path, process: int) -> None:
    """A worker has ended: it runs nothing now; what it counted stays."""
    for path in folder.glob(f"gauge_live*_{process}.db"):
        path.unlink(missing_ok=True)


class Meters:
    """What the door counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "quanmin_request_seconds",
            "How long requests took, by interaction and status",
            ("interaction", "status"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._received = Counter(
            "quanmin_request_bytes",
            "Bytes of request bodies, unpacked, by interaction",
            ("interaction",),
            registry=self._registry,
        )
        self._sent = Counter(
            "quanmin_response_bytes",
            "Bytes of response bodies as sent, by interaction",
            ("interaction",),
            registry=self._registry,
        )
        self._running = Gauge(
            "quanmin_requests_running",
            "Requests that run now",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "quanmin_requests_waiting",
            "Requests that wait for a place",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._is_one_of_several = _FOLDER in os.environ
        self._shown = -1, -1
        # A labelled child costs a lock and a lookup each time; there are few, so they are kept.
        self._timers: dict[tuple[str, int], Histogram] = {}
        self._outputs: dict[str, Counter] = {}

    def count(
        self, interaction: str, status: int, *, seconds: float, received: int, sent: int
    ) -> None:
        """One request has been answered."""
        timer = self._timers.get((interaction, status))
        if timer is None:
            timer = self._seconds.labels(interaction, str(status))
            self._timers[interaction, status] = timer
        timer.observe(seconds)
        if received:
            self._received.labels(interaction).inc(received)
        output = self._outputs.get(interaction)
        if output is None:
            output = self._outputs[interaction] = self._sent.labels(interaction)
        output.inc(sent)

    def show(self, *, running: int, waiting: int) -> None:
        """Tell the other workers what this one does, since any of them may be asked."""
        if not self._is_one_of_several:
            return
        shown_running, shown_waiting = self._shown
        if running != shown_running:
            self._running.set(running)
        if waiting != shown_waiting:
            self._waiting.set(waiting)
        self._shown = running, waiting

    def write(self, *, running: int, waiting: int) -> bytes:
        """All numbers in the Prometheus text format."""
        self._running.set(running)
        self._waiting.set(waiting)
        if not self._is_one_of_several:
            return generate_latest(self._registry)
        of_all_workers = CollectorRegistry()
        MultiProcessCollector(of_all_workers)  # type: ignore[no-untyped-call]  # the library's own
        return generate_latest(of_all_workers)
