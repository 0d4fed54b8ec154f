"""Prints the blocks of a lock file for what builds this program and all that this in turn needs.

python tools/building.py requirements-dev.lock

The runtime lock does not hold them; listed by name they would be incomplete with the next version
that needs one more. The lock says beside each package through which it came.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^[A-Za-z0-9].*\n(?:[ \t].*\n)*", re.MULTILINE)
_VIA = re.compile(r"^ +#(?: via)? +([A-Za-z0-9._-]+)(?: \(.*\))?$", re.MULTILINE)


def needed(names: Iterable[str], lock: str) -> list[str]:
    """The blocks of these packages and of what came into the lock through them, in its order."""
    blocks = [(block.partition("==")[0], block) for block in _BLOCK.findall(lock)]
    wanted: set[str] = set(names)
    grown = 0
    while grown != len(wanted):
        grown = len(wanted)
        wanted |= {name for name, block in blocks if wanted & set(_VIA.findall(block))}
    return [block for name, block in blocks if name in wanted]


if __name__ == "__main__":
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    builders = declared["build-system"]["requires"]
    print("".join(needed(builders, Path(sys.argv[1]).read_text("utf-8"))), end="")
