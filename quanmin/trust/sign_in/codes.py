"""Authorization codes: what a person has approved, on its way to the application by the person's
browser. A code works once, for the one who asked for it (PKCE, RFC 7636, S256 alone).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from quanmin.base.database import Connection
from quanmin.base.problems import GrantRefused
from quanmin.trust.actors import SESSION_LASTS
from quanmin.trust.sign_in.factors import PROVES_TWO
from quanmin.trust.sign_in.oauth_limits import OAuthLimits
from quanmin.trust.sign_in.secrets import digest_of, new_family, new_secret
from quanmin.trust.sign_in.tokens import Grant, Issued, Tokens, grant_of

_SECOND: Final = 1_000_000
_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_\-]{43}")


_SHOWN: Final = f"""
    select c.*, a.is_active and k.locked_at is null and k.retired_at is null
        and (c.session is null or {SESSION_LASTS.format(at="$2")})
        and (k.code is null or {PROVES_TWO}) as may
    from trust.code c join trust.actor a on a.code = c.actor
    left join trust.account k on k.code = a.account
    left join trust.session s on s.id = c.session where c.hash = $1 for update of c
"""  # noqa: S608 - all are constants


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has approved. `authenticated` is when they signed in (microseconds) and
    `methods` by what (RFC 8176), `fhir_user` their own record, by reference.
    """

    grant: Grant
    redirect: str
    challenge: str
    nonce: str | None = None
    authenticated: int | None = None
    fhir_user: str | None = None
    methods: tuple[str, ...] = ()


class Launch(msgspec.Struct, frozen=True):
    """What an application is opened with, by ids."""

    patient_id: str | None = None
    encounter_id: str | None = None


class Codes:
    """The codes and launches of one node."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        now: Callable[[], int],
        limits: OAuthLimits,
        tokens: Tokens,
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._now = now
        self._limits = limits
        self._tokens = tokens

    async def give(self, approved: Approved) -> str:
        """A code for what was approved."""
        code, grant = new_secret(), approved.grant
        family = grant.family or new_family()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into trust.approval (family, client, actor, scopes, proxy, given_at)"
                " values ($1, $2, $3, $4, $5, $6)",
                family,
                grant.client,
                grant.actor,
                str(grant.scopes),
                grant.proxy,
                self._now(),
            )
            await self._put(connection, code, family, approved)
        return code

    async def _put(
        self, connection: Connection, code: str, family: int, approved: Approved
    ) -> None:
        grant = approved.grant
        await connection.execute(
            "insert into trust.code (hash, family, client, actor, scopes, redirect, challenge,"
            " nonce, authenticated, fhir_user, patient, patient_id, encounter_id, session,"
            " expires, methods, proxy) values"
            " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            digest_of(code),
            family,
            grant.client,
            grant.actor,
            str(grant.scopes),
            approved.redirect,
            approved.challenge,
            approved.nonce,
            approved.authenticated,
            approved.fhir_user,
            grant.patient,
            grant.patient_id,
            grant.encounter_id,
            grant.session,
            self._now() + self._limits.code_seconds_max * _SECOND,
            list(approved.methods),
            grant.proxy,
        )

    async def exchange(
        self, code: str, client: str, *, redirect: str, verifier: str
    ) -> tuple[Issued, Approved]:
        """Tokens for a code. Raises GrantRefused; a code that is shown again ends all that it was
        exchanged for (RFC 6749 section 4.1.2), since then somebody else has it.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _SHOWN,
                digest_of(code),
                now := self._now(),
            )
            is_over = row is not None and row["used"] is None and row["expires"] <= now
            if row is None or row["client"] != client or is_over:
                raise _unknown()
            if row["used"] is None:
                approved = _approved(row)
                is_theirs = (
                    bool(row["may"])
                    and redirect == approved.redirect
                    and is_verified(approved.challenge, verifier)
                )
                # Used up by a wrong verifier too: who tries is not who asked for it.
                await connection.execute(
                    "update trust.code set used = $2 where hash = $1", row["hash"], now
                )
                issued = await self._tokens.give(connection, approved.grant) if is_theirs else None
            else:
                approved, issued = _approved(row), None
                await self._tokens.end_family(connection, row["family"])
        if issued is None:
            self._tokens.announce()
            raise _unknown()
        return issued, approved

    async def launch(self, client: str, actor: str, launch: Launch) -> str:
        """A handle by which this client, opened by this actor, gets what it is opened with."""
        handle = new_secret()
        await self._pool.execute(
            "insert into trust.launch (hash, client, actor, patient_id, encounter_id, expires)"
            " values ($1, $2, $3, $4, $5, $6)",
            digest_of(handle),
            client,
            actor,
            launch.patient_id,
            launch.encounter_id,
            self._now() + self._limits.launch_seconds_max * _SECOND,
        )
        return handle

    async def launched(self, handle: str, client: str, actor: str) -> Launch | None:
        """What a launch holds; None when there is none of this client and actor (any more)."""
        row = await self._pool.fetchrow(
            "select patient_id, encounter_id from trust.launch"
            " where hash = $1 and client = $2 and actor = $3 and expires > $4",
            digest_of(handle),
            client,
            actor,
            self._now(),
        )
        return None if row is None else Launch(row["patient_id"], row["encounter_id"])


def is_verified(challenge: str, verifier: str) -> bool:
    """Whether a verifier is what a challenge was made of (RFC 7636 section 4.6, S256)."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)


def _approved(row: asyncpg.Record) -> Approved:
    return Approved(
        grant=grant_of(row),
        redirect=row["redirect"],
        challenge=row["challenge"],
        nonce=row["nonce"],
        authenticated=row["authenticated"],
        fhir_user=row["fhir_user"],
        methods=tuple(row["methods"]),
    )


def _unknown() -> GrantRefused:
    return GrantRefused(
        "invalid_grant",
        "this code is not valid (any more), or redirect_uri or code_verifier are not those that it"
        " was asked for with",
    )
