"""When more cases than usual are a signal: the numbers of it, and the chance of so many."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from functools import cache
from importlib.resources import files
from math import exp, lgamma, log, log1p

import msgspec


class Numbers(msgspec.Struct, frozen=True):
    """What `definitions/notifiable/signals.toml` says."""

    days: int
    left_out: int
    times: int
    false_alarms: float

    @property
    def span(self) -> timedelta:
        """All days that are counted or left out, but the last."""
        return timedelta(days=self.days * (1 + self.times) + self.left_out - 1)


@cache
def numbers() -> Numbers:
    """When more than usual is a signal."""
    file = files("quanmin.definitions").joinpath("notifiable", "signals.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), Numbers)


def chance_of(number: int, before: int, times: int) -> float:
    """How likely so many cases or more are, given all of both times, where each falls on a day by
    chance: the binomial distribution, whatever the unknown rate is.
    """
    every, share = number + before, 1 / (times + 1)

    def exactly(n: int) -> float:  # by logarithms: the ways to choose of thousands fit no float
        ways = lgamma(every + 1) - lgamma(n + 1) - lgamma(every - n + 1)
        return exp(ways + n * log(share) + (every - n) * log1p(-share))

    return min(1.0, sum(map(exactly, range(number, every + 1))))
