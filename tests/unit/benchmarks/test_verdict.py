"""What is told slower, and what is taken for noise."""

from __future__ import annotations

import random

import pytest
from verdict import judge

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
    assert not judge(same, [104.9] * 5).is_worse
    assert judge(same, [105.1] * 5).is_worse


def test_what_slows_both_sides_of_a_repeat_is_no_difference() -> None:
    assert judge(LOUD, LOUD).high == 0
    assert not judge(LOUD, LOUD).is_worse
    assert judge(LOUD, times(1.06, LOUD)).is_worse


def test_what_differs_as_much_from_repeat_to_repeat_is_noise() -> None:
    for before, after in ((QUIET, LOUD), (LOUD, QUIET)):
        assert not judge(before, times(1.15, after)).is_worse
        assert judge(before, times(1.9, after)).is_worse


def test_few_repeats_must_all_agree_and_of_many_some_may_be_disturbed() -> None:
    def slower_but(disturbed: int, repeats: int) -> bool:
        after = [50.0] * disturbed + [120.0] * (repeats - disturbed)
        return judge([100.0] * repeats, after).is_worse

    assert slower_but(0, 6)
    assert not slower_but(1, 6)
    assert slower_but(2, 18)
    assert not slower_but(3, 18)


def test_repeats_of_the_same_are_hardly_ever_told_apart() -> None:
    dice = random.Random(1)  # noqa: S311 - a repeatable noise, no secret
    told = 0
    for _ in range(1_000):
        before, after = ([dice.gauss(100, 20) for _ in range(18)] for _ in range(2))
        verdict = judge(before, after)
        told += verdict.is_worse or verdict.is_better
    assert told < 6


@pytest.mark.parametrize(
    ("before", "after"), [([1.0, 2.0], [1.0, 2.0]), (QUIET, QUIET[:4]), ([0.0] * 3,) * 2]
)
def test_too_few_repeats_give_no_verdict(before: list[float], after: list[float]) -> None:
    with pytest.raises(ValueError, match="three repeats"):
        judge(before, after)
