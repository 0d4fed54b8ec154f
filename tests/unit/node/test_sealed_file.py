"""A sealed file is whole and ours, or it is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from quanmin.base.crypto import SUITES
from quanmin.base.problems import Unusable
from quanmin.node.sealed_file import SealedReader, sealed_file

SECRET = b"s" * 32
CONTENT = random.Random(1).randbytes(3_500_000)  # noqa: S311 - does not shrink: four pieces


@pytest.fixture(params=sorted(SUITES))
def sealed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "file"
    with sealed_file(path, SECRET, SUITES[request.param], level=1) as target:
        for start in range(0, len(CONTENT), 70_000):
            target.write(CONTENT[start : start + 70_000])
    return path


def read(path: Path, secret: bytes = SECRET) -> bytes:
    with SealedReader(path, secret) as source:
        return source.read()


def test_what_was_written_comes_back(sealed: Path) -> None:
    assert read(sealed) == CONTENT


def test_an_empty_file_comes_back(tmp_path: Path) -> None:
    with sealed_file(tmp_path / "empty", SECRET, SUITES[1], level=1):
        pass
    assert read(tmp_path / "empty") == b""


def test_nothing_of_the_content_can_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with sealed_file(path, SECRET, SUITES[1], level=1) as target:
        target.write(b"secret " * 1000)
    assert b"secret" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_other_keys_open_nothing(sealed: Path) -> None:
    with pytest.raises(Unusable, match="another node's keys"):
        read(sealed, b"t" * 32)


@pytest.mark.parametrize("place", [0, 4, 5, 10, 24, 40, 2_000_000, -1])
def test_one_changed_byte_is_found(sealed: Path, place: int) -> None:
    content = bytearray(sealed.read_bytes())
    content[place] ^= 1
    sealed.write_bytes(content)
    with pytest.raises(Unusable):
        read(sealed)


@pytest.mark.parametrize("kept", [0, 3, 21, 22, 30, 1_100_000, 3_000_000, -1])
def test_a_file_cut_short_is_found(sealed: Path, kept: int) -> None:
    sealed.write_bytes(sealed.read_bytes()[:kept])
    with pytest.raises(Unusable):
        read(sealed)


def pieces(content: bytes) -> list[bytes]:
    found, at = [], 22
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "big")
        found.append(content[at:end])
        at = end
    return found


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 2, 3], [0, 1, 1, 2, 3], [0, 1, 2], [3]])
def test_pieces_moved_repeated_or_left_out_are_found(sealed: Path, order: list[int]) -> None:
    content = sealed.read_bytes()
    cut = pieces(content)
    assert len(cut) == 4
    sealed.write_bytes(content[:22] + b"".join(cut[number] for number in order))
    with pytest.raises(Unusable):
        read(sealed)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def fail() -> None:
        with sealed_file(path, SECRET, SUITES[1], level=1) as target:
            target.write(b"half")
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        fail()
    assert list(tmp_path.iterdir()) == []
