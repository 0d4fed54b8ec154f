"""Pieces come back as they went in, and what is not whole is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from quanmin.base.crypto import suite_named
from quanmin.base.problems import NotFound, StorageFull
from quanmin.base.spool import Spool

SECRET = b"s" * 32
PIECES = [b"one" * 1000, b"", b"three"]


def open_spool(folder: Path, *, has_room: bool = True, suite: str = "international") -> Spool:
    return Spool(folder / "spool", SECRET, suite_named(suite), lambda: has_room)


def filled(spool: Spool) -> str:
    with spool.create() as file:
        for piece in PIECES:
            file.add(piece)
        file.finish()
    return file.name


def read(spool: Spool, name: str) -> list[bytes]:
    found: list[bytes] = []
    place = 0
    while True:
        piece, place = spool.read(name, place)
        if piece is None:
            return found
        found.append(piece)


@pytest.mark.parametrize("suite", ["international", "gm"])
def test_pieces_are_read_as_they_were_written_and_from_any_place(
    tmp_path: Path, suite: str
) -> None:
    spool = open_spool(tmp_path, suite=suite)
    name = filled(spool)
    # Another suite in force does not matter to what is there.
    assert read(open_spool(tmp_path), name) == PIECES
    _, second = spool.read(name, 0)
    _, third = spool.read(name, second)
    assert spool.read(name, third)[0] == b"three"
    content = (tmp_path / "spool" / name).read_bytes()
    assert b"oneone" not in content
    assert (tmp_path / "spool" / name).stat().st_mode & 0o077 == 0


def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    with spool.create() as file:
        file.add(b"x")
    assert [*(tmp_path / "spool").iterdir()] == []
    with pytest.raises(NotFound):
        spool.read(file.name, 0)


@pytest.mark.parametrize("damage", ["changed", "cut", "moved", "renamed", "no spool"])
def test_what_is_not_as_it_was_written_is_not_read(tmp_path: Path, damage: str) -> None:
    spool = open_spool(tmp_path)
    name = filled(spool)
    path = tmp_path / "spool" / name
    content = bytearray(path.read_bytes())
    if damage == "changed":
        content[40] ^= 1
    elif damage == "cut":
        del content[-5:]
    elif damage == "moved":
        del content[6:10]
    elif damage == "no spool":
        content[:5] = b"QMSF1"
    elif damage == "renamed":
        name = "0" * 32
        path = tmp_path / "spool" / name
    path.write_bytes(content)
    with pytest.raises(NotFound):
        read(spool, name)


def test_without_room_nothing_is_begun(tmp_path: Path) -> None:
    with pytest.raises(StorageFull):
        open_spool(tmp_path, has_room=False).create()
    assert [*(tmp_path / "spool").iterdir()] == []


def test_what_nobody_needs_is_swept_away_when_it_is_old(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    kept, left = filled(spool), filled(spool)
    spool.sweep({kept}, 3600)
    assert read(spool, left) == PIECES
    spool.sweep({kept}, -1)
    assert read(spool, kept) == PIECES
    with pytest.raises(NotFound):
        spool.read(left, 0)
    spool.remove(kept)
    spool.remove(kept)
    assert [*(tmp_path / "spool").iterdir()] == []
