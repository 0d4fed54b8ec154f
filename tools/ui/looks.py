"""The ways in which people see a page: language, size of text, script or none, width."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable
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


def _pairs(look: Look) -> set[tuple[tuple[int, object], tuple[int, object]]]:
    choices = enumerate((look.language, look.is_large, look.has_script, look.width))
    return set(itertools.combinations(choices, 2))


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


PAIRS: Final = pairwise()


def looks_at(path: str, wanted: str, turn: int = 0) -> tuple[Look, ...]:
    """The looks in which a page is seen: "all"; "zh" or "en", all in that language; "pairs", in
    which all pairs of choices meet; "one" of these, by the page's path and by how often it was seen
    before (`turn`) the same on every day.
    """
    if wanted == "one":
        return (PAIRS[(zlib.crc32(path.encode()) + turn) % len(PAIRS)],)
    if wanted == "pairs":
        return PAIRS
    return tuple(look for look in ALL if wanted in {"all", look.language})


def openings(looks: Iterable[Look]) -> list[tuple[Look, ...]]:
    """Looks that differ by width alone together: a page is opened once for them, with script first,
    since it is the same without where it brings none.
    """
    groups: dict[tuple[str, bool, bool], list[Look]] = {}
    for look in looks:
        groups.setdefault((look.language, look.is_large, not look.has_script), []).append(look)
    return [tuple(groups[key]) for key in sorted(groups)]
