"""Applications as others would write them: their keys, their assertions, and asking for tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from typing import Any

import asyncpg
import httpx
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from quanmin.base.epoch import Epoch
from quanmin.trust import AccessLog, Actor, Actors
from quanmin.trust.sign_in.assertions import KIND
from quanmin.trust.sign_in.clients import Client
from quanmin.trust.sign_in.oauth_limits import OAuthLimits
from quanmin.trust.sign_in.server import AuthorizationServer, Issuer

ADDRESS = "http://node.test"
TOKEN = f"{ADDRESS}/oauth/token"
SEED = b"s" * 32


def now() -> int:
    return time.time_ns() // 1000


def open_server(
    pool: asyncpg.Pool[asyncpg.Record],
    actors: Actors | None = None,
    revoked: Epoch | None = None,
    clock: Any = now,
    log: AccessLog | None = None,
    **limits: Any,
) -> AuthorizationServer:
    """An authorization server as each worker of a node has one."""
    return AuthorizationServer(
        pool,
        actors or Actors(pool),
        OAuthLimits(**limits),
        Issuer(ADDRESS, f"{ADDRESS}/fhir"),
        id_token_key=SEED,
        revoked=revoked or Epoch(),
        now=clock,
        log=log,
    )


class Backend:
    """A backend service with a key of its own."""

    def __init__(self, code: str = "bulk", algorithm: str = "ES384", kid: str = "one") -> None:
        self.code = code
        self.algorithm = algorithm
        self.kid = kid
        self.key: Any = (
            ECKey.generate_key("P-384") if algorithm == "ES384" else RSAKey.generate_key(2048)
        )

    @property
    def jwks(self) -> str:
        return json.dumps({"keys": [{**self.key.as_dict(private=False), "kid": self.kid}]})

    def registered(self, **more: Any) -> Client:
        usual: dict[str, Any] = {
            "code": self.code,
            "name": "Bulk",
            "grants": frozenset({"client_credentials"}),
            "scopes": "system/*.cruds",
            "jwks": self.jwks,
        }
        return Client(**(usual | more))

    async def register(
        self, server: AuthorizationServer, sender: str = "hospital-a", **more: Any
    ) -> None:
        await server.actors.enrol(Actor(self.code, "institution", "Bulk", sender))
        await server.clients.add(self.registered(**more))

    def claims(self, **more: Any) -> dict[str, Any]:
        usual = {
            "iss": self.code,
            "sub": self.code,
            "aud": TOKEN,
            "exp": int(time.time()) + 200,
            "jti": secrets.token_hex(16),
        }
        return {name: value for name, value in (usual | more).items() if value is not None}

    def assertion(self, header: dict[str, Any] | None = None, **more: Any) -> str:
        head = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"} | (header or {})
        return str(
            jws.serialize_compact(
                head,
                json.dumps(self.claims(**more)).encode(),
                self.key,
                algorithms=[self.algorithm],
            )
        )

    def form(self, scope: str = "system/*.rs", assertion: str | None = None) -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": KIND,
            "client_assertion": assertion or self.assertion(),
        }


def bare(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def proof() -> tuple[str, str]:
    """A verifier, and its challenge (RFC 7636)."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def caller(door: Any) -> httpx.AsyncClient:
    """A program that asks a door, with no token."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=ADDRESS, timeout=30)


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def token_of(asking: httpx.AsyncClient, backend: Backend, scope: str = "system/*.rs") -> str:
    answer = await asking.post("/oauth/token", data=backend.form(scope))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])
