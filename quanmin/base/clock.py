"""Tells the time as the store keeps it: microseconds since 1970-01-01T00:00Z, never backwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    """A clock that does not run backwards within this process.

    A wall clock that is set back would give a new version an earlier time than the one it replaces,
    and a history that contradicts itself; here time stands still until the wall has caught up. Each
    moment is given out once.
    """

    def __init__(self, wall: Callable[[], int] = time.time_ns) -> None:
        self._wall = wall
        self._last = 0
        self._lock = threading.Lock()

    def now(self) -> int:
        """Microseconds since 1970-01-01T00:00Z, later than any this clock has given before."""
        with self._lock:
            self._last = max(self._last + 1, self._wall() // 1000)
            return self._last
