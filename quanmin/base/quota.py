"""What each client may spend, counted for all workers of a node together.

The levels stand in a piece of memory that the workers share: which of them accepts a connection is
chance, so a quota for each would be one to as many times the number that the operator wrote.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable
from hashlib import blake2b
from math import ceil
from typing import Final

import msgspec

from quanmin.base.problems import Sentence, TooMany

# A name's fingerprint, what is left to spend, and when that was so.
_SLOT: Final = struct.Struct("=16sdd")
# A name may stand in any slot of its row; the one that was spent from longest ago makes room.
_ROW_SLOTS: Final = 8
_ROW_BYTES: Final = _ROW_SLOTS * _SLOT.size


def share_memory(name: str) -> int:
    """A descriptor of memory that processes inheriting it share; it goes with the last of them."""
    return os.memfd_create(name)


class Quota:
    """A token bucket for each client, by name; about `clients_max` are remembered.

    With `memory`, a descriptor of `share_memory`, all processes that hold it count together; all of
    them must give the same `clients_max`.
    """

    def __init__(
        self,
        per_second: float,
        burst: float,
        clients_max: int,
        memory: int | None = None,
        now: Callable[[], float] = time.monotonic,
        *,
        what: str = "requests a second for one client",
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._rows = ceil(clients_max / _ROW_SLOTS)
        self._now = now  # the same in all processes of a machine
        self._what = what
        self._descriptor = share_memory("quota") if memory is None else memory
        os.ftruncate(self._descriptor, self._rows * _ROW_BYTES)
        self._levels = mmap.mmap(self._descriptor, self._rows * _ROW_BYTES)

    def spend(self, client: str) -> None:
        """Take one request from the client's quota; TooMany says when there will be one again."""
        name = blake2b(client.encode(), digest_size=16).digest()
        start = int.from_bytes(name[:8], "big") % self._rows * _ROW_BYTES
        # The system gives the lock back when a process dies with it. Two calls cost a microsecond.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _ROW_BYTES, start)
        try:
            level = self._spend(name, start)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _ROW_BYTES, start)
        if level < 0:
            seconds = max(1, ceil(-level / self._per_second))
            raise TooMany(
                Sentence(
                    "over the quota of %(per_second)s %(what)s; wait %(seconds)s s",
                    per_second=format(self._per_second, "g"),
                    what=self._what,
                    seconds=seconds,
                ),
                retry_after_seconds=seconds,
            )

    def _spend(self, name: bytes, start: int) -> float:
        """What is left after this request; below zero, by as much as is missing, when refused."""
        now = self._now()
        at, level, filled_at = self._find(name, start, now)
        level = min(self._burst, level + (now - filled_at) * self._per_second)
        left = level - 1
        _SLOT.pack_into(self._levels, at, name, left if left >= 0 else level, now)
        return left

    def _find(self, name: bytes, start: int, now: float) -> tuple[int, float, float]:
        oldest, oldest_at = start, float("inf")
        for at in range(start, start + _ROW_BYTES, _SLOT.size):
            held, level, filled_at = _SLOT.unpack_from(self._levels, at)
            if held == name:
                return at, level, filled_at
            if filled_at < oldest_at:
                oldest, oldest_at = at, filled_at
        return oldest, self._burst, now


class Pace(msgspec.Struct, frozen=True):
    """How often may be asked: whoever is known by their name, everybody else by where they are."""

    known: Quota
    strangers: Quota
