"""Lists the installed packages that a lock file does not name, one a line, for removal.

python tools/dropped.py requirements-dev.lock

Without this an environment that is renewed would keep what the lock has dropped: a forgotten import
would go on working here and fail everywhere else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

# The environment's own installer and what it brings, and this program.
OWN = frozenset({"pip", "setuptools", "wheel", "quanmin"})


def normal(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def dropped(installed: Iterable[str], lock: str) -> list[str]:
    """Those of `installed` that the lock does not name, in order."""
    locked = {normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    return sorted({normal(name) for name in installed} - locked - OWN)


if __name__ == "__main__":
    names = [each.metadata["Name"] for each in distributions()]
    print("\n".join(dropped(names, Path(sys.argv[1]).read_text("utf-8"))))
