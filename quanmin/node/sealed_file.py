"""Files that only this node can read: compressed, then encrypted, each piece bound to its place.

Used for all that leaves for the backup folder. A piece that was changed, moved, repeated or left
out, and a file cut short, are found when it is read; nothing of a piece is given out before it has
been found whole.

    "QMSF1" | suite (1 byte), or suite + 64 and the root (3 bytes) | file id (16 bytes) | pieces:
    length (4 bytes, big-endian) | nonce, ciphertext, tag
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import zstandard

from quanmin.base.crypto import SUITES, Suite, Tampered, derive
from quanmin.base.disk import sync_folder
from quanmin.base.keys import KeysUnreadable
from quanmin.base.problems import Unusable
from quanmin.base.rooted import Rooted, mark_root, mark_size, rooted, split_mark

_MAGIC: Final = b"QMSF1"
_ID_BYTES: Final = 16
_PIECE_BYTES: Final = 1 << 20
_SEALED_BYTES_MAX: Final = _PIECE_BYTES + (1 << 16)


def _place(file_id: bytes, number: int, *, is_last: bool) -> bytes:
    return file_id + number.to_bytes(8, "big") + bytes([is_last])


def _file_key(secret: bytes, suite: Suite, file_id: bytes) -> bytes:
    # A key for each file: random nonces stay far from their limit however much is backed up.
    return derive(secret, f"sealed file {file_id.hex()}", suite.key_bytes)


class _Sealer(io.RawIOBase):
    """Takes compressed bytes and writes sealed pieces; the last says that it is the last."""

    def __init__(self, target: IO[bytes], secret: Rooted, suite: Suite) -> None:
        self._target = target
        self._suite = suite
        self._id = secrets.token_bytes(_ID_BYTES)
        root, of_root = secret.newest()
        self._key = _file_key(of_root, suite, self._id)
        self._held = bytearray()
        self._number = 0
        target.write(_MAGIC + mark_root(suite.number, root) + self._id)

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]  # bytes are all that arrives
        self._held += content
        while len(self._held) > _PIECE_BYTES:
            self._put(bytes(self._held[:_PIECE_BYTES]), is_last=False)
            del self._held[:_PIECE_BYTES]
        return len(content)

    def finish(self) -> None:
        self._put(bytes(self._held), is_last=True)

    def _put(self, piece: bytes, *, is_last: bool) -> None:
        place = _place(self._id, self._number, is_last=is_last)
        sealed = self._suite.seal(self._key, piece, place)
        self._target.write(len(sealed).to_bytes(4, "big") + sealed)
        self._number += 1


@contextmanager
def sealed_file(
    path: Path, secret: bytes | Rooted, suite: Suite, *, level: int
) -> Iterator[IO[bytes]]:
    """Write `path` under `secret`: on disk and whole on leaving, or not there at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            sealer = _Sealer(target, rooted(secret), suite)
            packer = zstandard.ZstdCompressor(level=level, write_checksum=True)
            with packer.stream_writer(cast("IO[bytes]", sealer), closefd=False) as writer:
                yield writer
            sealer.finish()
            target.flush()
            os.fsync(target.fileno())
        part.rename(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


class _Opener(io.RawIOBase):
    """Gives out what `_Sealer` took."""

    def __init__(self, source: IO[bytes], secret: Rooted, name: str) -> None:
        self._source = source
        self._name = name
        self._suite, root = _read_head(source, name)
        self._id = source.read(_ID_BYTES)
        if len(self._id) != _ID_BYTES:
            raise _foreign(name)
        try:
            self._key = _file_key(secret.of(root), self._suite, self._id)
        except KeysUnreadable as error:
            raise Unusable(
                f"{name} is sealed under root {root} of the node's keys, which is not there: bring"
                " it back from the copy of the keys of that time with `quanmin restore --keys"
                " FILE`; those that are there stay."
            ) from error
        self._number = 0
        self._next = self._read_piece()
        if self._next is None:  # even an empty file has a last piece
            raise self._damaged()
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]  # any buffer will do
        while not self._held and self._next is not None:
            self._held = memoryview(self._open_next())
        taken = min(len(target), len(self._held))
        target[:taken] = self._held[:taken]
        self._held = self._held[taken:]
        return taken

    def _read_piece(self) -> bytes | None:
        length = self._source.read(4)
        if not length:
            return None
        size = int.from_bytes(length, "big")
        sealed = self._source.read(size) if size <= _SEALED_BYTES_MAX else b""
        if len(length) < 4 or len(sealed) != size:
            raise self._damaged()
        return sealed

    def _open_next(self) -> bytes:
        sealed, self._next = self._next, self._read_piece()
        place = _place(self._id, self._number, is_last=self._next is None)
        self._number += 1
        try:
            return self._suite.open(self._key, sealed or b"", place)
        except Tampered as error:
            raise self._damaged() from error

    def _damaged(self) -> Unusable:
        return Unusable(
            f"{self._name} is damaged, cut short, or was sealed under another node's keys: choose "
            "another backup, or restore the keys that were in force when it was made."
        )


def root_of_file(path: Path) -> int:
    """The root that a file of `sealed_file` is under. Raises Unusable for another file."""
    with path.open("rb") as file:
        return _read_head(file, path.name)[1]


def _read_head(source: IO[bytes], name: str) -> tuple[Suite, int]:
    head = source.read(len(_MAGIC) + 1)
    if len(head) <= len(_MAGIC) or not head.startswith(_MAGIC):
        raise _foreign(name)
    number, root, _ = split_mark(head[-1:] + source.read(mark_size(head[-1]) - 1))
    if number not in SUITES:
        raise _foreign(name)
    return SUITES[number], root


def _foreign(name: str) -> Unusable:
    return Unusable(f"{name} is no sealed file of this program: choose another backup.")


class SealedReader:
    """Reads what `sealed_file` wrote; raises Unusable when that is not whole or not ours."""

    def __init__(self, path: Path, secret: bytes | Rooted) -> None:
        self._path = path
        self._secret = rooted(secret)

    def __enter__(self) -> IO[bytes]:
        self._file = self._path.open("rb")
        try:
            opener = _Opener(self._file, self._secret, self._path.name)
        except BaseException:
            self._file.close()
            raise
        return zstandard.ZstdDecompressor().stream_reader(cast("IO[bytes]", opener))

    def __exit__(self, *_: object) -> None:
        self._file.close()
