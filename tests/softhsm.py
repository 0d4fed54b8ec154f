"""A token of SoftHSM for tests; they skip and say so where it is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

PIN = "1234"
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so")


class Token(msgspec.Struct, frozen=True):
    """Where a token is, and its label."""

    module: Path
    label: str


def module() -> Path:
    """The library; without it the test skips."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    found = next((Path(path) for path in _MODULES if Path(path).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: apt-get install softhsm2")
    return found


def make_token(folder: Path, label: str) -> Token:
    """A new token. The library reads its configuration once in a process: all tokens of the tests
    of one process are in the folder that was named first.
    """
    library = module()
    if "SOFTHSM2_CONF" not in os.environ:
        tokens = folder / "tokens"
        tokens.mkdir(parents=True)
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        [
            *("softhsm2-util", "--init-token", "--free", "--label", label),
            *("--pin", PIN, "--so-pin", "5678"),
        ],
        check=True,
        capture_output=True,
    )
    return Token(library, label)
