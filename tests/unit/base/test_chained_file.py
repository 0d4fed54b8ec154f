"""A file that only grows tells what was done to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quanmin.base.chained_file import Broken, ChainedFile, bring_together, copy_over

KEY = bytes(range(32))
Change = Callable[[list[bytes]], list[bytes]]


def opened(path: Path) -> ChainedFile:
    return ChainedFile(path, KEY)


def contents(file: ChainedFile) -> list[bytes]:
    return [entry.content for entry in file.read()]


def test_what_was_appended_is_read_in_order_by_others(tmp_path: Path) -> None:
    file = opened(tmp_path / "file")
    assert contents(file) == []
    first = b"what stands in the first"
    ends = file.append([first, b"two"]) + opened(file.path).append([b"three"]) + file.append([b""])
    assert contents(opened(file.path)) == [first, b"two", b"three", b""]
    assert [entry.end for entry in file.read()] == ends
    assert file.end() == ends[-1]
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert first not in file.content()


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [lines[0], b"A" + lines[1][1:], *lines[2:]],
        lambda lines: [lines[0], lines[1] + lines[2]],
        lambda lines: [*lines, b"no entry"],
    ],
)
def test_an_entry_changed_removed_inserted_or_moved_is_found(
    tmp_path: Path, change: Change
) -> None:
    file = opened(tmp_path / "file")
    file.append([b"one", b"two", b"three"])
    lines = change(file.content().split(b"\n")[:-1])
    file.path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(Broken, match="not as it was written from entry"):
        opened(file.path).read()


def test_an_entry_of_another_key_is_none(tmp_path: Path) -> None:
    ChainedFile(tmp_path / "file", bytes(32)).append([b"one"])
    with pytest.raises(Broken, match="entry 1"):
        opened(tmp_path / "file").read()


def test_what_a_crash_left_half_written_is_cut_off(tmp_path: Path) -> None:
    file = opened(tmp_path / "file")
    file.append([b"one"])
    whole = file.content()
    file.path.write_bytes(whole + whole[:7])
    assert contents(file) == [b"one"]
    opened(file.path).append([b"two"])
    assert contents(opened(file.path)) == [b"one", b"two"]


def test_all_that_append_at_once_are_kept(tmp_path: Path) -> None:
    files = [opened(tmp_path / "file") for _ in range(4)]

    def fill(number: int) -> None:
        for place in range(25):
            files[number].append([b"%d %d" % (number, place)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(4)))
    assert len(set(contents(files[0]))) == 100


def test_two_copies_that_went_apart_are_brought_together(tmp_path: Path) -> None:
    own, other = opened(tmp_path / "own"), opened(tmp_path / "other")
    own.append([b"one"])
    assert copy_over(own, other.path)
    assert not copy_over(own, other.path)
    own.append([b"two"])
    opened(other.path).append([b"three"])
    assert bring_together(own, opened(other.path)) == 1
    assert copy_over(own, other.path)
    assert contents(own) == contents(opened(other.path)) == [b"one", b"two", b"three"]
    assert bring_together(own, opened(other.path)) == 0


def test_a_lost_file_comes_back_from_its_copy(tmp_path: Path) -> None:
    other = opened(tmp_path / "other")
    other.append([b"one", b"two"])
    own = opened(tmp_path / "own")
    assert bring_together(own, other) == 2
    assert contents(own) == [b"one", b"two"]
