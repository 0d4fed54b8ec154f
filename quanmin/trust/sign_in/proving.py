"""Which client asks: it proves itself by an assertion or a secret, or is public and proves
nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from quanmin.base.fetching import FetchPlaces
from quanmin.base.problems import GrantRefused, Problem
from quanmin.trust.sign_in.assertions import (
    KIND,
    Key,
    Proven,
    key_set,
    not_signed,
    prove,
    read_unproven,
)
from quanmin.trust.sign_in.clients import Client, Clients
from quanmin.trust.sign_in.oauth_limits import OAuthLimits
from quanmin.trust.sign_in.secrets import digest_of, new_secret

_FETCHED_MAX: Final = 256
# A key that is not among those fetched is looked for again, but not at every question of anyone.
_AGAIN_SECONDS: Final = 10.0
_SECONDS_MAX: Final = 10.0


_NOBODY: Final = Client(
    code="", name="", grants=frozenset(), scopes="", secret=digest_of(new_secret())
)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """By what a request says which client it is: the fields of its form, and the user and password
    of `Authorization: Basic`.
    """

    client_id: str | None = None
    assertion: str | None = None
    assertion_type: str | None = None
    basic: tuple[str, str] | None = None


class _Kept(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...]
    at: float
    seconds: int


class RemoteKeys:
    """Key sets behind addresses that the operator has allowed, kept for a while."""

    def __init__(
        self,
        places: FetchPlaces,
        limits: OAuthLimits,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._limits = limits
        self._now = now
        self._known: dict[str, _Kept] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    async def keys(self, url: str, kid: str) -> tuple[Key, ...]:
        """The keys behind an address, fetched again when they are older than the answer said they
        may be kept (`oauth.key_seconds_max` at most), or none has this name. Raises GrantRefused
        when they cannot be had.
        """
        async with self._fetching.setdefault(url, asyncio.Lock()):
            known = self._known.get(url)
            if known is not None:
                age = self._now() - known.at
                is_named = any(key.kid == kid for key in known.keys)
                if age < (known.seconds if is_named else _AGAIN_SECONDS):
                    return known.keys
            found = await self._fetch(url)
            if len(self._known) >= _FETCHED_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[url] = found
            return found.keys

    async def _fetch(self, url: str) -> _Kept:
        limits = self._limits
        if not url.startswith(("https://", "http://")):
            raise _refused("keys are fetched from the web only")
        try:
            answer = await self._places.ask(
                url,
                headers={"Accept": "application/json"},
                seconds_max=_SECONDS_MAX,
                bytes_max=limits.key_bytes_max,
            )
        except Problem as problem:
            # What the node met there is its operator's to know, not the asker's.
            raise _out_of_reach() from problem
        if answer.status != 200:
            raise _out_of_reach()
        most = limits.key_seconds_max
        seconds = most if answer.seconds_good is None else min(most, answer.seconds_good)
        return _Kept(key_set(answer.body.decode("utf-8", "replace")), self._now(), seconds)


class Prover:
    """Tells which client asks."""

    def __init__(
        self,
        clients: Clients,
        remote: RemoteKeys,
        limits: OAuthLimits,
        audiences: frozenset[str],
        now: Callable[[], int],
    ) -> None:
        """`audiences` are the addresses of the token endpoint; `now` gives microseconds."""
        self._clients = clients
        self._remote = remote
        self._limits = limits
        self._audiences = audiences
        self._now = now

    async def identify(self, shown: Shown) -> tuple[Client, Proven | None]:
        """The client that a request proves to come from, and the assertion that is to be spent.

        Raises GrantRefused; what a client has instead is not told.
        """
        ways = (shown.assertion is not None) + (shown.basic is not None)
        if ways > 1:
            raise _refused("prove the client in one way: by an assertion, or by a secret")
        if shown.assertion is not None:
            return await self._by_assertion(shown, shown.assertion)
        if shown.basic is not None:
            code, secret = shown.basic
            client = await self._clients.find(code)
            # Compared for one that is not known as well: it costs the same.
            if not (client or _NOBODY).knows(secret) or client is None:
                raise _refused("this client is not known, or its secret is another")
        else:
            client = await self._clients.find(shown.client_id or "")
            if client is None or not client.is_public:
                raise _refused("this client is not known, or has to prove itself")
        if shown.client_id not in {None, client.code}:
            raise _refused("client_id is another than the client that is proven")
        return client, None

    async def _by_assertion(self, shown: Shown, assertion: str) -> tuple[Client, Proven]:
        limits = self._limits
        if shown.assertion_type != KIND:
            raise _refused(f"client_assertion_type must be {KIND}")
        code, kid, jku = read_unproven(assertion, bytes_max=limits.assertion_bytes_max)
        client = await self._clients.find(code)
        # A header may name where the keys are, but not choose it.
        is_theirs = client is not None and jku in {None, client.jwks_url}
        keys = await self._keys(client, kid) if client is not None and is_theirs else ()
        proven = prove(
            assertion,
            keys,
            audiences=self._audiences,
            now=self._now(),
            seconds_max=limits.assertion_seconds_max,
            skew_seconds_max=limits.skew_seconds_max,
            bytes_max=limits.assertion_bytes_max,
        )
        if client is None:
            raise not_signed()
        if shown.client_id not in {None, client.code}:
            raise _refused("client_id is another than the client that is proven")
        return client, proven

    async def _keys(self, client: Client, kid: str) -> tuple[Key, ...]:
        if client.jwks is not None:
            return key_set(client.jwks)
        return await self._remote.keys(client.jwks_url, kid) if client.jwks_url is not None else ()


def _refused(text: str) -> GrantRefused:
    return GrantRefused("invalid_client", text)


def _out_of_reach() -> GrantRefused:
    return _refused("the keys of this client cannot be fetched from its jwks_url")
