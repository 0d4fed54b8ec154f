"""The lock files belong to pyproject.toml and hold every package by its hash."""

from __future__ import annotations

import shutil
from pathlib import Path

import lock
from tidy.tree import ROOT, assert_clean

FILES = ("pyproject.toml", lock.RUNTIME, lock.DEVELOPMENT)


def copied(folder: Path) -> Path:
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_the_locks_belong_to_the_declared_dependencies() -> None:
    assert_clean(lock.faults(ROOT))


def test_a_dependency_added_without_renewing_the_locks_is_noticed(tmp_path: Path) -> None:
    root = copied(tmp_path)
    declared = (root / "pyproject.toml").read_text(encoding="utf-8")
    (root / "pyproject.toml").write_text(declared.replace('"babel",', '"babel",\n    "new",'))
    assert len(lock.faults(root)) == 2


def test_a_package_without_hash_is_noticed(tmp_path: Path) -> None:
    root = copied(tmp_path)
    with (root / lock.DEVELOPMENT).open("a") as opened:
        opened.write("stranger==1.0\n")
    assert lock.faults(root) == [f"{lock.DEVELOPMENT}: stranger==1.0 has no hash: run `make lock`"]


def test_two_locks_that_disagree_are_noticed(tmp_path: Path) -> None:
    root = copied(tmp_path)
    text = (root / lock.DEVELOPMENT).read_text(encoding="utf-8")
    (root / lock.DEVELOPMENT).write_text(text.replace("\nbabel==", "\nbabel==0."))
    assert lock.faults(root) == [
        f"babel differs between {lock.RUNTIME} and {lock.DEVELOPMENT}: run `make lock`"
    ]


def test_a_missing_lock_is_noticed(tmp_path: Path) -> None:
    root = copied(tmp_path)
    (root / lock.RUNTIME).unlink()
    assert lock.faults(root) == [f"{lock.RUNTIME} is missing: run `make lock`"]
