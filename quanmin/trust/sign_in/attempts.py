"""How often somebody may fail before they wait: by account, by address and by what else is guessed.

An attempt is counted before it is looked at, in one statement. So all workers together let through
no more attempts than one would, however many arrive at once. The name that was typed is counted
whether or not there is such an account, so that waiting tells nothing either.

A lock by failures is a wait, `delay_seconds_max` at longest: whoever fails on purpose in another's
name slows them down and cannot shut them out. And a browser in which the account has signed in
before is counted for itself (OWASP, "device cookies"), so that its owner is not even slowed down.

Who tries each of many accounts once, each time from another address (credential stuffing), fails
often nowhere. So all browsers that are not known share a measure of failures for the whole node,
the crowd's: as much as a quiet node never comes to, refilled slowly.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final, Literal

import asyncpg

from quanmin.base.problems import Sentence, TooMany
from quanmin.trust.sign_in.limits import SignInLimits

Kind = Literal["account", "browser", "address", "factor", "crowd"]

_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_DOUBLINGS_MAX: Final = 30


class Attempts:
    """The failures of one node."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        key: bytes,
        limits: SignInLimits,
        now: Callable[[], int],
    ) -> None:
        """`key` makes keyed hashes; `now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._key = key
        self._limits = limits
        self._now = now

    async def take(self, kind: Kind, name: str) -> bool:
        """Count an attempt as failed until `forgive` says otherwise; gives whether it is the last
        before a wait. Raises TooMany, with how long, for one that has to wait; that one is not
        looked at and does not make the wait longer.
        """
        if kind == "crowd":
            await self._take_of_crowd()
            return False
        limits, now = self._limits, self._now()
        most = limits.address_failures_max if kind == "address" else limits.account_failures_max
        hashed = self._hash(kind, name)
        failures = await self._pool.fetchval(
            _TAKE,
            kind,
            hashed,
            now,
            limits.failure_hours_max * 3600 * _SECOND,
            most,
            limits.delay_seconds * _SECOND,
            limits.delay_seconds_max * _SECOND,
        )
        if failures is None:
            closed_until = await self._pool.fetchval(
                "select closed_until from trust.attempt where kind = $1 and name = $2", kind, hashed
            )
            seconds = max(1, ((closed_until or now) - now) // _SECOND + 1)
            raise TooMany(
                Sentence("too many attempts have failed: wait %(seconds)s s", seconds=seconds),
                retry_after_seconds=seconds,
            )
        return bool(failures >= most)

    async def forgive(self, kind: Kind, name: str) -> None:
        """The attempt has succeeded. Of an account, a browser or a factor all failures are
        forgotten; of an address or the crowd only this attempt, or who guesses the passwords of
        many would sign in to one of their own in between.
        """
        hashed = self._hash(kind, name)
        if kind == "crowd":
            await self._pool.execute(_FORGIVE_CROWD, hashed, self._crowd_step)
        elif kind == "address":
            await self._pool.execute(
                "update trust.attempt set failures = failures - 1, closed_until = 0"
                " where kind = $1 and name = $2 and failures > 0",
                kind,
                hashed,
            )
        else:
            await self._pool.execute(
                "delete from trust.attempt where kind = $1 and name = $2", kind, hashed
            )

    async def _take_of_crowd(self) -> None:
        step, now = self._crowd_step, self._now()
        reach = step * self._limits.crowd_failures_max
        hashed = self._hash("crowd", "")
        if await self._pool.fetchval(_TAKE_OF_CROWD, hashed, now, step, reach) is None:
            until = await self._pool.fetchval(
                "select closed_until from trust.attempt where kind = 'crowd' and name = $1", hashed
            )
            seconds = max(1, ((until or now) + step - reach - now) // _SECOND + 1)
            raise TooMany(
                Sentence(
                    "too many attempts are failing from everywhere: wait %(seconds)s s, use a "
                    "passkey, or a browser in which you have signed in before",
                    seconds=seconds,
                ),
                retry_after_seconds=seconds,
            )

    @property
    def _crowd_step(self) -> int:
        return _MINUTE // self._limits.crowd_failures_per_minute

    async def sweep(self) -> None:
        """Forget what is past."""
        await self._pool.execute(
            "delete from trust.attempt where last_at < $1 and closed_until < $2",
            self._now() - self._limits.failure_hours_max * 3600 * _SECOND,
            self._now(),
        )

    def _hash(self, kind: Kind, name: str) -> bytes:
        return hmac.digest(self._key, f"{kind}:{name}".encode("utf-8", "surrogatepass"), "sha256")


# $3 now, $4 how long failures count, $5 how many are free, $6 the first wait, $7 the longest.
_FAILURES: Final = "case when t.last_at < $3::bigint - $4::bigint then 1 else t.failures + 1 end"
_WAIT: Final = (
    "case when {failures} < $5::int then 0 else $3::bigint + least($7::bigint, $6::bigint *"
    f" power(2, least({{failures}} - $5::int, {_DOUBLINGS_MAX}))::bigint) end"
)
_FIRST_WAIT: Final = _WAIT.format(failures="1")
_NEXT_WAIT: Final = _WAIT.format(failures=f"({_FAILURES})")
_TAKE: Final = f"""
    insert into trust.attempt as t (kind, name, failures, last_at, closed_until)
    values ($1, $2, 1, $3::bigint, {_FIRST_WAIT})
    on conflict (kind, name) do update
    set failures = {_FAILURES}, last_at = $3::bigint, closed_until = {_NEXT_WAIT}
    where t.closed_until <= $3::bigint returning failures
"""  # noqa: S608 - every part is a constant of this module

# A bucket that leaks one failure in each step ($3) and holds a reach ($4) of them: `closed_until`
# is when it will be empty (the generic cell rate algorithm), which no rounding wears away.
_TAKE_OF_CROWD: Final = """
    insert into trust.attempt as t (kind, name, failures, last_at, closed_until)
    values ('crowd', $1, 1, $2::bigint, $2::bigint + $3::bigint)
    on conflict (kind, name) do update
    set failures = t.failures % 1000000 + 1, last_at = $2::bigint,
        closed_until = greatest(t.closed_until, $2::bigint) + $3::bigint
    where greatest(t.closed_until, $2::bigint) + $3::bigint <= $2::bigint + $4::bigint
    returning closed_until
"""
_FORGIVE_CROWD: Final = """
    update trust.attempt set closed_until = closed_until - $2::bigint
    where kind = 'crowd' and name = $1
"""
