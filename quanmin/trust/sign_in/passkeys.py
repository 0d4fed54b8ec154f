"""Passkeys: keys that a device or a token keeps and uses after it has made sure who touches it
(WebAuthn Level 2). One is proof enough of its own: something held, and something known or worn.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from quanmin.base.problems import Conflict, Invalid, Sentence, Unauthenticated

CHALLENGE_SECONDS: Final = 300
_SECOND: Final = 1_000_000
_NAME_LENGTH_MAX: Final = 60
_ANSWER_LENGTH_MAX: Final = 32_768


class Relying(msgspec.Struct, frozen=True):
    """For whom passkeys are made: the name of the host, and the origin its pages come from."""

    id: str
    origin: str
    name: str


class Passkey(msgspec.Struct, frozen=True):
    """One passkey of an account, as its owner sees it."""

    id: bytes
    name: str
    made_at: int
    used_at: int | None


class Passkeys:
    """The passkeys of a node's accounts."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        key: bytes,
        relying: Relying,
        now: Callable[[], int],
    ) -> None:
        """`key` makes keyed hashes; `now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._key = key
        self._relying = relying
        self._now = now

    @property
    def origin(self) -> str:
        """Where browsers find the pages."""
        return self._relying.origin

    async def offer(self, account: str, name: str, challenge: bytes) -> str:
        """What the browser is asked to make a passkey of, as JSON (WebAuthn 5.4)."""
        options = generate_registration_options(
            rp_id=self._relying.id,
            rp_name=self._relying.name,
            user_name=account,
            user_display_name=name,
            # What a device keeps of its owner tells nobody who finds it (WebAuthn 14.6.1).
            user_id=hmac.digest(self._key, b"user handle:" + account.encode(), "sha256"),
            challenge=challenge,
            timeout=CHALLENGE_SECONDS * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=one.id) for one in await self.listed(account)
            ],
        )
        return options_to_json(options)

    async def add(self, account: str, answer: str, challenge: bytes, name: str) -> None:
        """Keep the passkey that the browser made for this challenge. Raises Invalid for an answer
        that is not right, Conflict when it or the challenge was taken before.
        """
        try:
            made = verify_registration_response(
                credential=_bounded(answer),
                expected_challenge=challenge,
                expected_rp_id=self._relying.id,
                expected_origin=self._relying.origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as error:
            raise Invalid("the passkey could not be verified: try again") from error
        await self._spend(challenge)
        kept = await self._pool.fetchval(
            "insert into trust.passkey (id, account, public_key, sign_count, name, made_at)"
            " values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing returning account",
            made.credential_id,
            account,
            made.credential_public_key,
            made.sign_count,
            name.strip()[:_NAME_LENGTH_MAX],
            self._now(),
        )
        if kept is None:
            raise Conflict("this passkey is known already")

    async def ask(self, challenge: bytes, account: str | None = None) -> str:
        """What the browser is asked to sign, as JSON; without an account by any passkey that the
        device keeps for this node.
        """
        allowed = [] if account is None else await self.listed(account)
        options = generate_authentication_options(
            rp_id=self._relying.id,
            challenge=challenge,
            timeout=CHALLENGE_SECONDS * 1000,
            allow_credentials=[PublicKeyCredentialDescriptor(id=one.id) for one in allowed],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    async def prove(self, answer: str, challenge: bytes) -> str:
        """The account whose passkey has signed this challenge. Raises Unauthenticated for anything
        else, and for an answer that was given before: the challenge counts once, and the count of
        signatures, where a passkey counts, must have grown (WebAuthn 7.2, 21).
        """
        try:
            id_ = base64url_to_bytes(msgspec.json.decode(_bounded(answer), type=_Named).id)
            row = await self._pool.fetchrow(
                "select account, public_key, sign_count from trust.passkey where id = $1", id_
            )
            if row is None:
                raise Unauthenticated(_REFUSED)
            proved = verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._relying.id,
                expected_origin=self._relying.origin,
                credential_public_key=row["public_key"],
                credential_current_sign_count=row["sign_count"],
                require_user_verification=True,
            )
        except (WebAuthnException, msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            raise Unauthenticated(_REFUSED) from error
        await self._spend(challenge)
        counted = await self._pool.fetchval(
            "update trust.passkey set sign_count = $2, used_at = $3"
            " where id = $1 and (sign_count < $2 or sign_count = 0 and $2 = 0) returning account",
            id_,
            proved.new_sign_count,
            self._now(),
        )
        if counted is None:
            raise Unauthenticated(_REFUSED)
        return str(counted)

    async def listed(self, account: str) -> tuple[Passkey, ...]:
        """The passkeys of an account, the first made first."""
        rows = await self._pool.fetch(
            "select id, name, made_at, used_at from trust.passkey where account = $1"
            " order by made_at, id",
            account,
        )
        return tuple(Passkey(*row) for row in rows)

    async def _spend(self, challenge: bytes) -> None:
        """Use up a challenge, in all workers. Raises Unauthenticated when it was used before."""
        now = self._now()
        await self._pool.execute("delete from trust.spent where expires < $1", now)
        spent = await self._pool.fetchval(
            "insert into trust.spent (hash, expires) values ($1, $2)"
            " on conflict do nothing returning expires",
            hashlib.sha256(b"challenge:" + challenge).digest(),
            now + 2 * CHALLENGE_SECONDS * _SECOND,
        )
        if spent is None:
            raise Unauthenticated(_REFUSED)


class _Named(msgspec.Struct):
    id: str


_REFUSED: Final = Sentence("this passkey is not known here, or its answer is not right: try again")


def _bounded(answer: str) -> str:
    if len(answer) > _ANSWER_LENGTH_MAX:
        raise ValueError
    return answer
