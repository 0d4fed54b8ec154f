"""What builds the program is taken from the lock whole, with all it needs."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

from building import needed

ROOT = Path(__file__).resolve().parents[3]


def closure(name: str) -> set[str]:
    """What a package says that it needs, and what that needs, without extras."""
    found = {name}
    for line in requires(name) or ():
        if "extra ==" not in line and "python_version" not in line:
            one = re.split(r"[^A-Za-z0-9._-]", line)[0].replace("_", "-").lower()
            found |= closure(one)
    return found


def test_what_builds_the_program_is_whole() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text("utf-8")
    blocks = needed(["hatchling"], lock)
    assert {block.partition("==")[0] for block in blocks} >= closure("hatchling")
    assert all("--hash=sha256:" in block for block in blocks)


def test_what_came_through_another_is_found_and_nothing_else() -> None:
    lock = (
        "# of the lock\n"
        "alpha==1 \\\n    --hash=sha256:a\n    # via\n    #   -c requirements.lock\n    #   beta\n"
        "beta==2 ; python_full_version < '3.12' \\\n    --hash=sha256:b\n    # via builder\n"
        "builder==3 \\\n    --hash=sha256:c\n    # via quanmin (pyproject.toml:dev)\n"
        "other==4 \\\n    --hash=sha256:d\n    # via quanmin (pyproject.toml:dev)\n"
    )
    names = [block.partition("==")[0] for block in needed(["builder"], lock)]
    assert names == ["alpha", "beta", "builder"]
