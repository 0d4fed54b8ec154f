"""The second factors of accounts, counted and taken away: who has one keeps one (GB/T 22239-2019
8.1.4.1 d, for everybody who signs in).
"""

from __future__ import annotations

from typing import Final

import asyncpg

# Of an account `k`. Who comes by another issuer has proved the second factor there.
PROVES_TWO: Final = (
    "(exists (select from trust.totp f where f.account = k.code)"
    " or exists (select from trust.passkey f where f.account = k.code)"
    " or exists (select from trust.external_link f where f.account = k.code))"
)

_ANY: Final = (
    "select exists (select from trust.totp where account = $1)"
    " or exists (select from trust.passkey where account = $1)"
)
_OTHERS: Final = (
    "select $2::bytea is not null and exists (select from trust.totp where account = $1)"
    " or exists (select from trust.passkey where account = $1 and id is distinct from $2)"
)


class Factors:
    """The passkeys and authenticators of a node's accounts, together."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def are_there(self, account: str) -> bool:
        """Whether the account has a passkey or an authenticator."""
        return bool(await self._pool.fetchval(_ANY, account))

    async def take_away(self, account: str, passkey: bytes | None = None) -> bool:
        """A passkey, or (None) the authenticator, is there no more; False, and it stays, when
        nothing else is left. Of two that are taken away at once one stays.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "select from trust.account where code = $1 for no key update", account
            )
            if not await connection.fetchval(_OTHERS, account, passkey):
                return False
            await connection.execute(
                "delete from trust.totp where account = $1 and $2::bytea is null", account, passkey
            )
            await connection.execute(
                "delete from trust.passkey where account = $1 and id = $2", account, passkey
            )
        return True
