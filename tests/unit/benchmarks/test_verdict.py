"""What is told slower, and what is taken for noise."""

from __future__ import annotations

import random

import pytest
from verdict import SHARE_MIN, judge, spread

QUIET = [100.0, 101.0, 99.0, 100.5, 99.5]
LOUD = [80.0, 90.0, 100.0, 110.0, 120.0]


def times(factor: float, values: list[float]) -> list[float]:
    return [factor * value for value in values]


def test_what_takes_a_tenth_more_is_slower() -> None:
    verdict = judge(QUIET, times(1.1, QUIET))
    assert verdict.is_worse
    assert not verdict.is_better
    assert verdict.change == pytest.approx(0.1)


def test_what_takes_a_tenth_less_is_faster_and_not_slower() -> None:
    verdict = judge(QUIET, times(0.9, QUIET))
    assert verdict.is_better
    assert not verdict.is_worse


def test_a_difference_of_less_than_a_twentieth_is_never_told() -> None:
    same = [100.0] * 5
    assert judge(same, [104.9] * 5).noise == SHARE_MIN
    assert not judge(same, [104.9] * 5).is_worse
    assert judge(same, [105.1] * 5).is_worse


def test_what_slows_both_sides_of_a_repeat_is_no_difference() -> None:
    assert judge(LOUD, LOUD).noise == SHARE_MIN
    assert not judge(LOUD, LOUD).is_worse
    assert judge(LOUD, times(1.06, LOUD)).is_worse


def test_what_differs_as_much_from_repeat_to_repeat_is_noise() -> None:
    for before, after in ((QUIET, LOUD), (LOUD, QUIET)):
        assert not judge(before, times(1.3, after)).is_worse
        assert judge(before, times(1.9, after)).is_worse


def test_one_repeat_that_was_disturbed_decides_nothing() -> None:
    assert not judge(QUIET, [*QUIET[:4], 400.0]).is_worse
    assert judge(QUIET, [*times(1.2, QUIET[:4]), 400.0]).is_worse
    assert spread([*QUIET[:4], 400.0]) < 0.02


def test_repeats_of_the_same_are_seldom_told_apart() -> None:
    dice = random.Random(1)  # noqa: S311 - a repeatable noise, no secret
    told = 0
    for _ in range(1_000):
        before, after = ([dice.gauss(100, 4) for _ in range(6)] for _ in range(2))
        verdict = judge(before, after)
        told += verdict.is_worse or verdict.is_better
    assert told < 30


@pytest.mark.parametrize(
    ("before", "after"), [([1.0, 2.0], [1.0, 2.0]), (QUIET, QUIET[:4]), ([0.0] * 3,) * 2]
)
def test_too_few_repeats_give_no_verdict(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match="three repeats"):
        judge(before, after)
