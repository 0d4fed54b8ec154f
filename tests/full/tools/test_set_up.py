"""A clone and one command are enough: the set-up prepares everything, and only once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from shared import ROOT


def copied(target: Path) -> Path:
    """The tree as it stands, without anything that is ignored, in a folder."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in filter(None, listed.split("\0")):
        if (ROOT / path).is_file():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target / path)
    return target


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("clone"))


def set_up(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "tools" / "set_up.sh", *arguments],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def prepare(clone: Path, kind: str) -> None:
    answer = set_up(clone, kind)
    if "No matching distribution" in answer.stderr or "ConnectionError" in answer.stderr:
        pytest.skip("no package registry is reachable from here")
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def prepared(clone: Path) -> Path:
    prepare(clone, "dev")
    return clone


def test_a_clone_runs_with_what_a_node_needs_alone(tmp_path: Path) -> None:
    prepare(copied(tmp_path), "runtime")
    answer = subprocess.run(
        [tmp_path / ".venv" / "bin" / "quanmin", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert not (tmp_path / ".venv" / "bin" / "pytest").exists()


def test_a_clone_gets_its_tools_and_the_command(prepared: Path) -> None:
    for tool in ("quanmin", "pytest", "ruff", "mypy", "lint-imports"):
        assert (prepared / ".venv" / "bin" / tool).is_file()


def test_the_clone_runs_its_own_code(prepared: Path) -> None:
    where = "import quanmin; print(quanmin.__file__)"
    answer = subprocess.run(
        [prepared / ".venv" / "bin" / "python", "-c", where],
        cwd=prepared.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith(str(prepared))


def test_the_second_time_nothing_is_done(prepared: Path) -> None:
    for kind in ("dev", "runtime"):
        answer = set_up(prepared, kind)
        assert (answer.returncode, answer.stdout) == (0, "")


def test_a_changed_lock_is_installed_again(prepared: Path) -> None:
    with (prepared / "requirements-dev.lock").open("a") as opened:
        opened.write("# changed\n")
    assert "installing the packages of requirements-dev.lock" in set_up(prepared, "dev").stdout
    assert set_up(prepared, "dev").stdout == ""


def test_a_missing_python_is_named(clone: Path) -> None:
    answer = set_up(clone, "dev", PYTHON="python-that-is-not-there")
    assert answer.returncode == 2
    assert "no python-that-is-not-there here" in answer.stderr


def test_an_unknown_wish_is_refused(clone: Path) -> None:
    answer = set_up(clone, "everything")
    assert answer.returncode == 2
    assert "runtime, dev, browser or printing" in answer.stderr
