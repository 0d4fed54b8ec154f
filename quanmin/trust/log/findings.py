"""What is found when the log is verified."""

from __future__ import annotations

from typing import Literal

import msgspec

from quanmin.trust.log.entry import Place

Wrong = Literal[
    "changed",
    "removed",
    "inserted",
    "moved",
    "redacted",
    "lane",
    "head",
    "subtree",
    "checkpoint",
    "erasure",
    "restore",
    "witness",
]


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was written. `until`: the last entry of a run, `place` the first.
    A lane as a whole has no number.
    """

    wrong: Wrong
    lane: int
    number: int | None
    text: str
    until: int | None = None

    @property
    def entry(self) -> str:
        """The entry, as it is called everywhere; a run by its first and last."""
        if self.number is None:
            return f"lane {self.lane}" if self.lane else ""
        first = str(Place(self.lane, self.number))
        last = "" if self.until in {None, self.number} else f" to {self.lane}-{self.until}"
        return first + last
