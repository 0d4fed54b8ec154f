from __future__ import annotations

import subprocess
import sys
import time

import pytest

from quanmin.base.problems import TooMany
from quanmin.base.quota import Quota, share_memory


class Seconds:
    def __init__(self) -> None:
        self.now = 1.0

    def __call__(self) -> float:
        return self.now


def test_a_client_may_spend_its_burst_and_then_its_rate() -> None:
    clock = Seconds()
    quota = Quota(2, 3, 10, now=clock)
    for _ in range(3):
        quota.spend("a")
    with pytest.raises(TooMany) as refusal:
        quota.spend("a")
    assert refusal.value.retry_after_seconds == 1
    quota.spend("b")
    clock.now += 0.5
    quota.spend("a")
    with pytest.raises(TooMany):
        quota.spend("a")


def test_a_refusal_says_how_long_to_wait_and_that_is_enough() -> None:
    clock = Seconds()
    quota = Quota(0.1, 1, 10, now=clock)
    quota.spend("a")
    with pytest.raises(TooMany) as refusal:
        quota.spend("a")
    assert refusal.value.retry_after_seconds == 10
    clock.now += 10
    quota.spend("a")


def test_the_clients_remembered_are_bounded_and_the_longest_unused_goes_first() -> None:
    clock = Seconds()
    quota = Quota(0.001, 1, 8, now=clock)
    for number in range(9):
        clock.now += 1
        quota.spend(str(number))
    with pytest.raises(TooMany):
        quota.spend("8")
    clock.now += 1
    quota.spend("0")  # forgotten when the ninth came
    with pytest.raises(TooMany):
        quota.spend("2")


def test_workers_that_share_memory_count_together() -> None:
    memory = share_memory("test")
    spend = f"from quanmin.base.quota import Quota; Quota(0.001, 3, 10, {memory}).spend('a')"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", spend], check=True, pass_fds=(memory,))
    here = Quota(0.001, 3, 10, memory)
    here.spend("a")
    with pytest.raises(TooMany):
        here.spend("a")


def test_nothing_is_spent_twice_when_workers_race() -> None:
    memory = share_memory("test")
    spend_all = f"""
import time
from quanmin.base.quota import Quota
from quanmin.base.problems import TooMany
quota, done = Quota(0.0001, 60000, 10, {memory}), 0
while time.monotonic() < {time.monotonic() + 1.5}:  # all begin at one moment
    pass
for _ in range(40000):
    try:
        quota.spend("a")
        done += 1
    except TooMany:
        pass
print(done)
"""
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", spend_all], stdout=subprocess.PIPE, pass_fds=(memory,)
        )
        for _ in range(3)
    ]
    assert sum(int(each.communicate()[0]) for each in racing) == 60000
