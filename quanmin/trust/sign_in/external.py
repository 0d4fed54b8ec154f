"""Signing in by another issuer (OpenID Connect Core 1.0, code flow with PKCE): it says who somebody
is, this node what they may do. A subject of the issuer is an account that is here already; nothing
that the issuer says makes an account, a role or a post.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg
import msgspec

from quanmin.base.problems import Conflict, NotFound, Sentence, TokenRefused, Unauthenticated
from quanmin.trust.sign_in.accounts import Accounts
from quanmin.trust.sign_in.external_settings import ExternalSettings
from quanmin.trust.sign_in.foreign_tokens import (
    Expected,
    check_id_token,
    check_logout_token,
    prove_token,
    read_header,
)
from quanmin.trust.sign_in.limits import SignInLimits
from quanmin.trust.sign_in.provider import Provider

BACK: Final = "/sign-in/external/back"
METHOD: Final = "ext"
"""What a session that began at another issuer has among its methods; RFC 8176 does not know it."""

_MICROSECONDS: Final = 1_000_000
_HOUR: Final = 3600 * _MICROSECONDS
_PENDING_SECONDS: Final = 600
_CODE_LENGTH_MAX: Final = 4096
_ID_TOKEN: Final = (None, "JWT")
_LOGOUT: Final = (None, "JWT", "logout+jwt")
_ADMINISTRATORS: Final = "_administrator"


class Pending(msgspec.Struct, frozen=True):
    """A sign-in on its way, which the person's browser keeps, sealed."""

    state: str
    nonce: str
    verifier: str


class Arrived(msgspec.Struct, frozen=True):
    """Who has come back: the account, when they proved themselves there (microseconds since 1970),
    whether the issuer vouches for a second factor, and a hash of what it calls the session.
    """

    account: str
    authenticated: int
    has_second_factor: bool
    session: bytes | None


class External:
    """The issuer beside the node's own, and who of its people are accounts here."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        settings: ExternalSettings,
        accounts: Accounts,
        now: Callable[[], int],
        *,
        limits: SignInLimits,
        origin: str,
        ended: Callable[[], None],
    ) -> None:
        """`origin` is where browsers find the pages; `now` gives microseconds since 1970; `ended`
        is called when sessions have ended.
        """
        self._ended = ended
        self.settings = settings
        self.provider = Provider(settings)
        self._pool = pool
        self._limits = limits
        self._accounts = accounts
        self._now = now
        self._origin = origin

    # ---- the way there and back ------------------------------------------------------------------

    async def begin(self, *, is_anew: bool = False) -> tuple[str, Pending]:
        """Where to send the browser, and what it must bring back; with `is_anew` the person has to
        prove themselves there once more. Raises Unauthenticated when the issuer cannot be reached.
        """
        metadata = await self.provider.metadata()
        pending = Pending(*(secrets.token_urlsafe(32) for _ in range(3)))
        digest = hashlib.sha256(pending.verifier.encode()).digest()
        fields = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": f"{self._origin}{BACK}",
            "scope": self.settings.scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            # Asked for, it must say when that was (OpenID Connect Core 1.0 section 3.1.2.1).
            "max_age": str(self._limits.session_hours_max * 3600),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({"prompt": "login"} if is_anew else {}),
        }
        return _with(metadata.authorization_endpoint, fields), pending

    async def finish(self, pending: Pending, said: Mapping[str, str]) -> Arrived:
        """Who has come back with this answer. Raises Unauthenticated for an answer that is not to
        this very request, is from another issuer (RFC 9207), has come before, or is of nobody who
        has an account here.
        """
        if not hmac.compare_digest(said.get("state", "").encode(), pending.state.encode()):
            raise Unauthenticated("this answers another request to sign in: begin again")
        metadata = await self.provider.metadata()
        names_issuer = metadata.authorization_response_iss_parameter_supported
        if said.get("iss") not in ({metadata.issuer} if names_issuer else {metadata.issuer, None}):
            raise Unauthenticated("another issuer has answered: begin again (RFC 9207)")
        await self._spend(b"state:" + pending.state.encode())
        code = said.get("code", "")
        if "error" in said or not 0 < len(code) <= _CODE_LENGTH_MAX:
            raise Unauthenticated("the other issuer did not let you in")
        redirect = f"{self._origin}{BACK}"
        given = await self.provider.exchange(code, redirect=redirect, verifier=pending.verifier)
        claims = await self.prove(given.id_token, self.settings.client_id, _ID_TOKEN)
        check_id_token(
            claims,
            client=self.settings.client_id,
            nonce=pending.nonce,
            access_token=given.access_token,
            algorithm=read_header(given.id_token).alg,
        )
        return Arrived(
            await self._account_of(claims),
            self._authenticated(claims),
            self.has_second_factor(claims),
            self._session_of(claims),
        )

    async def way_out(self) -> str | None:
        """Where one ends the session at the issuer as well (RP-Initiated Logout 1.0); None when it
        does not say.
        """
        try:
            end = (await self.provider.metadata()).end_session_endpoint
        except Unauthenticated:
            return None
        if end is None:
            return None
        back = f"{self._origin}/sign-in"
        fields = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}
        return _with(end, fields)

    async def end_sessions(self, logout_token: str) -> None:
        """End the sessions of which the issuer says that they have ended there (Back-Channel Logout
        1.0): the one it names, or all that the subject began there. Raises TokenRefused.
        """
        claims = await self.prove(logout_token, self.settings.client_id, _LOGOUT)
        check_logout_token(claims)
        try:
            await self._spend(b"logout:" + str(claims["jti"]).encode())
        except Unauthenticated:
            raise TokenRefused("this logout token was used before") from None
        session = self._session_of(claims)
        account = await self.linked(claims["sub"]) if "sub" in claims else None
        await self._pool.execute(
            "delete from trust.session where ($1::bytea is not null and external = $1"
            " or $1 is null and account = $2 and $3 = any(methods))",
            session,
            account,
            METHOD,
        )
        self._ended()

    async def prove(
        self, token: str, audience: str, types: tuple[str | None, ...]
    ) -> dict[str, Any]:
        """The claims of a token that the issuer made for an audience. Raises Unauthenticated."""
        header = read_header(token)
        expected = Expected(
            issuer=self.settings.issuer,
            audience=audience,
            algorithms=frozenset(self.settings.algorithms.split()),
            now=self._now() / _MICROSECONDS,
            skew_seconds=self.settings.skew_seconds_max,
        )
        return prove_token(token, await self.provider.keys(header.kid), expected, types)

    # ---- which account a subject is --------------------------------------------------------------

    async def linked(self, subject: str) -> str | None:
        """The code of the account that a subject of the issuer is; None for one who is none."""
        code: str | None = await self._pool.fetchval(
            "select account from trust.external_link where issuer = $1 and subject = $2",
            self.settings.issuer,
            subject,
        )
        return code

    async def account_of(self, subject: str) -> str | None:
        """The same, while that account may sign in."""
        code = await self.linked(subject)
        account = None if code is None else await self._accounts.find(code)
        return code if account is not None and account.may_sign_in else None

    async def link(self, subject: str, account: str) -> None:
        """From now on this subject of the issuer is this account. Raises NotFound, Conflict."""
        async with self._pool.acquire() as connection, connection.transaction():
            known = await connection.fetchval(
                "select code from trust.account where code = $1 and retired_at is null for share",
                account,
            )
            if known is None:
                raise NotFound(
                    Sentence(
                        "there is no account “%(account)s”: `quanmin account list` shows all",
                        account=account,
                    )
                )
            made = await connection.fetchval(
                "insert into trust.external_link (issuer, subject, account, made_at)"
                " values ($1, $2, $3, $4) on conflict do nothing returning account",
                self.settings.issuer,
                subject,
                account,
                self._now(),
            )
        if made is None:
            raise Conflict("this subject is an account already, or the account has another subject")

    async def unlink(self, account: str) -> None:
        """The account has no subject of the issuer any more; sessions that began there end. Raises
        NotFound.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            done = await connection.fetchval(
                "delete from trust.external_link where issuer = $1 and account = $2 returning"
                " account",
                self.settings.issuer,
                account,
            )
            await connection.execute(
                "delete from trust.session where account = $1 and $2 = any(methods)",
                account,
                METHOD,
            )
        self._ended()
        if done is None:
            raise NotFound(
                Sentence(
                    "the account “%(account)s” has no subject of the other issuer", account=account
                )
            )

    async def _account_of(self, claims: Mapping[str, Any]) -> str:
        subject = str(claims["sub"])
        account = await self.linked(subject)
        if account is None:
            account = await self._chosen(claims)
            if account is None:
                raise Unauthenticated("nobody of this node is known by this sign-in")
            try:
                await self.link(subject, account)
            except (Conflict, NotFound):
                # A name that was somebody else's there, or came at the same moment.
                raise Unauthenticated("nobody of this node is known by this sign-in") from None
        return account

    async def _chosen(self, claims: Mapping[str, Any]) -> str | None:
        """The account that a claim names, where the operator has said which claim does. What an
        administrator of the issuer writes into a claim must not make one of the node.
        """
        code = claims.get(self.settings.account_claim) if self.settings.account_claim else None
        number = claims.get(self.settings.document_claim) if self.settings.document_claim else None
        rows = await self._pool.fetch(
            "select code from trust.account c where retired_at is null"
            " and (code = $1 or holder = $2) and not exists (select from trust.actor a"
            " where a.account = c.code and a.is_active and (a.role = 'operator'"
            " or right(a.role, $3) = $4)) limit 2",
            code.strip().casefold() if isinstance(code, str) else None,
            self._accounts.holder_of(number) if isinstance(number, str) and number else None,
            len(_ADMINISTRATORS),
            _ADMINISTRATORS,
        )
        return rows[0]["code"] if len(rows) == 1 else None

    def _authenticated(self, claims: Mapping[str, Any]) -> int:
        """When the person proved themselves there: a session of theirs may be hours old, and must
        not pass here for a proof of this minute.
        """
        said = claims.get("auth_time")
        if isinstance(said, bool) or not isinstance(said, int | float):
            raise Unauthenticated("the other issuer does not say when somebody proved themselves")
        now = self._now()
        at, skew = int(said * _MICROSECONDS), self.settings.skew_seconds_max * _MICROSECONDS
        if not now - self._limits.session_hours_max * _HOUR - skew <= at <= now + skew:
            raise Unauthenticated("it is too long ago that somebody proved themselves there")
        return min(at, now)

    def has_second_factor(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token of the issuer vouches for a second factor, as the setting counts it."""
        amr = claims.get("amr")
        said = {claims.get("acr"), *(amr if isinstance(amr, list) else ())}
        accepted = set(self.settings.second_factors.split())
        return any(isinstance(one, str) and one in accepted for one in said)

    def _session_of(self, claims: Mapping[str, Any]) -> bytes | None:
        sid = claims.get("sid")
        if not isinstance(sid, str) or not sid:
            return None
        return hashlib.sha256(f"{self.settings.issuer} {sid}".encode()).digest()

    async def _spend(self, once: bytes) -> None:
        """Raises Unauthenticated when this was used before, whichever worker it was shown to."""
        now = self._now()
        done = await self._pool.fetchval(
            "insert into trust.spent (hash, expires) values ($1, $2) on conflict do nothing"
            " returning true",
            hashlib.sha256(once).digest(),
            now + _PENDING_SECONDS * _MICROSECONDS,
        )
        if done is None:
            raise Unauthenticated("this answer was used before: begin again")


def _with(address: str, fields: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"
