"""Pieces that wait in a file until they are worked off: packed, encrypted, on disk when they are
acknowledged, and read one by one from any place.

    "QMSP1" | suite (1 byte), or suite + 64 and the root (3 bytes) | pieces: length (4 bytes,
    big-endian) | nonce, ciphertext, tag

Each piece is bound to its file and its place in it, and the last one is empty and says that it is
the last: what was changed, moved or cut short is found when it is read.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self

import zstandard

from quanmin.base.crypto import SUITES, Suite, Tampered, derive
from quanmin.base.disk import sync_folder
from quanmin.base.keys import KeysUnreadable
from quanmin.base.problems import NotFound, StorageFull
from quanmin.base.rooted import MARK_BYTES_MAX, Rooted, mark_root, rooted, split_mark

_MAGIC: Final = b"QMSP1"
_PART: Final = ".part"
_ROOM_EVERY_BYTES: Final = 64 << 20


class Spool:
    """A folder of such files, each under a name that it gives out itself."""

    def __init__(
        self, folder: Path, secret: bytes | Rooted, suite: Suite, has_room: Callable[[], bool]
    ) -> None:
        """`has_room` says whether the disk may be written to."""
        self._folder = folder
        self._secret = rooted(secret)
        self._suite = suite
        self._has_room = has_room

    def create(self) -> SpoolFile:
        """A new file. Raises StorageFull."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = secrets.token_hex(16)
        root, secret = self._secret.newest()
        head, key = mark_root(self._suite.number, root), _key(secret, name, self._suite)
        return SpoolFile(self._folder, name, key, self._suite, head, refuse=self.refuse)

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
                suite, root, head_bytes = _read_head(file)
                begins = place or head_bytes
                file.seek(begins)
                length = file.read(4)
                sealed = file.read(int.from_bytes(length, "big"))
                follows = file.tell()
        except FileNotFoundError:
            raise NotFound("what was to be worked off is not on this disk any more") from None
        try:
            key = _key(self._secret.of(root), name, suite)
            packed = suite.open(key, sealed, begins.to_bytes(8, "big"))
        except (Tampered, KeysUnreadable) as error:
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

    def size(self) -> int:
        """How many bytes its files have on the disk."""
        found = 0
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            with suppress(FileNotFoundError):
                found += path.stat().st_size
        return found


def spool_roots(folder: Path) -> list[int]:
    """The root that each file of a spool is under, also one that is being written."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError, NotFound), path.open("rb") as file:
            found.append(_read_head(file)[1])
    return found


def _key(secret: bytes, name: str, suite: Suite) -> bytes:
    # A key for each file, whose name is random: nonces stay far from their limit.
    return derive(secret, f"spool {name}", suite.key_bytes)


def _read_head(file: IO[bytes]) -> tuple[Suite, int, int]:
    """The suite of a file, its root, and where its pieces begin. Raises NotFound."""
    head = file.read(len(_MAGIC) + MARK_BYTES_MAX)
    if not head.startswith(_MAGIC) or len(head) == len(_MAGIC):
        raise _damaged()
    number, root, behind = split_mark(head[len(_MAGIC) :])
    if number not in SUITES:
        raise _damaged()
    return SUITES[number], root, len(head) - len(behind)


class SpoolFile:
    """A file being written, in a `with`: without `finish`, nothing stays of it."""

    def __init__(
        self,
        folder: Path,
        name: str,
        key: bytes,
        suite: Suite,
        head: bytes,
        *,
        refuse: Callable[[], None],
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
        self._file.write(_MAGIC + head)

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
