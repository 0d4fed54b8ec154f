from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from quanmin.node.backup import Base, list_bases
from quanmin.node.retention import keep_newest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "wal").mkdir()
    return tmp_path


def make(folder: Path, number: int, first_piece: str) -> None:
    base = Base(f"b{number}", number, number, "0", "18", "s", 1, 1, "", first_piece)
    (folder / "base" / f"b{number}.json").write_bytes(msgspec.json.encode(base))
    for ending in ("sealed", "node.sealed"):
        (folder / "base" / f"b{number}.{ending}").touch()


def log(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "wal" / f"{name}.sealed").touch()


def left(folder: Path) -> set[str]:
    return {path.name.removesuffix(".sealed") for path in (folder / "wal").iterdir()}


def piece(place: int, timeline: int = 1) -> str:
    return f"{timeline:08X}{place:016X}"


def test_the_newest_are_kept_with_the_log_from_the_oldest_of_them_on(folder: Path) -> None:
    for number in (1, 2, 3):
        make(folder, number, piece(number * 10))
    pieces = [piece(place) for place in range(5, 40)]
    log(folder, *pieces, f"{piece(10)}.00000028.backup", f"{piece(20)}.00000028.backup")
    removed = keep_newest(folder, 2)
    assert [base.name for base in removed.bases] == ["b1"]
    assert removed.pieces == 16
    assert [base.name for base in list_bases(folder)] == ["b2", "b3"]
    assert not list((folder / "base").glob("b1*"))
    assert left(folder) == {*pieces[15:], f"{piece(20)}.00000028.backup"}


@pytest.mark.parametrize("count", [-1, 0, 1])
def test_the_last_one_is_never_removed(folder: Path, count: int) -> None:
    make(folder, 1, piece(10))
    make(folder, 2, piece(20))
    keep_newest(folder, count)
    assert [base.name for base in list_bases(folder)] == ["b2"]


def test_after_a_restore_to_earlier_the_log_of_the_new_timeline_is_kept(folder: Path) -> None:
    make(folder, 1, piece(50))
    make(folder, 2, piece(20, timeline=2))
    log(folder, "00000002.history", piece(19), piece(20), piece(50), piece(21, timeline=2))
    assert keep_newest(folder, 2).pieces == 1
    assert left(folder) == {"00000002.history", piece(20), piece(50), piece(21, timeline=2)}


def test_no_log_is_removed_while_a_backup_is_kept_whose_beginning_is_unknown(folder: Path) -> None:
    make(folder, 1, "")
    make(folder, 2, piece(20))
    log(folder, piece(1))
    assert keep_newest(folder, 2).pieces == 0
    assert keep_newest(folder, 1).pieces == 1


def test_foreign_files_in_the_backup_folder_are_left_alone(folder: Path) -> None:
    make(folder, 1, piece(10))
    log(folder, "notes", "0")
    assert keep_newest(folder, 1).pieces == 0
