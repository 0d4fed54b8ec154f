"""What the key port promises, asked of a real Vault, which is built from its source.

It needs Go and the modules that `tests/vault_program/go.sum` names; where either is missing the
test skips and says so. The first build takes some minutes, later ones what Go keeps of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[2]
_BUILD_SECONDS_MAX = 1800


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go to build a Vault with")
    built = tmp_path_factory.mktemp("vault") / "vault"
    told = subprocess.run(
        [go, "build", "-o", str(built), "."],
        cwd=_TESTS / "vault_program",
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS_MAX,
    )
    if told.returncode != 0 and "dial tcp" in told.stderr:
        pytest.skip("the modules of a Vault cannot be fetched")
    assert told.returncode == 0, told.stderr
    return built


def test_a_real_vault_keeps_wraps_derives_signs_seals_and_goes_as_the_port_expects(
    program: Path,
) -> None:
    told = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"),
            *("-k", "vault", str(_TESTS / "contract" / "base" / "test_key_ports.py")),
        ],
        env={**os.environ, "QUANMIN_VAULT": str(program)},
        cwd=_TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    assert " passed" in told.stdout
