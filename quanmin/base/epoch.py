"""A number that all processes of a machine see and any of them raises: what one of them has taken
back is believed by none of them any more, without their asking anybody.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import Final

_NUMBER: Final = struct.Struct("=Q")


class Epoch:
    """A number in a file of memory that processes share; without a file, of this process alone."""

    def __init__(self, path: Path | None = None) -> None:
        """The file is made when it is missing."""
        if path is None:
            self._descriptor = os.memfd_create("epoch")
        else:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            if os.fstat(self._descriptor).st_size < _NUMBER.size:
                os.ftruncate(self._descriptor, _NUMBER.size)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        self._memory = mmap.mmap(self._descriptor, _NUMBER.size)

    @property
    def number(self) -> int:
        """The number at this moment."""
        return int(_NUMBER.unpack_from(self._memory)[0])

    def advance(self) -> None:
        """Raise the number: when this returns, every process sees another than before."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            _NUMBER.pack_into(self._memory, 0, self.number + 1)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
