"""Whether one of two is worse than the other, beyond what repeats of the comparison differ by."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

# A difference below this is never told: layouts of memory alone make as much.
SHARE_MIN = 0.05
# So many times the spread of the repeats; of a normal noise one median in a thousand differs more.
SPREADS = 3.0
# The median of absolute deviations of a normal noise, in its standard deviation.
_OF_NORMAL = 1.4826


class Verdict(msgspec.Struct, frozen=True):
    """Medians of before and after, the share by which it takes more (negative when less), and
    the share that is taken for noise.
    """

    before: float
    after: float
    change: float
    noise: float

    @property
    def is_worse(self) -> bool:
        """Whether it takes more, beyond the noise."""
        return self.change > self.noise

    @property
    def is_better(self) -> bool:
        """Whether it takes less, beyond the noise."""
        return self.change < -self.noise


def judge(before: Sequence[float], after: Sequence[float]) -> Verdict:
    """Compare repeats that were taken side by side, at least three of each.

    Each repeat is compared with the one it was taken with: what slowed both is no difference. The
    change is the median of these ratios, the noise what they differ by among themselves.
    """
    if len(before) != len(after) or len(before) < 3 or min(*before, *after) <= 0:
        raise ValueError("a verdict needs three repeats of each, all above zero")
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    noise = max(SHARE_MIN, SPREADS * spread(ratios))
    change = statistics.median(ratios) - 1
    return Verdict(statistics.median(before), statistics.median(after), change, noise)


def spread(values: Sequence[float]) -> float:
    """How much repeats differ, as a share of their median; one that is far off does not count."""
    middle = statistics.median(values)
    deviation = statistics.median(abs(value - middle) for value in values)
    return _OF_NORMAL * deviation / middle
