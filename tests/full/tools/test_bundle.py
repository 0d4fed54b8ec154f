"""The offline bundle installs and its node starts on a machine that reaches nothing.

The machine without a network is a network namespace of its own; where that is not permitted (not
root), a proxy that is not there stands in for it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundle.bundle import bundle

WITHOUT_NETWORK = {
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "127.0.0.1,localhost",
}


def cut_off(*command: str) -> list[str]:
    """The command as it runs where only loopback is there."""
    unshare = shutil.which("unshare")
    if unshare and subprocess.run([unshare, "-n", "true"], check=False).returncode == 0:
        return [unshare, "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *command]
    return [*command]


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        cut_off(*command),
        cwd=folder,
        env={**kept, **WITHOUT_NETWORK, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    try:
        made = bundle(platform.machine(), folder)
    except subprocess.CalledProcessError:
        pytest.skip("no bundle: no package registry is reachable from here")
    with tarfile.open(made) as opened:
        opened.extractall(folder, filter="data")
    return folder / made.stem


@pytest.fixture(scope="module")
def installed(unpacked: Path) -> Iterator[Path]:
    target = unpacked.parent / "installed"
    answer = run("./install.sh", str(target), folder=unpacked)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    yield target
    shutil.rmtree(target)


def test_the_bundle_installs_without_a_network(installed: Path) -> None:
    answer = run(str(installed / "bin" / "quanmin"), "--help", folder=installed)
    assert answer.returncode == 0, answer.stderr
    assert "node" in answer.stdout


STORY = """
set -e
"$1" node start --directory "$2" --port 18097 --workers 1
trap '"$1" node stop --directory "$2"' EXIT
"$3" -c 'import sys, urllib.request as web
print(web.urlopen("http://127.0.0.1:18097/fhir/metadata").read(40).decode())'
"""


def test_a_node_starts_and_answers_without_a_network(
    installed: Path, passable_folder: Path
) -> None:
    home = passable_folder / "bundled-node"
    command, python = installed / "bin" / "quanmin", installed / "bin" / "python"
    answer = run(*("sh", "-c", STORY, "sh", str(command), str(home), str(python)), folder=installed)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert '"resourceType":"CapabilityStatement"' in answer.stdout.replace(" ", "")


def test_what_is_installed_is_what_is_locked(installed: Path, unpacked: Path) -> None:
    answer = run(str(installed / "bin" / "pip"), "freeze", folder=installed)
    lock = (unpacked / "requirements.lock").read_text(encoding="utf-8").lower().replace("_", "-")
    frozen = [line for line in answer.stdout.splitlines() if "==" in line]
    assert len(frozen) > 20
    assert [line for line in frozen if line.lower().replace("_", "-") not in lock] == []


def test_a_damaged_bundle_is_refused(unpacked: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(unpacked, damaged)
    wheel = next(damaged.glob("wheels/quanmin-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    answer = run("./install.sh", str(tmp_path / "target"), folder=damaged)
    assert answer.returncode == 2
    assert "damaged" in answer.stderr
    assert not (tmp_path / "target").exists()


def test_a_bundle_for_another_machine_is_refused(unpacked: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(unpacked, other)
    described = (other / "BUNDLE").read_text(encoding="utf-8")
    (other / "BUNDLE").write_text(described.replace(platform.machine(), "riscv64"))
    sums = other / "SHA256SUMS"
    sums.write_text((unpacked / "SHA256SUMS").read_text().splitlines(keepends=True)[1])
    answer = run("./install.sh", str(tmp_path / "target"), folder=other)
    assert answer.returncode == 2
    assert "the bundle is for riscv64" in answer.stderr
