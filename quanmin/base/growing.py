"""The files that a job makes for whoever asked: packed, encrypted under a key of this job alone.

A file grows piece by piece. How much of it counts stands in the position of the job; whatever a
killed process wrote beyond is cut off before the next piece. Each piece is packed by itself and
ends on a whole byte, so that the pieces, opened, are one gzip stream, and nothing is packed again
for whoever fetches it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal, Protocol

import msgspec

from quanmin.base.crypto import SUITES, Tampered
from quanmin.base.disk import sync_folder
from quanmin.base.jobs import Listed
from quanmin.base.problems import Conflict, Problem, StorageFull

_PIECE_BYTES: Final = 1 << 20
_LENGTH_BYTES: Final = 4
_LEVEL: Final = 1
_RAW: Final = -15  # zlib's way to say "neither header nor trailer"
_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK: Final = b"\x03\x00"
_TAIL_BYTES: Final = len(_LAST_BLOCK) + 8
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_HOUR: Final = 3_600_000_000

Listing = Literal["output", "deleted", "error"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file as far as it counts: how many lines it has, their bytes and check sum, the same
    packed, and how much of the disk.
    """

    name: str
    type: str
    listing: Listing = "output"
    count: int = 0
    plain_bytes: int = 0
    packed_bytes: int = 0
    stored_bytes: int = 0
    pieces: int = 0
    check: int = 0


class Sink(Protocol):
    """Where the files of a job are written."""

    def append(self, part: Part, lines: bytes, count: int) -> Part:
        """The part with these lines behind it, on disk; what stood behind it is cut off."""


class Vault:
    """The folder of one job."""

    def __init__(self, folder: Path, key: bytes, suite: int) -> None:
        self._folder = folder
        self._suite = SUITES[suite]
        self._key = key[: self._suite.key_bytes]

    def make(self) -> None:
        """Make the folder; the one that is there is good."""
        for folder in (self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self._folder.parent.parent)
        sync_folder(self._folder.parent)

    def remove(self) -> None:
        """Remove the folder and what is in it; without the folder nothing."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes here meanwhile. Raises Conflict when somebody does, or when the folder
        has been removed.
        """
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            raise Conflict("the files of this job have been removed") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Conflict("another process still writes the files of this job") from None
        finally:
            os.close(descriptor)

    def append(self, part: Part, lines: bytes, count: int) -> Part:
        """See `Sink`."""
        sealed: list[bytes] = []
        packed_bytes, pieces = part.packed_bytes, part.pieces
        for begin in range(0, len(lines), _PIECE_BYTES):
            packed = pack(lines[begin : begin + _PIECE_BYTES])
            one = self._suite.seal(self._key, packed, _place(part.name, pieces))
            sealed += (len(one).to_bytes(_LENGTH_BYTES, "big"), one)
            packed_bytes += len(packed)
            pieces += 1
        content = b"".join(sealed)
        write_at(self._folder / part.name, part.stored_bytes, content)
        return grown(
            part,
            lines,
            count,
            packed_bytes=packed_bytes,
            stored_bytes=part.stored_bytes + len(content),
            pieces=pieces,
        )

    def open(self, part: Part) -> IO[bytes]:
        """A file, to be read also when it is removed meanwhile. Raises FileNotFoundError."""
        return (self._folder / part.name).open("rb")

    def pieces(self, part: Part, file: IO[bytes]) -> Iterator[bytes]:
        """The packed pieces of an open file. Raises Problem where it is not whole."""
        for number in range(part.pieces):
            length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
            try:
                yield self._suite.open(self._key, file.read(length), _place(part.name, number))
            except Tampered:
                raise Problem("a file of this job is damaged: ask for it again") from None


def write_at(path: Path, place: int, content: bytes) -> None:
    """Write `content` at `place` of a file, which ends behind it and is on disk then; a file that
    begins is made.
    """
    flags = os.O_WRONLY | os.O_NOFOLLOW | (0 if place else os.O_CREAT)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        raise Conflict("the files of this job have been removed") from None
    with os.fdopen(descriptor, "wb") as file:
        if os.fstat(file.fileno()).st_size < place:
            raise Problem("a file of this job is shorter than it was: ask for it again")
        file.truncate(place)
        file.seek(place)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if not place:
        sync_folder(path.parent)


def grown(
    part: Part, lines: bytes, count: int, *, packed_bytes: int, stored_bytes: int, pieces: int
) -> Part:
    """The part with these lines behind it."""
    return msgspec.structs.replace(
        part,
        count=part.count + count,
        plain_bytes=part.plain_bytes + len(lines),
        packed_bytes=packed_bytes,
        stored_bytes=stored_bytes,
        pieces=pieces,
        check=zlib.crc32(lines, part.check),
    )


def pack(lines: bytes) -> bytes:
    """A piece of a deflate stream that ends on a whole byte and needs no other piece."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return packer.compress(lines) + packer.flush(zlib.Z_SYNC_FLUSH)


def gzip_head() -> bytes:
    """What stands before the pieces in a gzip file (RFC 1952)."""
    return _HEAD


def gzip_tail(part: Part) -> bytes:
    """What stands behind them: an empty last block, the check sum and the size."""
    size = part.plain_bytes & 0xFFFFFFFF
    return _LAST_BLOCK + part.check.to_bytes(4, "little") + size.to_bytes(4, "little")


def gzip_bytes(part: Part) -> int:
    """How long the gzip file is."""
    return len(_HEAD) + part.packed_bytes + _TAIL_BYTES


def as_gzip(part: Part, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The gzip file of these packed pieces."""
    yield _HEAD
    yield from pieces
    yield gzip_tail(part)


def as_plain(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of these packed pieces."""
    for piece in pieces:
        yield zlib.decompressobj(_RAW).decompress(piece)


class Shelf(msgspec.Struct, frozen=True):
    """Where a node keeps the files of the jobs of one kind, each job's in a folder of its number,
    for so long after its end. `has_room` says whether the disk has room for more.
    """

    folder: Path
    kept_hours: int
    has_room: Callable[[], bool] = lambda: True

    def vault(self, number: int, key: bytes, suite: int) -> Vault:
        """The files of the job with this number."""
        return Vault(self.folder / str(number), key, suite)

    def kept_until(self, job: Listed) -> int:
        """When the files of a job that has ended are removed, in microseconds."""
        return (job.ended_at or 0) + self.kept_hours * _HOUR

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What a full disk refuses meanwhile is told as StorageFull, before and after."""
        if not self.has_room():
            raise StorageFull("the node's disk is nearly full: this goes on when it has room")
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull("the node's disk is full: this goes on later") from error
            raise

    async def remove(self, number: int) -> None:
        """Remove the files of the job with this number."""
        await asyncio.to_thread(self.vault(number, b"", 1).remove)

    async def sweep(self, find: Callable[[int], Awaitable[Listed | None]], now: int) -> None:
        """Remove the files of jobs that are no more: ended, and dismissed, cancelled or kept long
        enough; or not in the register.
        """
        if not self.folder.is_dir():
            return
        for folder in sorted(self.folder.iterdir()):
            if not folder.name.isdecimal():
                continue
            job = await find(int(folder.name))
            if job is not None:
                is_unwanted = job.state == "cancelled" or job.is_cancel_asked
                if job.ended_at is None or not (is_unwanted or self.kept_until(job) < now):
                    continue
            await self.remove(int(folder.name))


def _place(name: str, number: int) -> bytes:
    return f"export {name} {number}".encode()
