"""What the log had grown to, written down outside the database: who changes the database by hand
finds no head there to change with it.

Heads are appended after their commit, so that one that is here was in the database; one that a
crash kept from coming here is in the database, signed. Each minute a checkpoint says the same of
all lanes at once; heads go after a day, and should have been verified by then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from quanmin.base.disk import sync_folder
from quanmin.trust.log.notary import Checkpoint, Head, Restored

_HEADS: Final = "heads-"
_CHECKPOINTS: Final = "checkpoints-"
_RESTORED: Final = "restored-"
_ADOPTED: Final = "adopted"
_SUFFIX: Final = ".ndjson"


class Witness:
    """The files of one node; several processes may append at once."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made, for its owner only, when it is not there."""
        self.folder = folder
        self._open: dict[str, tuple[str, int]] = {}
        self._kept: int | None = None

    def note(self, head: Head) -> None:
        """Append a head that has been committed."""
        self._append(_HEADS, f"{when(head.at):%Y%m%dT%H}", head)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Append a checkpoint that has been committed, and have it and all heads on disk."""
        for _, descriptor in self._open.values():
            os.fsync(descriptor)
        descriptor = self._append(_CHECKPOINTS, f"{when(checkpoint.at):%Y%m}", checkpoint)
        os.fsync(descriptor)
        sync_folder(self.folder)
        self._kept = checkpoint.number

    def newest_checkpoint(self) -> int | None:
        """The number of the last checkpoint that was kept here, by this process or, when it has
        kept none yet, by any; None when there is none.
        """
        if self._kept is None:
            newest = self._files(_CHECKPOINTS)[-1:]
            self._kept = max((one.number for one in self._read(newest, Checkpoint)), default=None)
        return self._kept

    @property
    def has_adopted(self) -> bool:
        """Whether all that was written before there were trees has its place in one. Then nothing
        more may be adopted: it would have been put there since.
        """
        return (self.folder / _ADOPTED).exists()

    def end_adoption(self) -> None:
        """From now on nothing is adopted any more."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / _ADOPTED).touch(mode=0o600)
        sync_folder(self.folder)

    def forget_heads(self, before: int) -> None:
        """Remove the files of heads of whole hours that ended before this moment."""
        oldest = f"{_HEADS}{when(before):%Y%m%dT%H}{_SUFFIX}"
        for path in self.folder.glob(f"{_HEADS}*{_SUFFIX}"):
            if path.name < oldest:
                path.unlink(missing_ok=True)

    def heads(self) -> Iterator[Head]:
        """The heads that are kept. A line that was torn by a crash says nothing."""
        return self._read(self._files(_HEADS), Head)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """The checkpoints, in the order in which they were written."""
        return self._read(self._files(_CHECKPOINTS), Checkpoint)

    def keep_restored(self, restored: Restored) -> None:
        """Append a restore that has been written down, and have it on disk."""
        os.fsync(self._append(_RESTORED, "all", restored))
        sync_folder(self.folder)

    def restored(self) -> Iterator[Restored]:
        """The restores that were written down."""
        return self._read(self._files(_RESTORED), Restored)

    def _append(self, kind: str, part: str, content: Head | Checkpoint | Restored) -> int:
        known = self._open.get(kind)
        if known is None or known[0] != part:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.folder / f"{kind}{part}{_SUFFIX}", flags, 0o600)
            if known is not None:
                os.close(known[1])
            self._open[kind] = known = (part, descriptor)
        # One write in append mode goes to the end as a whole, whoever else writes. A line that the
        # one before it did not end, because its writer was killed, would be lost with it.
        os.write(known[1], b"\n" + msgspec.json.encode(content) + b"\n")
        return known[1]

    def _files(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"{kind}*{_SUFFIX}"))

    def _read(self, files: Sequence[Path], type_: Any) -> Iterator[Any]:
        decoder = msgspec.json.Decoder(type_)
        for path in files:
            try:
                with path.open("rb") as file:
                    for line in file:
                        if line.strip():
                            try:
                                yield decoder.decode(line)
                            except msgspec.DecodeError:
                                continue
            except FileNotFoundError:
                continue  # it was removed between the listing and the reading


def when(moment: int) -> datetime:
    """A moment in UTC."""
    return datetime.fromtimestamp(moment // 1_000_000, UTC)
