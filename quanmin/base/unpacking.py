"""Unpacks gzip from chunks of any size into chunks of a bounded one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from quanmin.base.problems import Malformed

_GZIP_WINDOW: Final = 31  # zlib's way to say "a gzip member, not a bare stream"
_CHUNK_BYTES: Final = 1 << 20


class Gunzip:
    """One gzip file, of one or several members."""

    def __init__(self) -> None:
        self._unpack = zlib.decompressobj(_GZIP_WINDOW)

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """What these bytes hold, a mebibyte at most at a time. Raises Malformed."""
        while packed:
            if self._unpack.eof:
                self._unpack = zlib.decompressobj(_GZIP_WINDOW)
            try:
                plain = self._unpack.decompress(packed, _CHUNK_BYTES)
            except zlib.error:
                raise Malformed("the file is not gzip, as is said of it") from None
            packed = self._unpack.unused_data if self._unpack.eof else self._unpack.unconsumed_tail
            if plain:
                yield plain

    def finish(self) -> None:
        """Raises Malformed for a file that was cut short."""
        if not self._unpack.eof:
            raise Malformed("the gzip file ends too early: it was not copied whole")
