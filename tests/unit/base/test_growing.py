"""The files of a job: what counts is kept, the rest is cut off, nothing damaged is given."""

from __future__ import annotations

import fcntl
import gzip
import os
import secrets
from pathlib import Path

import pytest

from quanmin.base.growing import Part, Vault, as_gzip, as_plain, gzip_bytes
from quanmin.base.problems import Conflict, Problem

KEY = secrets.token_bytes(32)


@pytest.fixture(params=[1, 2], ids=["international", "gm"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    opened = Vault(tmp_path / "exports" / "1", KEY, request.param)
    opened.make()
    return opened


def read(vault: Vault, part: Part) -> bytes:
    with vault.open(part) as file:
        return b"".join(as_plain(vault.pieces(part, file)))


def path_of(vault: Vault, part: Part) -> Path:
    return vault._folder / part.name


def test_what_was_appended_comes_back_plain_and_as_one_gzip_file(vault: Vault) -> None:
    part, lines = Part(name="Patient.1.ndjson", type="Patient"), []
    for size in (1, 5_000_000, 20):
        line = secrets.token_hex(size).encode() + b"\n"
        part = vault.append(part, line, 1)
        lines.append(line)
    assert read(vault, part) == b"".join(lines)
    with vault.open(part) as file:
        packed = b"".join(as_gzip(part, vault.pieces(part, file)))
    assert gzip.decompress(packed) == b"".join(lines)
    assert (len(packed), part.count) == (gzip_bytes(part), 3)


def test_what_a_killed_process_wrote_is_cut_off(vault: Vault) -> None:
    first = vault.append(Part(name="a.1.ndjson", type="Patient"), b"one\n", 1)
    vault.append(first, b"never committed, and longer than what follows\n", 1)
    second = vault.append(first, b"two\n", 1)
    assert read(vault, second) == b"one\ntwo\n"
    assert path_of(vault, second).stat().st_size == second.stored_bytes


def test_a_file_that_is_shorter_than_it_was_is_not_gone_on_with(vault: Vault) -> None:
    part = vault.append(Part(name="a.1.ndjson", type="Patient"), b"one\n", 1)
    os.truncate(path_of(vault, part), part.stored_bytes - 1)
    with pytest.raises(Problem, match="shorter"):
        vault.append(part, b"two\n", 1)
    with pytest.raises(Problem, match="damaged"):
        read(vault, part)


def test_pieces_that_changed_places_are_found(vault: Vault) -> None:
    first = vault.append(Part(name="a.1.ndjson", type="Patient"), b"one\n", 1)
    whole = vault.append(first, b"two\n", 1)
    path = path_of(vault, whole)
    content = path.read_bytes()
    path.write_bytes(content[first.stored_bytes :] + content[: first.stored_bytes])
    with pytest.raises(Problem, match="damaged"):
        read(vault, whole)


def test_one_process_at_a_time_writes(vault: Vault) -> None:
    with vault.alone(), pytest.raises(Conflict, match="another process"), vault.alone():
        pass
    with vault.alone():
        pass


def test_a_removed_export_is_not_made_again_by_a_step(vault: Vault) -> None:
    part = vault.append(Part(name="a.1.ndjson", type="Patient"), b"one\n", 1)
    vault.remove()
    vault.remove()
    with pytest.raises(Conflict, match="removed"):
        vault.append(part, b"two\n", 1)
    with pytest.raises(Conflict, match="removed"), vault.alone():
        pass


def test_what_is_being_read_can_be_removed(vault: Vault) -> None:
    part = vault.append(Part(name="a.1.ndjson", type="Patient"), b"one\n", 1)
    with vault.open(part) as file:
        vault.remove()
        assert b"".join(as_plain(vault.pieces(part, file))) == b"one\n"


def test_the_lock_is_that_of_the_folder(vault: Vault) -> None:
    descriptor = os.open(vault._folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(Conflict), vault.alone():
        pass
    os.close(descriptor)
