"""The authorization server without its addresses: what a client asks for becomes tokens.

What is granted is what is asked for, as far as the client may ask and the one it works for may.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import asyncpg
import msgspec

from quanmin.base.epoch import Epoch
from quanmin.base.fetching import FetchPlaces
from quanmin.base.logs import correlation_id
from quanmin.base.problems import GrantRefused
from quanmin.base.rooted import Rooted
from quanmin.trust.actors import Actor, Actors
from quanmin.trust.log import Access, AccessLog
from quanmin.trust.log.noting import ACTING
from quanmin.trust.scopes import Scopes, parse_scopes
from quanmin.trust.sign_in.assertions import Proven
from quanmin.trust.sign_in.clients import CODE, INTROSPECT, REFRESH, SYSTEM, Client, Clients
from quanmin.trust.sign_in.codes import Approved, Codes
from quanmin.trust.sign_in.foreign_tokens import hash_of_token
from quanmin.trust.sign_in.id_tokens import ALGORITHM, IdTokens
from quanmin.trust.sign_in.oauth_limits import OAuthLimits
from quanmin.trust.sign_in.proving import Prover, RemoteKeys, Shown
from quanmin.trust.sign_in.tokens import Issued, Tokens, Told

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address
_SECOND = 1_000_000
_PURPOSE = "HSYSADMIN"
# Those that RFC 8176 knows.
_METHODS = frozenset({"pwd", "otp", "hwk", "user", "mfa"})


@cache
def _definition() -> dict[str, dict[str, str]]:
    text = files("quanmin.definitions").joinpath("smart.toml").read_text("utf-8")
    return tomllib.loads(text)


def scopes_of_role(role: str) -> Scopes:
    """How far applications reach for an actor of this role at most; nowhere for any other."""
    return parse_scopes(_definition()["roles"].get(role, ""))


def grantable(asked: Scopes, client: Client, actor: Actor) -> Scopes:
    """What of the scopes asked for a client gets for an actor."""
    of_role = scopes_of_role(actor.role)
    allowed = asked.within(client.allowed)
    plain = allowed.plain
    if REFRESH not in client.grants:
        plain -= {"offline_access", "online_access"}
    return allowed.within(Scopes(of_role.reaches, plain))


class Issuer(msgspec.Struct, frozen=True):
    """Where the server stands: its own address, and that of the records it guards."""

    address: str
    fhir: str

    def at(self, path: str) -> str:
        """The whole address of a path."""
        return f"{self.address}{path}"


class AuthorizationServer:
    """The parts of the authorization server of one process, and what clients ask of it."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        actors: Actors,
        limits: OAuthLimits,
        issuer: Issuer,
        *,
        id_token_key: bytes | Rooted,
        revoked: Epoch,
        now: Callable[[], int],
        log: AccessLog | None = None,
    ) -> None:
        """`id_token_key` seals the keys of id tokens; `now` gives microseconds since 1970. In `log`
        stands each token that was given for a patient; None where nothing of patients is.
        """
        self._log = log
        self.now = now
        self.limits = limits
        self.issuer = issuer
        self.revoked = revoked
        self.actors = actors
        self.clients = Clients(pool, now, revoked)
        self.tokens = Tokens(pool, now, limits, revoked)
        self.codes = Codes(pool, now, limits, self.tokens)
        self.id_tokens = IdTokens(
            pool, id_token_key, now, days_max=limits.id_token_key_days_max, revoked=revoked
        )
        self._now = now
        self._prover = Prover(
            self.clients,
            RemoteKeys(FetchPlaces(None, limits.key_origins, setting="oauth.key_origins"), limits),
            limits,
            frozenset({issuer.at(TOKEN_PATH)}),
            now,
        )

    async def identify(self, shown: Shown) -> tuple[Client, Proven | None]:
        """See `Prover.identify`."""
        return await self._prover.identify(shown)

    async def give_to_system(self, client: Client, proven: Proven | None, asked: str) -> Issued:
        """A token for a backend service (SMART 2.2, backend-services). Raises GrantRefused."""
        _require(client, SYSTEM)
        if proven is None:
            raise GrantRefused(
                "invalid_client", "a backend service proves itself by a signed assertion"
            )
        actor = await self.actors.by_code(client.code)
        if actor is None:
            raise GrantRefused("invalid_client", "this client works for nobody any more")
        scopes = grantable(parse_scopes(asked).of_contexts({"system"}), client, actor)
        granted = Scopes(scopes.reaches)
        if not granted.reaches:
            raise GrantRefused(
                "invalid_scope", "none of these scopes is open to this client: ask for system/..."
            )
        return await self.tokens.give_to_system(proven, actor=actor.code, scopes=granted)

    async def exchange(
        self, client: Client, *, code: str, redirect: str, verifier: str
    ) -> tuple[Issued, str | None]:
        """Tokens for a code, and the id token where that was asked for. Raises GrantRefused."""
        _require(client, CODE)
        issued, approved = await self.codes.exchange(
            code, client.code, redirect=redirect, verifier=verifier
        )
        await self._note(issued)
        return issued, await self._id_token(approved, issued)

    async def renew(self, client: Client, *, refresh: str, asked: str | None) -> Issued:
        """New tokens for a refresh token. Raises GrantRefused."""
        _require(client, REFRESH)
        issued = await self.tokens.renew(refresh, client.code, asked)
        await self._note(issued)
        return issued

    async def tell(self, client: Client, token: str) -> Told | None:
        """What a token is, to a client that may know: its own, or any where it is registered to
        introspect.
        """
        told = await self.tokens.tell(token)
        if told is None or (told.grant.client != client.code and INTROSPECT not in client.grants):
            return None
        return told

    async def _note(self, issued: Issued) -> None:
        """A token opens what is recorded of a patient: that it was given is noted before it is."""
        grant = issued.grant
        if self._log is None or grant.patient is None:
            return
        actor = await self.actors.by_code(grant.actor)
        role = "" if actor is None else actor.role
        entry = Access(
            at=self._now(),
            request=correlation_id.get(),
            actor=grant.actor,
            role="guardian" if grant.proxy is not None else role,
            purpose=_PURPOSE,
            action="token",
            type=None,
            outcome="ok",
            hits=1,
            records=(grant.patient,),
            patients=(grant.patient,),
            client=grant.client,
            note=None if grant.proxy is None else f"{ACTING}{grant.proxy}",
        )
        await self._log.note([entry])

    async def _id_token(self, approved: Approved, issued: Issued) -> str | None:
        if "openid" not in approved.grant.scopes.plain:
            return None
        now = self._now() // _SECOND
        claims: dict[str, Any] = {
            "iss": self.issuer.address,
            "sub": approved.grant.actor,
            "aud": approved.grant.client,
            "iat": now,
            "exp": now + self.limits.access_seconds_max,
            "at_hash": hash_of_token(issued.access, ALGORITHM),
        }
        if approved.nonce is not None:
            claims["nonce"] = approved.nonce
        if approved.authenticated is not None:
            claims["auth_time"] = approved.authenticated // _SECOND
        methods = [method for method in approved.methods if method in _METHODS]
        if methods:
            claims["amr"] = methods
        if {"fhirUser", "profile"} & approved.grant.scopes.plain and approved.fhir_user:
            claims["fhirUser"] = f"{self.issuer.fhir}/{approved.fhir_user}"
        return await self.id_tokens.sign(claims)


def _require(client: Client, grant: str) -> None:
    if grant not in client.grants:
        raise GrantRefused("unauthorized_client", f"this client is not registered for {grant}")
