"""Whether one set of repeated measurements is worse than another, beyond what repeats differ by."""

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
    """Medians of before and after, and the share of the first that is taken for noise."""

    before: float
    after: float
    noise: float

    @property
    def change(self) -> float:
        """The share by which it takes more; negative when less."""
        return self.after / self.before - 1

    @property
    def is_worse(self) -> bool:
        """Whether it takes more, beyond the noise."""
        return self.change > self.noise

    @property
    def is_better(self) -> bool:
        """Whether it takes less, beyond the noise."""
        return self.change < -self.noise


def judge(before: Sequence[float], after: Sequence[float]) -> Verdict:
    """Compare the medians of repeats taken in turn, at least three of each.

    The spread is that of the side that differs more within itself, so that a side measured badly
    makes the other neither better nor worse.
    """
    if min(len(before), len(after)) < 3 or min(before) <= 0:
        raise ValueError("a verdict needs three repeats of each, all above zero")
    noise = max(SHARE_MIN, SPREADS * max(spread(before), spread(after)))
    return Verdict(statistics.median(before), statistics.median(after), noise)


def spread(values: Sequence[float]) -> float:
    """How much repeats differ, as a share of their median; one that is far off does not count."""
    middle = statistics.median(values)
    deviation = statistics.median(abs(value - middle) for value in values)
    return _OF_NORMAL * deviation / middle
