"""A clock that is set back must not make a history contradict itself."""

from __future__ import annotations

import time

from quanmin.base.clock import Clock


def test_the_moment_is_that_of_the_wall() -> None:
    before = time.time_ns() // 1000
    assert before <= Clock().now() <= time.time_ns() // 1000


def test_a_wall_clock_set_back_does_not_turn_time_back() -> None:
    readings = iter([5_000_000, 1_000_000, 2_000_000, 9_000_000])
    clock = Clock(lambda: next(readings))
    assert [clock.now() for _ in range(4)] == [5000, 5001, 5002, 9000]
