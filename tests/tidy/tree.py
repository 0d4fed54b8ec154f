"""The files of this repository, as the tidiness checks see them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Source:
    """One text file: its path from the root of the tree, and what is in it."""

    path: str
    text: str

    @property
    def name(self) -> str:
        """The last part of the path, without its ending."""
        return Path(self.path).stem

    @property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return self.text.splitlines()

    def tree(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return ast.parse(self.text, self.path)


@cache
def paths() -> tuple[str, ...]:
    """Every file that is tracked or would be: what git does not ignore and what is really there."""
    # The git on the path is the one that made this tree.
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(
        sorted(path for path in set(listed.split("\0")) if path and (ROOT / path).is_file())
    )


@cache
def sources(*endings: str, under: str = "") -> tuple[Source, ...]:
    """The text files below `under` whose path ends in one of `endings`."""
    return tuple(
        Source(path, (ROOT / path).read_text(encoding="utf-8"))
        for path in paths()
        if path.startswith(under) and path.endswith(endings)
    )


def assert_clean(found: Iterable[str]) -> None:
    """Fail with every complaint on its own line."""
    complaints = list(found)
    assert not complaints, "\n" + "\n".join(complaints)
