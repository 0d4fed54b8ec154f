"""What signing in needs, over a test's own database, with passwords that cost little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec

from quanmin.base.clock import Clock
from quanmin.records.keying import Keying
from quanmin.trust import Actor
from quanmin.trust.sign_in import Accounts, Passwords, Sessions, SignInLimits
from quanmin.trust.sign_in.measures import load_measures

PASSWORD = "a Sparrow sits on 7 wires"
MINUTE = 60_000_000
HOUR = 60 * MINUTE
KEY = b"k" * 32


class SetClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self._moment = Clock().now()

    def now(self) -> int:
        return self._moment

    def go_on(self, microseconds: int) -> None:
        self._moment += microseconds


def quick_passwords(hashings_max: int = 2) -> Passwords:
    """Passwords by the rules in force, at a cost that a test can pay."""
    cost = msgspec.structs.replace(load_measures().argon2id, memory_kibibytes=64, iterations=1)
    return Passwords(load_measures().password, cost, hashings_max)


class Entrance:
    """One worker's accounts and sessions."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        now: Callable[[], int],
        passwords: Passwords | None = None,
        keying: Keying | None = None,
        **limits: Any,
    ) -> None:
        self.pool = pool
        self.limits = SignInLimits(**limits)
        self.passwords = passwords or quick_passwords()
        self.accounts = Accounts(
            pool, KEY, self.limits, self.passwords, now, keying=keying or Keying(KEY)
        )
        self.sessions = Sessions(pool, self.limits, now)

    async def add(self, actor: Actor, *, document: str | None = None) -> str:
        """An account of this actor's code with PASSWORD; gives its code."""
        invitation = await self.accounts.add(actor.code, actor, document=document)
        await self.accounts.accept(invitation, PASSWORD)
        return actor.code
