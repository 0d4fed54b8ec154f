"""Codes for whoever has lost the second factor: made together, shown once, each good once."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

import asyncpg

from quanmin.trust.sign_in.measures import RecoveryRule

_SIGNS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_SIGNS: Final = 16
_GROUP: Final = 4


class Recovery:
    """The recovery codes of a node's accounts, as hashes: each has 80 random bits."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], rule: RecoveryRule) -> None:
        self._pool = pool
        self._rule = rule

    async def renew(self, account: str) -> tuple[str, ...]:
        """New codes in place of all there were; these are the only copies."""
        codes = ["".join(secrets.choice(_SIGNS) for _ in range(_CODE_SIGNS)) for _ in self._places]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("delete from trust.recovery_code where account = $1", account)
            await connection.executemany(
                "insert into trust.recovery_code (account, hash) values ($1, $2)",
                [(account, _hash(code)) for code in codes],
            )
        return tuple(
            "-".join(code[at : at + _GROUP] for at in range(0, _CODE_SIGNS, _GROUP))
            for code in codes
        )

    async def take(self, account: str, code: str) -> bool:
        """Whether this is a code of the account that was not used before; it is now."""
        used = await self._pool.fetchval(
            "delete from trust.recovery_code where account = $1 and hash = $2 returning account",
            account,
            _hash(code),
        )
        return used is not None

    async def count(self, account: str) -> int:
        """How many are left."""
        left: int = await self._pool.fetchval(
            "select count(*) from trust.recovery_code where account = $1", account
        )
        return left

    @property
    def _places(self) -> range:
        return range(self._rule.codes)


def _hash(code: str) -> bytes:
    bare = re.sub(r"[\s-]+", "", code).upper()
    return hashlib.sha256(bare.encode("utf-8", "replace")).digest()
