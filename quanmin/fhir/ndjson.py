"""Cuts newline-delimited JSON into pieces of whole lines, from chunks of any size.

Pure; a line that is too long costs no more memory than its limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

_MARK: Final = b"\xef\xbb\xbf"  # what some programs on Windows begin a file of UTF-8 with


class Lines(msgspec.Struct, frozen=True, array_like=True):
    """Lines that are not empty, each with its number from 1; `too_long` are numbers of those that
    were left out. `end` is how many lines the file has had so far.
    """

    bodies: tuple[bytes, ...]
    numbers: tuple[int, ...]
    too_long: tuple[int, ...]
    end: int


class LineCutter:
    """Gathers lines until a piece has enough of them, or of their bytes."""

    def __init__(self, *, entries_max: int, bytes_max: int, line_bytes_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._line_bytes_max = line_bytes_max
        self._rest = bytearray()
        self._is_skipping = False
        self._bodies: list[bytes] = []
        self._numbers: list[int] = []
        self._too_long: list[int] = []
        self._bytes = 0
        self.end = 0

    def feed(self, chunk: bytes) -> Iterator[Lines]:
        """The pieces that are full with this chunk."""
        start = 0
        while (place := chunk.find(b"\n", start)) >= 0:
            self._take(chunk[start:place], is_whole=True)
            start = place + 1
            if len(self._bodies) >= self._entries_max or self._bytes >= self._bytes_max:
                yield self._piece()
        self._take(chunk[start:], is_whole=False)

    def finish(self) -> Iterator[Lines]:
        """What is left at the end of the file; the last line needs no newline."""
        if self._rest or self._is_skipping:
            self._take(b"", is_whole=True)
        if self._bodies or self._too_long:
            yield self._piece()

    def _take(self, part: bytes, *, is_whole: bool) -> None:
        if not self._is_skipping:
            self._rest += part
            if len(self._rest) > self._line_bytes_max:
                self._is_skipping = True
                self._rest.clear()
        if not is_whole:
            return
        self.end += 1
        if self._is_skipping:
            self._too_long.append(self.end)
            self._is_skipping = False
        elif body := bytes(self._rest).removeprefix(_MARK if self.end == 1 else b"").strip():
            self._bodies.append(body)
            self._numbers.append(self.end)
            self._bytes += len(body)
        self._rest.clear()

    def _piece(self) -> Lines:
        piece = Lines(tuple(self._bodies), tuple(self._numbers), tuple(self._too_long), self.end)
        self._bodies, self._numbers, self._too_long, self._bytes = [], [], [], 0
        return piece
