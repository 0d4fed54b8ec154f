"""Pieces that wait in a file until they are worked off: packed, encrypted, on disk when they are
acknowledged, and read one by one from any place.

    "QMSP1" | suite (1 byte) | pieces: length (4 bytes, big-endian) | nonce, ciphertext, tag

Each piece is bound to its file and its place in it, and the last one is empty and says that it is
the last: what was changed, moved or cut short is found when it is read.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Final, Self

import zstandard

from quanmin.base.crypto import SUITES, Suite, Tampered, derive
from quanmin.base.disk import sync_folder
from quanmin.base.problems import NotFound, StorageFull

_MAGIC: Final = b"QMSP1"
_HEAD_BYTES: Final = len(_MAGIC) + 1
_PART: Final = ".part"
_ROOM_EVERY_BYTES: Final = 64 << 20


class Spool:
    """A folder of such files, each under a name that it gives out itself."""

    def __init__(
        self, folder: Path, secret: bytes, suite: Suite, has_room: Callable[[], bool]
    ) -> None:
        """`has_room` says whether the disk may be written to."""
        self._folder = folder
        self._secret = secret
        self._suite = suite
        self._has_room = has_room

    def create(self) -> SpoolFile:
        """A new file. Raises StorageFull."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = secrets.token_hex(16)
        return SpoolFile(self._folder, name, self._key(name, self._suite), self._suite, self.refuse)

    def refuse(self) -> None:
        """Raises StorageFull when there is no room for more."""
        if not self._has_room():
            raise _full()

    def read(self, name: str, place: int) -> tuple[bytes | None, int]:
        """The piece at a place (0: the first) and where the next is; None behind the last.

        Raises NotFound for a file that is not there, or not whole.
        """
        try:
            with (self._folder / name).open("rb") as file:
                head = file.read(_HEAD_BYTES)
                suite = SUITES.get(head[-1]) if len(head) == _HEAD_BYTES else None
                if suite is None or not head.startswith(_MAGIC):
                    raise _damaged()
                begins = place or _HEAD_BYTES
                file.seek(begins)
                length = file.read(4)
                sealed = file.read(int.from_bytes(length, "big"))
                follows = file.tell()
        except FileNotFoundError:
            raise NotFound("what was to be worked off is not on this disk any more") from None
        try:
            packed = suite.open(self._key(name, suite), sealed, begins.to_bytes(8, "big"))
        except Tampered as error:
            raise _damaged() from error
        return (zstandard.decompress(packed), follows) if packed else (None, follows)

    def remove(self, name: str) -> None:
        """Forget a file; it need not be there."""
        (self._folder / name).unlink(missing_ok=True)

    def sweep(self, kept: Collection[str], seconds_min: float) -> None:
        """Forget what is older than this and not among what is `kept`: what a crash left."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            is_old = time.time() - path.stat().st_mtime > seconds_min
            if is_old and path.name.removesuffix(_PART) not in kept:
                path.unlink(missing_ok=True)

    def _key(self, name: str, suite: Suite) -> bytes:
        # A key for each file, whose name is random: nonces stay far from their limit.
        return derive(self._secret, f"spool {name}", suite.key_bytes)


class SpoolFile:
    """A file being written, in a `with`: without `finish`, nothing stays of it."""

    def __init__(
        self, folder: Path, name: str, key: bytes, suite: Suite, refuse: Callable[[], None]
    ) -> None:
        self.name = name
        self._path = folder / name
        self._part = folder / (name + _PART)
        self._key = key
        self._suite = suite
        self._refuse = refuse
        self._looked_at = 0
        self._packer = zstandard.ZstdCompressor(level=1)
        refuse()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._file: IO[bytes] = os.fdopen(os.open(self._part, flags, 0o600), "wb")
        self._file.write(_MAGIC + bytes([suite.number]))

    def add(self, piece: bytes) -> None:
        """Append a piece. Raises StorageFull."""
        self._put(self._packer.compress(piece))
        written = self._file.tell()
        if written - self._looked_at > _ROOM_EVERY_BYTES:
            self._looked_at = written
            self._refuse()

    def _put(self, packed: bytes) -> None:
        place = self._file.tell().to_bytes(8, "big")
        sealed = self._suite.seal(self._key, packed, place)
        try:
            self._file.write(len(sealed).to_bytes(4, "big") + sealed)
        except OSError as error:
            raise _full() from error

    def finish(self) -> None:
        """Have the whole file on disk under its name. Raises StorageFull."""
        self._put(b"")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _full() from error
        self._file.close()
        self._part.rename(self._path)
        sync_folder(self._path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


def _full() -> StorageFull:
    return StorageFull(
        "the node's disk is nearly full: nothing was taken; reading goes on",
        retry_after_seconds=300,
    )


def _damaged() -> NotFound:
    return NotFound("what was to be worked off is damaged on this disk: send it again")
