"""Whether one of two is worse than the other, beyond what repeats of the comparison differ by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

# A difference below this is never told: layouts of memory alone make as much.
SHARE_MIN = 0.05
# How often the middle of the differences may lie beyond its bounds on one side, whatever they are
# distributed like. With fewer than ten repeats it is more: the bounds are then the extremes.
DOUBT_MAX = 0.001


class Verdict(msgspec.Struct, frozen=True):
    """Medians of before and after, the share by which it takes more (negative when less), and the
    bounds between which that share lies.
    """

    before: float
    after: float
    change: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        """Whether it takes more, beyond the noise."""
        return self.change > SHARE_MIN and self.low > 0

    @property
    def is_better(self) -> bool:
        """Whether it takes less, beyond the noise."""
        return self.change < -SHARE_MIN and self.high < 0


def judge(before: Sequence[float], after: Sequence[float]) -> Verdict:
    """Compare repeats that were taken side by side, at least three of each.

    Each repeat is compared with the one it was taken with: what slowed both is no difference. The
    change is the median of these ratios, and its bounds are two of them: half of all ratios lie
    above the true median, so how many may do so by chance is known without knowing the noise.
    """
    if len(before) != len(after) or len(before) < 3 or min(*before, *after) <= 0:
        raise ValueError("a verdict needs three repeats of each, all above zero")
    changes = sorted(new / old - 1 for old, new in zip(before, after, strict=True))
    left_out = _extremes(len(changes))
    return Verdict(
        statistics.median(before),
        statistics.median(after),
        statistics.median(changes),
        changes[left_out],
        changes[-1 - left_out],
    )


def _extremes(repeats: int) -> int:
    """How many of the least of so many repeats lie below the lower bound of their median."""
    left_out, doubt = 0, 1 / 2**repeats
    while doubt + math.comb(repeats, left_out + 1) / 2**repeats <= DOUBT_MAX:
        left_out += 1
        doubt += math.comb(repeats, left_out) / 2**repeats
    return left_out
