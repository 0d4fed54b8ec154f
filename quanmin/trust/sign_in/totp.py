"""One-time codes of an authenticator, by RFC 6238: the second factor where no passkey can be."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from typing import Final

import asyncpg
import pyotp

from quanmin.base.crypto import International
from quanmin.base.node_keys import SealedColumn
from quanmin.base.rooted import Rooted, rooted
from quanmin.trust.sign_in.measures import TotpRule, load_measures

_SECOND: Final = 1_000_000
ONE_TIME_CODES: Final = "one-time codes"
"""What the key that seals their secrets is derived for."""

SEALED: Final = (
    SealedColumn(
        "trust.totp",
        "sealed",
        ONE_TIME_CODES,
        lambda row: str(row["account"]).encode(),
        by=("account",),
    ),
)


class Totp:
    """The authenticators of a node's accounts; their secrets stand sealed in the database."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        key: bytes | Rooted,
        rule: TotpRule,
        now: Callable[[], int],
    ) -> None:
        """`key` seals; `now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._key = rooted(key)
        self._rule = rule
        self._now = now
        self._suite = International()

    def new_secret(self) -> str:
        """A secret in base 32, as an authenticator takes it."""
        return pyotp.random_base32()

    def address(self, secret: str, account: str, site: str) -> str:
        """What an authenticator reads from a QR code: the secret, for what account and node."""
        made = pyotp.TOTP(
            secret,
            digits=self._rule.digits,
            interval=self._rule.period_seconds,
            name=account,
            issuer=site,
        )
        return str(made.provisioning_uri())

    async def add(self, account: str, secret: str, code: str) -> bool:
        """Let an account prove itself by this secret, instead of an earlier one, when the code
        shows that its authenticator has it; the code is used up.
        """
        step = self._step_of(secret, code)
        if step is None:
            return False
        await self._pool.execute(
            "insert into trust.totp (account, sealed, last_step, made_at) values ($1, $2, $3, $4)"
            " on conflict (account) do update set sealed = excluded.sealed,"
            " last_step = greatest(trust.totp.last_step, excluded.last_step),"
            " made_at = excluded.made_at",
            account,
            self._key.seal(self._suite, secret.encode(), account.encode()),
            step,
            self._now(),
        )
        return True

    async def take(self, account: str, code: str) -> bool:
        """Whether the account's authenticator shows this code now; each code is taken once, and
        none that is older than one taken before (RFC 6238, 5.2), in all workers together.
        """
        sealed = await self._pool.fetchval(
            "select sealed from trust.totp where account = $1", account
        )
        if sealed is None:
            return False
        secret = self._key.open(sealed, account.encode()).decode()
        step = self._step_of(secret, code)
        if step is None:
            return False
        taken = await self._pool.fetchval(
            "update trust.totp set last_step = $2 where account = $1 and last_step < $2"
            " returning last_step",
            account,
            step,
        )
        return taken is not None

    async def is_there(self, account: str) -> bool:
        """Whether the account has an authenticator."""
        found = await self._pool.fetchval("select 1 from trust.totp where account = $1", account)
        return found is not None

    def _step_of(self, secret: str, code: str) -> int | None:
        """The step whose code this is, of those that the clock of an authenticator may show."""
        bare = "".join(code.split()).encode("utf-8", "replace")
        made = pyotp.TOTP(secret, digits=self._rule.digits, interval=self._rule.period_seconds)
        present = self._now() // _SECOND // self._rule.period_seconds
        off = self._rule.periods_off_max
        found = None
        for step in range(present - off, present + off + 1):
            if hmac.compare_digest(made.generate_otp(step).encode(), bare):
                found = step
        return found


def present_code(secret: str, *, periods_ago: int = 0) -> str:
    """What an authenticator with this secret shows now, or has shown."""
    rule = load_measures().totp
    made = pyotp.TOTP(secret, digits=rule.digits, interval=rule.period_seconds)
    return made.generate_otp(int(time.time()) // rule.period_seconds - periods_ago)
