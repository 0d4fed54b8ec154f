from __future__ import annotations

import asyncio

import pytest

from quanmin.api.admission import Admission, Held
from quanmin.api.limits import DoorLimits
from quanmin.base.problems import Overloaded, TooMany


def test_bodies_held_at_one_time_are_bounded() -> None:
    held = Held(10)
    held.take(6)
    with pytest.raises(Overloaded):
        held.take(5)
    held.give_back(6)
    held.take(10)
    assert held._bytes == 10


async def test_requests_wait_their_turn_in_order() -> None:
    admission = Admission(DoorLimits(running_max=1, waiting_max=5))
    order: list[str] = []

    async def run(name: str) -> None:
        await admission.enter(name)
        order.append(name)
        await asyncio.sleep(0.001)
        admission.leave(name)

    await asyncio.gather(*(run(name) for name in "abcd"))
    assert order == list("abcd")
    assert (admission.running, admission.waiting, admission._by_client) == (0, 0, {})


async def test_too_many_waiting_or_too_long_a_wait_is_refused() -> None:
    limits = DoorLimits(running_max=1, waiting_max=1, waiting_seconds_max=0.02)
    admission = Admission(limits)
    await admission.enter("a")
    waiting = asyncio.create_task(admission.enter("b"))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refusal:
        await admission.enter("c")
    assert refusal.value.retry_after_seconds == 1
    with pytest.raises(Overloaded):
        await waiting
    admission.leave("a")
    assert (admission.running, admission.waiting, admission._by_client) == (0, 0, {})


async def test_who_gives_up_waiting_leaves_no_place_taken() -> None:
    admission = Admission(DoorLimits(running_max=1))
    await admission.enter("a")
    waiting = asyncio.create_task(admission.enter("b"))
    await asyncio.sleep(0)
    admission.leave("a")  # the place is handed to b, who is gone before it wakes
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert admission.running == 0
    await admission.enter("c")
    assert admission.running == 1


async def test_one_client_cannot_take_every_place() -> None:
    admission = Admission(DoorLimits(client_running_max=1))
    await admission.enter("a")
    with pytest.raises(TooMany):
        await admission.enter("a")
    await admission.enter("b")
    assert admission.running == 2
