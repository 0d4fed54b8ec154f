"""The register of clients: the applications that may ask this node for tokens, each with what it
may ask for and how it proves itself.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import msgspec

from quanmin.base.epoch import Epoch
from quanmin.base.problems import Conflict, Invalid, NotFound, Sentence
from quanmin.trust.scopes import Scopes, parse_scopes
from quanmin.trust.sign_in.assertions import read_keys
from quanmin.trust.sign_in.secrets import digest_of

CODE: Final = "authorization_code"
REFRESH: Final = "refresh_token"
SYSTEM: Final = "client_credentials"
INTROSPECT: Final = "introspection"
GRANTS: Final = (CODE, REFRESH, SYSTEM, INTROSPECT)

_NAME: Final = re.compile(r"[A-Za-z0-9._~\-]{1,64}")
_OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+\-]*(\.[a-z0-9+\-]+)+")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# By number alone: what `localhost` is, others may say (RFC 8252 section 8.3).
_OWN_MACHINE: Final = re.compile(
    r"http://(?P<host>127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(?P<path>(/[!-~]*)?)"
)


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An application. It proves itself by keys (`jwks`, or `jwks_url`) or a `secret`; with neither
    it is public. `code` is its `client_id`.
    """

    code: str
    name: str
    grants: frozenset[str]
    scopes: str
    redirects: tuple[str, ...] = ()
    jwks: str | None = None
    jwks_url: str | None = None
    secret: bytes | None = None
    launch_url: str | None = None

    @property
    def is_public(self) -> bool:
        """Whether it has nothing to prove itself by."""
        return self.jwks is None and self.jwks_url is None and self.secret is None

    @property
    def allowed(self) -> Scopes:
        """What it may ask for."""
        return parse_scopes(self.scopes)

    def is_sent_back_to(self, address: str) -> bool:
        """Whether this is one of its addresses, letter by letter; but of one on the person's own
        machine by any port, which a program there is given when it starts (RFC 8252 section 7.3).
        """
        if address in self.redirects:
            return True
        whole = _OWN_MACHINE.fullmatch(address)
        return whole is not None and any(
            known is not None and known.group("host", "path") == whole.group("host", "path")
            for known in map(_OWN_MACHINE.fullmatch, self.redirects)
        )

    def knows(self, secret: str) -> bool:
        """Whether this is its secret, in a time that tells nothing."""
        return self.secret is not None and hmac.compare_digest(self.secret, digest_of(secret))


class Clients:
    """The clients of one node, in its database."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], now: Callable[[], int], revoked: Epoch
    ) -> None:
        """`now` gives microseconds since 1970-01-01T00:00Z."""
        self._pool = pool
        self._now = now
        self._revoked = revoked

    async def find(self, code: str) -> Client | None:
        """The active client of this code."""
        # What no code can be, PostgreSQL might not take as text.
        (row,) = await self._pool.fetch(_FIND, code if _NAME.fullmatch(code) else "")
        found = _client(row)
        return found if row["is_active"] else None

    async def all(self) -> list[tuple[Client, bool]]:
        """Every client, with whether it is active, by code."""
        rows = await self._pool.fetch(f"{_SELECT} order by code")
        return [(_client(row), row["is_active"]) for row in rows]

    async def add(self, client: Client) -> None:
        """Register a client. Raises Invalid for one that could not work or would not be safe,
        Conflict when its code is taken.
        """
        check_client(client)
        made = await self._pool.fetchval(
            "insert into trust.client (code, name, grants, scopes, redirects, jwks, jwks_url,"
            " secret, launch_url, registered) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            " on conflict (code) do nothing returning code",
            client.code,
            client.name,
            sorted(client.grants),
            client.scopes,
            list(client.redirects),
            client.jwks,
            client.jwks_url,
            client.secret,
            client.launch_url,
            self._now(),
        )
        if made is None:
            raise Conflict(
                Sentence(
                    "there is a client “%(code)s” already: choose another code", code=client.code
                )
            )

    async def retire(self, code: str) -> None:
        """The client and all that it holds stop working at once. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            done = await connection.fetchval(
                "update trust.client set is_active = false where code = $1 returning code", code
            )
            if done is None:
                raise NotFound(
                    Sentence(
                        "there is no client “%(code)s”: `quanmin client list` lists them", code=code
                    )
                )
            await connection.execute("delete from trust.token where client = $1", code)
            await connection.execute("delete from trust.code where client = $1", code)
        self._revoked.advance()


_SELECT = (
    "select code, name, grants, scopes, redirects, jwks, jwks_url, secret, launch_url, is_active"
    " from trust.client"
)


# A row for a code that is none as well, of the same shape: the time of an answer does not tell.
_FIND: Final = """
    select coalesce(code, $1) as code, coalesce(name, 'Nobody') as name,
        coalesce(grants, '{authorization_code}') as grants, coalesce(scopes, 'openid') as scopes,
        coalesce(redirects, '{https://nobody.invalid/}') as redirects, jwks, jwks_url, secret,
        launch_url, coalesce(is_active, false) as is_active
    from (select) always left join trust.client on code = $1 and is_active
"""


def _client(row: asyncpg.Record) -> Client:
    return Client(
        code=row["code"],
        name=row["name"],
        grants=frozenset(row["grants"]),
        scopes=row["scopes"],
        redirects=tuple(row["redirects"]),
        jwks=row["jwks"],
        jwks_url=row["jwks_url"],
        secret=row["secret"],
        launch_url=row["launch_url"],
    )


def check_client(client: Client) -> None:
    """Raises Invalid for a client that could not work or would not be safe."""
    if not _NAME.fullmatch(client.code):
        raise Invalid("a client's code has 1 to 64 letters, digits and - . _ ~")
    unknown = sorted(client.grants - set(GRANTS))
    if unknown or not client.grants:
        raise Invalid(Sentence("a client's grants are of %(known)s", known=", ".join(GRANTS)))
    scopes = parse_scopes(client.scopes)
    if CODE in client.grants and not client.redirects:
        raise Invalid("a client of people needs an address to send them back to (--redirect)")
    if REFRESH in client.grants and CODE not in client.grants:
        raise Invalid("only what came of an authorization code is renewed: add authorization_code")
    for address in client.redirects:
        _check_redirect(address)
    if {SYSTEM, INTROSPECT} & client.grants and client.is_public:
        raise Invalid("a system proves itself: give its public keys (--jwks or --jwks-url)")
    if SYSTEM in client.grants and client.jwks is None and client.jwks_url is None:
        raise Invalid("a backend service proves itself by keys, not by a secret (SMART 2.2)")
    if SYSTEM not in client.grants and scopes.of_contexts({"system"}).reaches:
        raise Invalid("system/ scopes are for clients with the grant client_credentials")
    if client.jwks is not None:
        _check_keys(client.jwks)


def _check_keys(text: str) -> None:
    try:
        found = json.loads(text)
    except ValueError:
        raise Invalid("the keys are no JSON Web Key Set (RFC 7517)") from None
    if not read_keys(found):
        raise Invalid(
            "the key set has no public key that may be used: RSA of 2048 bits or more (RS384), or"
            " EC on P-384 (ES384), each with its kid"
        )
    if any(isinstance(key, dict) and {"d", "k", "p", "q"} & key.keys() for key in found["keys"]):
        raise Invalid("the key set holds a private key: register the public ones only")


def _check_redirect(address: str) -> None:
    """An address that only the application receives (RFC 9700 section 2.1, RFC 8252)."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        raise Invalid("a redirect address is no address") from None
    if "#" in address or not address.isascii() or any(ord(sign) <= 0x20 for sign in address):
        raise Invalid("a redirect address has no fragment, no space and plain characters only")
    is_plain = bool(host) and "@" not in parts.netloc and "*" not in host
    is_web = is_plain and parts.scheme == "https"
    is_own_machine = is_plain and parts.scheme == "http" and host in _LOOPBACK
    if not (is_web or is_own_machine or _OWN_SCHEME.fullmatch(parts.scheme)):
        raise Invalid(
            "a redirect address is https://..., http://127.0.0.1..., or of a scheme that is the"
            " reversed name of a domain (com.example.app:/...)"
        )
