"""Id tokens: a signed statement to an application about who is there (OpenID Connect Core 1.0).

They are signed by RS256, which every client of OpenID Connect knows (section 15.1). A key signs for
`oauth.id_token_key_days_max`; its successor is published an hour before it signs, and it is
published for a day after, so that no application meets a signature whose key it cannot find.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from quanmin.base.crypto import International
from quanmin.base.database import Connection
from quanmin.base.epoch import Epoch
from quanmin.base.node_keys import SealedColumn
from quanmin.base.rooted import Rooted, rooted

ALGORITHM: Final = "RS256"
ID_TOKEN_KEYS: Final = "id token keys"  # noqa: S105 - the name of a purpose
"""The purpose for which the key that seals them is derived from the node's."""
_BITS: Final = 2048
_EXPONENT: Final = 65537
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_AHEAD: Final = 3600 * _SECOND
_AFTER: Final = _DAY
_BELIEVED: Final = 60 * _SECOND
_PLACE: Final = b"id token key"
_LOCK: Final = 7_205_103

SEALED: Final = (SealedColumn("trust.id_token_key", "sealed", ID_TOKEN_KEYS, lambda _: _PLACE),)
_LISTED: Final = "select sealed, made_at from trust.id_token_key order by made_at, number"


class SigningKey(msgspec.Struct, frozen=True):
    """A key, its public half as applications fetch it (RFC 7517), and when it was made."""

    private: Any
    public: dict[str, Any]
    made_at: int


class IdTokens:
    """The keys of one node for id tokens, and what they sign."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        key: bytes | Rooted,
        now: Callable[[], int],
        *,
        days_max: int,
        revoked: Epoch,
    ) -> None:
        """`key` seals the keys in the database; `now` gives microseconds since 1970; whatever was
        known before `revoked` was advanced is looked up again.
        """
        self._pool = pool
        self._key = rooted(key)
        self._now = now
        self._days_max = days_max
        self._revoked = revoked
        self._known: tuple[SigningKey, ...] = ()
        self._read_at = 0
        self._epoch = -1

    async def key_set(self) -> dict[str, Any]:
        """The public keys by which id tokens are, soon will be, or lately were signed."""
        return {"keys": [key.public for key in await self._keys()]}

    async def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a signed token."""
        keys, now = await self._keys(), self._now()
        known = [key for key in keys if key.made_at <= now - _AHEAD]
        key = known[-1] if known else keys[0]
        header = {"alg": ALGORITHM, "kid": key.public["kid"], "typ": "JWT"}
        signed = f"{_encode_json(header)}.{_encode_json(claims)}"
        return f"{signed}.{_encode(key.private.sign(signed.encode(), PKCS1v15(), SHA256()))}"

    async def _keys(self) -> tuple[SigningKey, ...]:
        now, epoch = self._now(), self._revoked.number
        if not self._known or epoch != self._epoch or not 0 <= now - self._read_at < _BELIEVED:
            rows = await self._pool.fetch(_LISTED)
            if not rows or rows[-1]["made_at"] <= now - self._days_max * _DAY:
                rows = await self._renew(now)
            self._known, self._read_at, self._epoch = self._opened(rows, now), now, epoch
        return self._known

    async def _renew(self, now: int) -> list[asyncpg.Record]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            rows = await connection.fetch(_LISTED)  # another may have made it meanwhile
            if not rows or rows[-1]["made_at"] <= now - self._days_max * _DAY:
                await _make(connection, self._key, now)
                await connection.execute(
                    "delete from trust.id_token_key k where exists (select from trust.id_token_key"
                    " n where n.made_at > k.made_at and n.made_at <= $1)",
                    now - _AHEAD - _AFTER,
                )
                rows = await connection.fetch(_LISTED)
            return list(rows)

    def _opened(self, rows: list[asyncpg.Record], now: int) -> tuple[SigningKey, ...]:
        over = [row["made_at"] for row in rows if row["made_at"] <= now - _AHEAD - _AFTER]
        since = over[-1] if over else 0
        opened = []
        for row in rows:
            if row["made_at"] < since:
                continue
            plain = self._key.open(row["sealed"], _PLACE)
            private = load_der_private_key(plain, password=None)
            if not isinstance(private, RSAPrivateKey):
                raise TypeError("id tokens are signed with an RSA key")
            opened.append(SigningKey(private, _public_jwk(private), row["made_at"]))
        return tuple(opened)


async def replace_key(connection: Connection, key: bytes | Rooted, now: int) -> None:
    """Forget the keys of id tokens and make another, sealed under `key`: for one that somebody else
    may have. What they have signed is believed no more; a process knows it once its number of what
    was revoked has advanced.
    """
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute("delete from trust.id_token_key")
        await _make(connection, rooted(key), now)


async def _make(connection: Connection, key: Rooted, now: int) -> None:
    made = await asyncio.to_thread(generate_private_key, _EXPONENT, _BITS)
    plain = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    await connection.execute(
        "insert into trust.id_token_key (sealed, made_at) values ($1, $2)",
        key.seal(International(), plain, _PLACE),
        now,
    )


def _public_jwk(key: RSAPrivateKey) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    members = {
        "e": _encode(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
        "kty": "RSA",
        "n": _encode(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
    }
    # RFC 7638: the hash of exactly these members, in this order.
    thumbprint = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    kid = _encode(hashlib.sha256(thumbprint).digest())
    return {**members, "kid": kid, "use": "sig", "alg": ALGORITHM}


def _encode_json(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
