"""The addresses of the authorization server that applications themselves ask: tokens, what they
are, taking them back, and the documents that tell where all that is.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

import msgspec

from quanmin.api.address import parse_pairs
from quanmin.api.negotiation import PLAIN_JSON
from quanmin.api.oauth import discovery
from quanmin.api.reply import Headers, Reply
from quanmin.base.problems import GrantRefused, NotAllowed, Overloaded, Problem, Unauthenticated
from quanmin.trust.sign_in.clients import CODE, REFRESH, SYSTEM, Client
from quanmin.trust.sign_in.codes import Launch
from quanmin.trust.sign_in.proving import Shown

if TYPE_CHECKING:
    from quanmin.api.door import Gate
    from quanmin.api.request import Request
    from quanmin.trust.sign_in.external import External
    from quanmin.trust.sign_in.server import AuthorizationServer
    from quanmin.trust.sign_in.tokens import Grant, Issued

_NO_STORE: Final[Headers] = ((b"pragma", b"no-cache"),)
_OPEN_TO_PAGES: Final[Headers] = ((b"access-control-allow-origin", b"*"),)
_FORM: Final = "application/x-www-form-urlencoded"
_METHODS: Final = {"GET": ("GET", "HEAD"), "POST": ("POST",)}

Answer = Callable[["Request"], Awaitable[Reply]]


class OAuth:
    """Answers what applications ask of the authorization server."""

    def __init__(
        self, server: AuthorizationServer, gate: Gate, external: External | None = None
    ) -> None:
        self._server = server
        self._gate = gate
        self._external = external
        issuer = server.issuer
        documents: Mapping[str, dict[str, Any]] = {
            "/.well-known/smart-configuration": discovery.smart_configuration(issuer),
            "/fhir/.well-known/smart-configuration": discovery.smart_configuration(issuer),
            "/.well-known/openid-configuration": discovery.openid_configuration(issuer),
            "/.well-known/oauth-authorization-server": discovery.smart_configuration(issuer),
        }
        self._answers: dict[str, tuple[str, Answer]] = {
            path: ("GET", _told(document)) for path, document in documents.items()
        }
        self._answers |= {
            discovery.KEYS: ("GET", self._keys),
            discovery.TOKEN: ("POST", self._token),
            discovery.INTROSPECT: ("POST", self._introspect),
            discovery.REVOKE: ("POST", self._revoke),
            discovery.LAUNCHES: ("POST", self._launch),
        }
        if external is not None:
            self._answers[discovery.LOGOUT] = ("POST", self._log_out)

    def __contains__(self, path: str) -> bool:
        return path in self._answers

    async def answer(self, request: Request) -> Reply:
        """The answer to a request at one of these addresses. Raises Problem for what is not the
        server's own matter, such as too many requests.
        """
        method, answer = self._answers[request.path.decode("latin-1")]
        if request.method == "OPTIONS":
            return Reply(204, b"", _preflight(method))
        if request.method not in _METHODS[method]:
            raise NotAllowed(f"this address takes {method}")
        try:
            return await answer(request)
        except GrantRefused as refused:
            self._gate.turn_away(request)
            return _refused(refused)

    async def _keys(self, _: Request) -> Reply:
        return _json(await self._server.id_tokens.key_set(), _OPEN_TO_PAGES)

    async def _token(self, request: Request) -> Reply:
        form, shown = await self._read(request)
        server = self._server
        client, proven = await server.identify(shown)
        self._gate.pace.known.spend(f"client {client.code}")
        kind = _needed(form, "grant_type")
        id_token: str | None = None
        if kind == SYSTEM:
            issued = await server.give_to_system(client, proven, form.get("scope", ""))
        else:
            if proven is not None:
                await server.tokens.spend(proven)
            if kind == CODE:
                issued, id_token = await server.exchange(
                    client,
                    code=_needed(form, "code"),
                    redirect=_needed(form, "redirect_uri"),
                    verifier=_needed(form, "code_verifier"),
                )
            elif kind == REFRESH:
                issued = await server.renew(
                    client, refresh=_needed(form, "refresh_token"), asked=form.get("scope")
                )
            else:
                raise GrantRefused(
                    "unsupported_grant_type", f"grant_type is {SYSTEM}, {CODE} or {REFRESH}"
                )
        return _json(_token_answer(issued, id_token))

    async def _introspect(self, request: Request) -> Reply:
        if (request.headers.get(b"authorization") or b"").lower().startswith(b"bearer "):
            form, client = await self._asked_by_token(request)
        else:
            form, client = await self._asked_by_client(request)
        if client.is_public:
            raise GrantRefused(
                "invalid_client", "a public client cannot introspect: it proves nothing"
            )
        told = await self._server.tell(client, _needed(form, "token"))
        if told is None:
            return _json({"active": False})
        grant = told.grant
        answer: dict[str, Any] = {
            "active": True,
            "scope": str(grant.scopes),
            "client_id": grant.client,
            "token_type": "Bearer" if told.is_access else "refresh_token",
            "iat": told.issued,
            "exp": told.expires,
            "sub": grant.actor,
            "iss": self._server.issuer.address,
            "aud": self._server.issuer.fhir,
        }
        return _json(answer | _context(grant))

    async def _revoke(self, request: Request) -> Reply:
        form, client = await self._asked_by_client(request)
        await self._server.tokens.revoke(_needed(form, "token"), client.code)
        return Reply(200, b"", _NO_STORE)

    async def _launch(self, request: Request) -> Reply:
        """An application of the node itself, by its actor's own token, opens another with a patient
        and a visit.
        """
        actor = await self._gate.identify(request)
        form, _ = await self._read(request, is_client=False)
        client = await self._server.clients.find(_needed(form, "client_id"))
        if client is None or CODE not in client.grants or client.launch_url is None:
            raise GrantRefused(
                "invalid_request", "no application of this client_id can be launched"
            )
        launch = Launch(form.get("patient"), form.get("encounter"))
        handle = await self._server.codes.launch(client.code, actor.code, launch)
        return _json({"launch": handle, "iss": self._server.issuer.fhir, "url": client.launch_url})

    async def _log_out(self, request: Request) -> Reply:
        """The other issuer says that somebody has signed out there (OpenID Connect Back-Channel
        Logout 1.0 section 2.5).
        """
        form, _ = await self._read(request, is_client=False)
        try:
            if self._external is not None:
                await self._external.end_sessions(_needed(form, "logout_token"))
        except Unauthenticated as refused:
            raise GrantRefused("invalid_request", refused.text) from refused
        return Reply(200, b"", _NO_STORE)

    async def _asked_by_client(self, request: Request) -> tuple[dict[str, str], Client]:
        form, shown = await self._read(request)
        client, proven = await self._server.identify(shown)
        self._gate.pace.known.spend(f"client {client.code}")
        if proven is not None:
            await self._server.tokens.spend(proven)
        return form, client

    async def _asked_by_token(self, request: Request) -> tuple[dict[str, str], Client]:
        """By an access token that the client has (SMART 2.2, token-introspection)."""
        actor = await self._gate.identify(request)
        form, _ = await self._read(request, is_client=False)
        client = await self._server.clients.find(actor.client) if actor.client else None
        if client is None:
            raise GrantRefused("invalid_client", "this token is of no application")
        return form, client

    async def _read(
        self, request: Request, *, is_client: bool = True
    ) -> tuple[dict[str, str], Shown]:
        """The fields of the form, each once, and by what the client says which it is. One without a
        value counts as left out (RFC 6749 section 3.2).
        """
        kind = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
        if kind != _FORM:
            raise GrantRefused("invalid_request", f"send a form: Content-Type: {_FORM}")
        limit = self._server.limits.form_bytes_max
        try:
            async with asyncio.timeout(self._gate.body_seconds_max):
                body = await request.body(limit, self._gate.held)
        except TimeoutError:
            raise Overloaded("the form did not arrive in time", retry_after_seconds=1) from None
        try:
            request.received_bytes = len(body)
            pairs = parse_pairs(body, "the form")
        except Problem as problem:
            raise GrantRefused("invalid_request", problem.text) from None
        finally:
            self._gate.held.give_back(len(body))
        form = {name: value for name, value in pairs if value}
        if len(dict(pairs)) != len(pairs):
            raise GrantRefused("invalid_request", "a field is there twice: send each once")
        basic = _basic(request.headers.get(b"authorization")) if is_client else None
        if is_client and "client_secret" in form:
            raise GrantRefused(
                "invalid_request", "send the secret by Authorization: Basic, not in the form"
            )
        shown = Shown(
            client_id=form.get("client_id"),
            assertion=form.get("client_assertion"),
            assertion_type=form.get("client_assertion_type"),
            basic=basic,
        )
        return form, shown


def _told(document: dict[str, Any]) -> Answer:
    reply = _json(document, _OPEN_TO_PAGES)

    async def answer(_: Request) -> Reply:
        return reply

    return answer


def _token_answer(issued: Issued, id_token: str | None) -> dict[str, Any]:
    grant = issued.grant
    answer: dict[str, Any] = {
        "access_token": issued.access,
        "token_type": "Bearer",
        "expires_in": issued.seconds,
        "scope": str(grant.scopes),
    }
    if issued.refresh is not None:
        answer["refresh_token"] = issued.refresh
    if id_token is not None:
        answer["id_token"] = id_token
    return answer | _context(grant)


def _context(grant: Grant) -> dict[str, Any]:
    """What the application was launched with: introspection repeats all that came with the token
    (SMART 2.2, token-introspection).
    """
    told: dict[str, Any] = {}
    if grant.patient_id is not None:
        told |= {"patient": grant.patient_id, "need_patient_banner": True}
    if grant.encounter_id is not None:
        told["encounter"] = grant.encounter_id
    return told


def _basic(header: bytes | None) -> tuple[str, str] | None:
    """User and password, each as in a form (RFC 6749 section 2.3.1)."""
    if header is None:
        return None
    scheme, _, value = header.decode("latin-1").partition(" ")
    if scheme.lower() != "basic":
        raise GrantRefused("invalid_client", "a client proves itself by Basic or by an assertion")
    user = colon = password = ""
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise GrantRefused("invalid_client", "Authorization: Basic is not client_id:secret")
    return unquote_plus(user), unquote_plus(password)


def _needed(form: dict[str, str], name: str) -> str:
    value = form.get(name)
    if not value:
        raise GrantRefused("invalid_request", f"{name} is missing")
    return value


def _refused(refused: GrantRefused) -> Reply:
    body = {"error": refused.error, "error_description": _plain(refused.text)}
    headers: Headers = ()
    if refused.status == 401:
        headers = ((b"www-authenticate", b'Basic realm="quanmin"'),)
    return msgspec.structs.replace(_json(body, headers), status=refused.status)


def _plain(text: str) -> str:
    """What an error description may hold (RFC 6749 section 5.2)."""
    return "".join(sign if " " <= sign <= "~" and sign not in '"\\' else "'" for sign in text)


def _json(value: dict[str, Any], headers: Headers = ()) -> Reply:
    return Reply(200, msgspec.json.encode(value), (*_NO_STORE, *headers), PLAIN_JSON)


def _preflight(method: str) -> Headers:
    allow = (b"allow", f"{method}, OPTIONS".encode())
    if method != "GET":  # what pages may ask for beside the documents, `Sharing` tells
        return (allow,)
    return (
        *_OPEN_TO_PAGES,
        allow,
        (b"access-control-allow-methods", f"{method}, OPTIONS".encode()),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-max-age", b"600"),
    )
