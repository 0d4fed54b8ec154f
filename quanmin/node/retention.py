"""Removes the oldest backups, and the pieces of the log that none of those left needs.

Nothing is removed but right after a new backup has been made and read back whole, so that a good
one is always there. A backup needs the log from where it began; where that is not known, since an
older version of the program made it, no piece of the log is removed while it is kept.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from quanmin.node.archive import SUFFIX
from quanmin.node.backup import Base, base_folder, list_bases, log_folder

# A piece's name is its timeline, eight digits, and its place in the log, sixteen. The place alone
# is compared: after a restore the log goes on under a new timeline from an earlier place.
_PIECE: Final = re.compile(r"[0-9A-F]{8}([0-9A-F]{16})(?:\.[0-9A-F]{8}\.backup|\.partial)?")


class Removed(msgspec.Struct, frozen=True):
    """What was removed."""

    bases: tuple[Base, ...] = ()
    pieces: int = 0


def keep_newest(directory: Path, count: int) -> Removed:
    """Leave the newest `count` backups (one at least), and the log from the oldest of them on."""
    bases = list_bases(directory)
    kept = bases[-max(count, 1) :]
    old = tuple(bases[: len(bases) - len(kept)])
    for base in old:
        _remove(base_folder(directory), base)
    return Removed(old, _remove_pieces(log_folder(directory), kept))


def _remove(folder: Path, base: Base) -> None:
    # What it is made of goes before what names it: stopped in the middle, the next time goes on.
    for name in (f"{base.name}{SUFFIX}", f"{base.name}.node{SUFFIX}", f"{base.name}.json"):
        (folder / name).unlink(missing_ok=True)


def _remove_pieces(folder: Path, kept: list[Base]) -> int:
    if not kept or not all(_place(base.first_piece) for base in kept):
        return 0
    needed_from = min(_place(base.first_piece) for base in kept)
    old = [
        path
        for path in folder.glob(f"*{SUFFIX}")
        if "" < _place(path.name.removesuffix(SUFFIX)) < needed_from
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _place(piece: str) -> str:
    """A piece's place in the log; empty for what has none, such as a timeline's history."""
    found = _PIECE.fullmatch(piece)
    return found[1] if found else ""
