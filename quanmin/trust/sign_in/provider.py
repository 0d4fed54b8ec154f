"""Asking another issuer: where its endpoints are, its keys, and tokens for a code. What cannot be
had is a refusal with its reason, never a failure of this node.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus

import msgspec

from quanmin.base.fetching import FetchPlaces
from quanmin.base.problems import Problem, Sentence, Unauthenticated
from quanmin.trust.sign_in.external_settings import ExternalSettings
from quanmin.trust.sign_in.foreign_tokens import ForeignKey, read_foreign_keys

_DISCOVERY: Final = "/.well-known/openid-configuration"
# What failed, or a key that was not among those fetched, is not asked for again at once: an issuer
# that is down must not be waited for by everybody, nor be asked by whoever makes up key names.
_AGAIN_SECONDS: Final = 10.0
_BASIC, _POST = "client_secret_basic", "client_secret_post"

_Found = TypeVar("_Found")


class Metadata(msgspec.Struct, frozen=True):
    """What an issuer tells of itself (OpenID Connect Discovery 1.0 section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = (_BASIC,)
    authorization_response_iss_parameter_supported: bool = False


class TokenAnswer(msgspec.Struct, frozen=True):
    """What the token endpoint gives for a code."""

    access_token: str
    id_token: str


class _Kept(msgspec.Struct):
    """What was fetched, and when; `failed_at` is when it could not be had last."""

    value: Any = None
    at: float | None = None
    failed_at: float | None = None
    turn: Any = msgspec.field(default_factory=asyncio.Lock)


class Provider:
    """One issuer, as one process of the node knows it."""

    def __init__(
        self, settings: ExternalSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        origin = "/".join(settings.issuer.split("/")[:3])
        self._places = FetchPlaces(None, f"{origin} {settings.origins}", setting="external.origins")
        self._metadata, self._keys = _Kept(), _Kept()

    async def metadata(self) -> Metadata:
        """Where its endpoints are. Raises Unauthenticated when that cannot be had."""
        found: Metadata = await self._fresh(self._metadata, self._discover, is_enough=True)
        return found

    async def keys(self, kid: str | None) -> tuple[ForeignKey, ...]:
        """Its keys, fetched anew when they are old or none has this name. Raises as above."""
        kept = self._keys.value
        is_enough = kept is not None and any(kid in {None, key.kid} for key in kept)
        found: tuple[ForeignKey, ...] = await self._fresh(
            self._keys, self._fetch_keys, is_enough=is_enough
        )
        return found

    async def exchange(self, code: str, *, redirect: str, verifier: str) -> TokenAnswer:
        """Tokens for a code (OpenID Connect Core 1.0 section 3.1.3). Raises Unauthenticated."""
        metadata = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        settings, secret = self._settings, await asyncio.to_thread(self._secret)
        if secret is None:
            form["client_id"] = settings.client_id
        elif _BASIC in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": settings.client_id, "client_secret": secret}
        body = await self._ask(metadata.token_endpoint, form, headers)
        return _read(body, TokenAnswer)

    def _secret(self) -> str | None:
        file = self._settings.client_secret_file
        if file is None:
            return None
        try:
            return file.read_text("utf-8").strip()
        except (OSError, ValueError):
            raise Unauthenticated(
                "the file of `external.client_secret_file` cannot be read"
            ) from None

    async def _discover(self) -> Metadata:
        body = await self._ask(f"{self._settings.issuer.rstrip('/')}{_DISCOVERY}")
        metadata = _read(body, Metadata)
        if metadata.issuer != self._settings.issuer:
            raise Unauthenticated("the other issuer calls itself otherwise than `external.issuer`")
        shown = (metadata.authorization_endpoint, metadata.end_session_endpoint)
        try:
            for url in (*filter(None, shown), metadata.token_endpoint, metadata.jwks_uri):
                self._places.check(url, "")
                if not url.startswith(("https://", "http://")):
                    raise _faulty()
        except Unauthenticated:
            raise
        except Problem as problem:
            raise Unauthenticated(
                Sentence("an endpoint of the other issuer: %(text)s", text=problem.text)
            ) from problem
        return metadata

    async def _fetch_keys(self) -> tuple[ForeignKey, ...]:
        metadata = await self.metadata()
        return read_foreign_keys(await self._ask(metadata.jwks_uri))

    async def _fresh(self, kept: _Kept, fetch: Callable[[], Any], *, is_enough: bool) -> Any:
        """What is kept while it is good, else fetched: once for all who wait for it."""
        async with kept.turn:
            now = self._clock()
            if kept.at is not None and now - kept.at < (
                self._settings.key_seconds_max if is_enough else _AGAIN_SECONDS
            ):
                return kept.value
            if kept.failed_at is not None and now - kept.failed_at < _AGAIN_SECONDS:
                raise Unauthenticated("the other issuer could not be reached a moment ago")
            try:
                kept.value = await fetch()
            except Problem:
                kept.failed_at = self._clock()
                raise
            kept.at, kept.failed_at = self._clock(), None
            return kept.value

    async def _ask(
        self,
        url: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        settings = self._settings
        try:
            answer = await self._places.ask(
                url,
                form=form,
                headers={"Accept": "application/json", **(headers or {})},
                seconds_max=settings.ask_seconds_max,
                bytes_max=settings.answer_bytes_max,
                certificates=settings.certificates,
            )
        except Problem as problem:
            raise Unauthenticated(
                Sentence("the other issuer: %(text)s", text=problem.text)
            ) from problem
        if answer.status != 200:
            raise Unauthenticated(
                Sentence("the other issuer answers %(status)s", status=answer.status)
            )
        return answer.body


def _read(body: bytes, kind: type[_Found]) -> _Found:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError):
        raise _faulty() from None


def _faulty() -> Unauthenticated:
    return Unauthenticated("the answer of the other issuer is not what OpenID Connect asks for")
