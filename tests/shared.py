"""Where third-party data lies that tests read but the repository does not carry.

Named by the environment variable QUANMIN_SHARED, or a folder `shared` beside the project. A test
that needs it takes an archive by `archive(...)`; where it is absent the test skips and says why.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def folder() -> Path | None:
    """The shared folder; None where there is none."""
    named = os.environ.get("QUANMIN_SHARED")
    path = Path(named) if named else ROOT.parent / "shared"
    return path if (path / "data").is_dir() else None


def archive(name: str) -> Path:
    """The path of `data/<name>` in the shared folder; skips the calling test where it is absent."""
    shared = folder()
    if shared is None:
        pytest.skip("no third-party data: set QUANMIN_SHARED or lay `shared` beside the project")
    path = shared / "data" / name
    if not path.exists():
        pytest.skip(f"the shared folder has no data/{name}")
    return path


def members(name: str, suffix: str = ".json") -> Iterator[tuple[str, bytes]]:
    """Each file of the archive `name` that ends in `suffix`: its path within, and its bytes."""
    with tarfile.open(archive(name)) as opened:
        for member in opened:
            if member.isfile() and member.name.endswith(suffix):
                content = opened.extractfile(member)
                if content is not None:
                    yield member.name, content.read()
