"""The accessibility checker axe-core, fetched once into the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

AXE: Final = "axe-core@4.14.1"


def axe_source() -> str:
    """Its source. Raises OSError or SubprocessError where it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "quanmin-tests"
    script = cache / AXE / "package" / "axe.min.js"
    if not script.exists():
        script.parent.parent.mkdir(parents=True, exist_ok=True)
        _fetch(script.parent.parent)
    return script.read_text(encoding="utf-8")


def _fetch(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm")
    packed = subprocess.run(
        [npm, "pack", "--silent", AXE],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    shutil.unpack_archive(folder / packed.stdout.split()[-1], folder, filter="data")
