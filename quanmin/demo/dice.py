"""Draws that depend on their name alone, so that one household can be made without making
those before it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighted(Generic[T]):
    """Things to draw from, each as often as its weight says; weights need not add up to
    anything.
    """

    def __init__(self, pairs: Iterable[tuple[T, float]]) -> None:
        kept = [(item, weight) for item, weight in pairs if weight > 0]
        self.items = [item for item, _ in kept]
        self.bounds = list(accumulate(weight for _, weight in kept))


class Dice:
    """A stream of draws named by words: the same words give the same draws on every machine.

    Everything is made of `Random.random`, the one method whose sequence Python promises to keep,
    and of additions and multiplications, so no platform's mathematical library has a say.
    """

    def __init__(self, *words: object) -> None:
        name = "/".join(map(str, words)).encode()
        digest = hashlib.blake2b(name, digest_size=8).digest()
        # A generator for invented data: it must be repeatable, and nothing secret hangs on it.
        self.share = Random(int.from_bytes(digest, "big")).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.share() < probability

    def below(self, bound: int) -> int:
        """An integer from 0 to `bound` - 1."""
        return int(self.share() * bound)

    def between(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both possible."""
        return low + int(self.share() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`, each equally often."""
        return items[int(self.share() * len(items))]

    def draw(self, weighted: Weighted[T]) -> T:
        """One of the weighted items."""
        bounds = weighted.bounds
        return weighted.items[bisect_right(bounds, self.share() * bounds[-1])]

    def near(self, mean: float, deviation: float) -> float:
        """A number around `mean`, close to normal, never further than 4.3 deviations away."""
        # Six uniform draws have a variance of a half; their sum is normal enough for a laboratory
        # value.
        share = self.share
        total = share() + share() + share() + share() + share() + share()
        return mean + (total - 3.0) * 1.4142135 * deviation

    def count(self, expected: float) -> int:
        """How often something happens that is expected `expected` times: a whole number with
        that mean.
        """
        whole = int(expected)
        count = whole + (self.share() < expected - whole)
        # Spread it: as many moved up as down keeps the mean and makes two people differ.
        if count and self.share() < 0.4:
            count += 1 if self.share() < 0.5 else -1
        return count
