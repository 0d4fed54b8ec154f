"""How much of something has been used, by name, counted by all processes of a machine in one file.

It is memory that they share and that is still there after a restart. Nothing in it is spread or
sampled: of two processes that take the last at once, one is refused.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

# A name's fingerprint, the span of time that is counted, and how much was used in it.
_SLOT: Final = struct.Struct("=16sqq")
_EMPTY: Final = bytes(16)


class Usage:
    """Amounts by name and span of time; each name has the amount of its latest span alone."""

    def __init__(self, path: Path | None = None, names_max: int = 1 << 16) -> None:
        """Without a path, of this process alone. A file that is missing is made."""
        if path is None:
            self._descriptor = os.memfd_create("usage")
        else:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slots = names_max
        size = names_max * _SLOT.size
        with self._alone():
            if os.fstat(self._descriptor).st_size < size:
                os.ftruncate(self._descriptor, size)
        self._memory = mmap.mmap(self._descriptor, size)

    def take(self, name: str, span: int, number: int, most: int) -> int | None:
        """What has been used of `name` in this span, with `number` more; None, and nothing is
        counted, when that would be more than `most`.
        """
        with self._alone():
            at, key, used = self._find(name, span)
            if used + number > most:
                return None
            _SLOT.pack_into(self._memory, at, key, span, used + number)
            return used + number

    def give_back(self, name: str, span: int, number: int) -> None:
        """So much was not used after all."""
        with self._alone():
            at, key, used = self._find(name, span)
            _SLOT.pack_into(self._memory, at, key, span, max(0, used - number))

    def put(self, name: str, span: int, number: int) -> None:
        """So much has been used, whatever was counted."""
        with self._alone():
            at, key, _ = self._find(name, span)
            _SLOT.pack_into(self._memory, at, key, span, number)

    def used(self, name: str, span: int) -> int:
        """How much has been used in this span."""
        with self._alone():
            return self._find(name, span)[2]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # The system gives the lock back when a process dies with it.
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _find(self, name: str, span: int) -> tuple[int, bytes, int]:
        """The place of a name, its fingerprint, and what was used; names never leave, so that a
        place once found is found again.
        """
        key = blake2b(name.encode(), digest_size=16).digest()
        first = int.from_bytes(key[:8], "big") % self._slots
        for step in range(self._slots):
            at = (first + step) % self._slots * _SLOT.size
            held, counted, used = _SLOT.unpack_from(self._memory, at)
            if held == key:
                return at, key, used if counted == span else 0
            if held == _EMPTY:
                return at, key, 0
        # More names than places: the newest share one, and are counted together.
        return first * _SLOT.size, key, 0
