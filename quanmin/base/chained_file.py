"""A file that only grows: sealed entries, a line each, every one bound to the one before.

An entry that was changed, removed, inserted or moved is found when the file is read. What a crash
left half-written at the end was never promised, and is cut off by whoever writes next. That the
last entries are missing the file alone cannot tell: whoever keeps it knows how long it was.
"""

from __future__ import annotations

import binascii
import fcntl
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from quanmin.base.crypto import TAG_BYTES, International, Tampered
from quanmin.base.disk import replace_on_disk, sync_folder
from quanmin.base.rooted import Rooted, rooted

_PLACE: Final = b"chained file 1"


class Broken(Exception):  # noqa: N818 - names the finding
    """The file is not as it was written; the text says from which entry on."""


class ChainedEntry(msgspec.Struct, frozen=True):
    """What was written, and where in the file it ends."""

    content: bytes
    end: int


class _End(msgspec.Struct, frozen=True):
    """How far which file has been read, and the tag of the entry that ends there."""

    at: int = 0
    tag: bytes = b""
    inode: int = 0


class ChainedFile:
    """One such file, which need not exist yet. Any number of processes may append at once."""

    def __init__(self, path: Path, key: bytes | Rooted) -> None:
        """`key` has 32 bytes."""
        self.path = path
        self._key = rooted(key)
        self._suite = International()
        self._end = _End()

    def append(self, contents: Sequence[bytes]) -> list[int]:
        """Write entries; they are on disk when this returns. Gives where each ends.

        Raises Broken where the last entry cannot be read, OSError when it cannot be written.
        """
        with self._held() as file:
            last = self._find_end(file)
            written, ends, tag = self._sealed(contents, last.tag)
            os.ftruncate(file, last.at)
            os.pwrite(file, written, last.at)
            os.fsync(file)
            self._end = _End(last.at + len(written), tag, last.inode)
        return [last.at + end for end in ends]

    def _sealed(self, contents: Sequence[bytes], tag: bytes) -> tuple[bytes, list[int], bytes]:
        """Lines for entries behind the one with this tag, where each ends, and the last's tag."""
        written, ends, key = bytearray(), [], self._key.newest()[1]
        for each in contents:
            sealed = self._suite.seal(key, each, _PLACE + tag)
            tag = sealed[-TAG_BYTES:]
            written += b64encode(sealed) + b"\n"
            ends.append(len(written))
        return bytes(written), ends, tag

    def seal_anew(self) -> int:
        """Have every entry under the key of the newest root; gives how many were not. Each ends
        where it did, and whoever appends meanwhile does so behind them. Raises Broken.
        """
        with self._held():
            older = self.count_older()
            if older:
                written, _, _ = self._sealed([entry.content for entry in self.read()], b"")
                replace_on_disk(self.path, written)
        return older

    def count_older(self) -> int:
        """How many entries are not under the key of the newest root. Raises Broken."""
        return sum(is_older for _, is_older in self._opened())

    def read(self) -> list[ChainedEntry]:
        """Every entry there is, in order; none where there is no file. Raises Broken."""
        return [entry for entry, _ in self._opened()]

    def _opened(self) -> Iterator[tuple[ChainedEntry, bool]]:
        """Every entry, and whether it is under another key than that of the newest root."""
        tag, end, keys = b"", 0, self._key.all()
        for number, line in enumerate(_lines(self.content()), 1):
            end += len(line) + 1
            try:
                sealed = _decode(line)
                plain, is_older = self._open(keys, sealed, _PLACE + tag)
            except Tampered:
                place = f"entry {number}"
                raise Broken(f"{self.path} is not as it was written from {place} on") from None
            tag = sealed[-TAG_BYTES:]
            yield ChainedEntry(plain, end), is_older

    def _open(self, keys: Sequence[bytes], sealed: bytes, place: bytes) -> tuple[bytes, bool]:
        for key in keys:
            with suppress(Tampered):
                return self._suite.open(key, sealed, place), key is not keys[0]
        raise Tampered

    def end(self) -> int:
        """Where the last whole entry ends; nothing is opened."""
        return self.content().rfind(b"\n") + 1

    def content(self) -> bytes:
        """The bytes of the file, empty where there is none."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def _find_end(self, file: int) -> _End:
        """The end of the last whole entry, read on from where this process knows the file."""
        seen = os.fstat(file)
        size, is_same = seen.st_size, seen.st_ino == self._end.inode
        known = self._end if is_same and self._end.at <= size else _End(inode=seen.st_ino)
        lines = _lines(os.pread(file, size - known.at, known.at))
        if not lines:
            return known
        try:
            tag = _decode(lines[-1])[-TAG_BYTES:]
        except Tampered:
            raise Broken(f"the last entry of {self.path} is not as it was written") from None
        return _End(known.at + sum(map(len, lines)) + len(lines), tag, known.inode)

    @contextmanager
    def _held(self) -> Iterator[int]:
        is_new = not self.path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            file = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # Who waited may have waited for a file in whose place another has come.
                if os.fstat(file).st_ino != self.path.stat().st_ino:
                    continue
                if is_new:
                    sync_folder(self.path.parent)
                yield file
                return
            finally:
                os.close(file)


def bring_together(own: ChainedFile, other: ChainedFile) -> int:
    """Add to our own file what only the other one has; gives how many entries. Raises Broken."""
    if own.content().startswith(other.content()):
        return 0
    known = {entry.content for entry in own.read()}
    missing = [entry.content for entry in other.read() if entry.content not in known]
    if missing:
        own.append(missing)
    return len(missing)


def copy_over(own: ChainedFile, other: Path) -> bool:
    """Make another file the same as ours, unless it is so already; whether it was not.

    Whoever calls this has brought the two together before.
    """
    content = own.content()
    if not content or (other.exists() and other.read_bytes() == content):
        return False
    replace_on_disk(other, content)
    return True


def _lines(content: bytes) -> list[bytes]:
    """The whole lines; what follows the last line's end is none."""
    return content.split(b"\n")[:-1]


def _decode(line: bytes) -> bytes:
    try:
        sealed = b64decode(line, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Tampered from error
    if len(sealed) < TAG_BYTES:
        raise Tampered
    return sealed
