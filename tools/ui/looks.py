"""The ways in which people see a page: language, size of text, script or none, width."""

from __future__ import annotations

import itertools
from typing import Final

import msgspec


class Look(msgspec.Struct, frozen=True):
    """One way of seeing: `is_large` is the elder mode, `width` in pixels of CSS."""

    language: str
    is_large: bool
    has_script: bool
    width: int

    @property
    def name(self) -> str:
        """Short, for files and reports."""
        size = "large" if self.is_large else "normal"
        return f"{self.language}-{size}-{'script' if self.has_script else 'bare'}-{self.width}"

    @property
    def query(self) -> dict[str, str]:
        """What an address says to be seen so."""
        return {"lang": self.language, "large": "1" if self.is_large else "0"}


WIDTHS: Final = (320, 360, 768, 1280)
ALL: Final = tuple(
    Look(language, is_large, has_script, width)
    for language, is_large, has_script, width in itertools.product(
        ("zh", "en"), (False, True), (True, False), WIDTHS
    )
)


def pairwise() -> tuple[Look, ...]:
    """So few looks that any two of their four choices still meet: the next is always the one in
    which the most pairs meet that have not yet.
    """
    missing = {pair for look in ALL for pair in _pairs(look)}
    chosen: list[Look] = []
    while missing:
        best = max(ALL, key=lambda look: len(missing & _pairs(look)))
        chosen.append(best)
        missing -= _pairs(best)
    return tuple(chosen)


def _pairs(look: Look) -> set[tuple[tuple[int, object], tuple[int, object]]]:
    choices = enumerate((look.language, look.is_large, look.has_script, look.width))
    return set(itertools.combinations(choices, 2))
