"""Passwords stolen elsewhere, tried on many accounts (credential stuffing): simulated, with a clock
that the test moves.
"""

from __future__ import annotations

import pytest
from clinic import Browser
from entrance import MINUTE, SetClock
from whole import Whole

from quanmin.base.problems import TooMany
from quanmin.trust.sign_in import SignInLimits
from quanmin.trust.sign_in.attempts import Attempts

SECOND = 1_000_000
WRONG = "another Sparrow sits on 8 wires"
LIMITS = SignInLimits(crowd_failures_max=50, crowd_failures_per_minute=30)


class Node:
    """What counts attempts on a node of two workers."""

    def __init__(self, whole: Whole, key: bytes) -> None:
        self.clock = SetClock()
        pool = whole.clinic.pool
        self.workers = [Attempts(pool, key, LIMITS, self.clock.now) for _ in range(2)]
        self.turn = 0

    async def is_looked_at(self, account: str, address: str, *, is_right: bool = False) -> bool:
        """Whether a password is looked at, as `SignIn` counts it."""
        self.turn += 1
        worker = self.workers[self.turn % 2]
        try:
            await worker.take("address", address)
            await worker.take("crowd", "")
            await worker.take("account", account)
        except TooMany:
            return False
        if is_right:
            await worker.forgive("account", account)
            await worker.forgive("crowd", "")
        return True


async def test_a_botnet_that_tries_each_account_once_from_as_many_addresses_gets_little(
    whole: Whole,
) -> None:
    """In two minutes 600 tries, 5 a second: without the measure of the crowd all are looked at."""
    node = Node(whole, b"botnet".ljust(32))
    looked_at = 0
    for number in range(600):
        looked_at += await node.is_looked_at(f"account-{number}", f"10.{number % 250}.0.{number}")
        node.clock.go_on(SECOND // 5)
    # Fifty at once, and thirty in each of the two minutes.
    assert 105 <= looked_at <= 112


async def test_a_quiet_node_is_never_closed_however_long_people_mistype(whole: Whole) -> None:
    node = Node(whole, b"quiet".ljust(32))
    for number in range(200):
        assert await node.is_looked_at(f"somebody-{number}", f"10.1.0.{number}")
        node.clock.go_on(2 * SECOND)


async def test_those_who_sign_in_rightly_are_not_counted(whole: Whole) -> None:
    node = Node(whole, b"morning".ljust(32))
    for number in range(150):
        account, address = f"staff-{number}", f"10.2.0.{number}"
        assert await node.is_looked_at(account, address, is_right=True)


async def test_after_the_attack_it_is_as_before(whole: Whole) -> None:
    node = Node(whole, b"after".ljust(32))
    for number in range(60):
        await node.is_looked_at(f"account-{number}", f"10.3.0.{number}")
    assert not await node.is_looked_at("late", "10.4.0.1")
    node.clock.go_on(2 * MINUTE)
    for number in range(50):
        assert await node.is_looked_at(f"again-{number}", f"10.5.0.{number}")


async def test_known_browsers_and_passwords_that_are_not_looked_at_are_left_alone(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in = whole.clinic.sign_in
    few = SignInLimits(crowd_failures_max=2, crowd_failures_per_minute=1)
    monkeypatch.setattr(sign_in.attempts, "_limits", few)
    pages = whole.front(header="X-Real-IP")
    known = Browser(pages)
    await whole.clinic.walk_in(known, "resident")
    await known.get("/account")
    await known.send("/sign-out")

    async def guess(address: str, name: str) -> int:
        stranger = Browser(pages)
        stranger.client.headers["X-Real-IP"] = address
        await stranger.get("/sign-in")
        answer = await stranger.send("/sign-in", name=name, password=WRONG)
        return answer.status_code

    guesses = [await guess(f"192.0.2.{number}", f"account-{number}") for number in range(4)]
    assert guesses == [401, 401, 429, 429]
    answer = await whole.clinic.walk_in(known, "resident")
    assert answer.headers["location"] == "/"
    # Whoever was not looked at is not held to have failed.
    address = sign_in.attempts._hash("address", "192.0.2.3")
    failures = await whole.clinic.pool.fetchval(
        "select failures from trust.attempt where kind = 'address' and name = $1", address
    )
    assert failures == 0
