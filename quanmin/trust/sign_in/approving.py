"""What an application asks of a person, before they have said yes: read strictly, since a mistake
here hands a code to somebody else (RFC 6749 section 4.1, RFC 9700, SMART 2.2).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlencode, urlsplit

import msgspec

from quanmin.base.problems import GrantRefused, Malformed
from quanmin.trust.scopes import Scopes, parse_scopes
from quanmin.trust.sign_in.clients import CODE, Client
from quanmin.trust.sign_in.codes import CHALLENGE
from quanmin.trust.sign_in.server import grantable

if TYPE_CHECKING:
    from quanmin.trust.actors import Actor
    from quanmin.trust.sign_in.server import AuthorizationServer, Issuer

_OF_PEOPLE: Final = ("patient", "user")
_LENGTH_MAX: Final = 2000
_FIELDS: Final = frozenset(
    {
        "aud",
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "launch",
        "max_age",
        "nonce",
        "prompt",
        "redirect_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)

Pairs = Sequence[tuple[str, str]]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What an application asks for, once it is known to be its own request. The person has to sign
    in `is_anew`, or when they have proved themselves longer ago than `max_age_seconds`.
    """

    client: str
    redirect: str
    state: str
    scope: str
    challenge: str
    nonce: str | None = None
    launch: str | None = None
    is_silent: bool = False
    is_anew: bool = False
    max_age_seconds: int | None = None

    @property
    def scopes(self) -> Scopes:
        """What it asks for."""
        return parse_scopes(self.scope)


class Back(Exception):  # noqa: N818 - an answer to the application, by the person's browser
    """The browser is to be sent back to the application; `address` is where, and says why."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address


async def read_wish(server: AuthorizationServer, pairs: Pairs) -> tuple[Wish, Client]:
    """What is asked for. Raises Malformed while nobody knows where to send the person back to, and
    Back, with what is wrong, once that is known.
    """
    asked = {name: value for name, value in pairs if value}  # RFC 6749 section 3.1
    client = await server.clients.find(asked.get("client_id", ""))
    if client is None or CODE not in client.grants:
        raise Malformed("the application that sent you here is not registered with this node")
    redirect = asked.get("redirect_uri", "")
    is_once = [name for name, _ in pairs].count("redirect_uri") == 1
    if not is_once or not client.is_sent_back_to(redirect):
        raise Malformed("the application names an address to send you to that is not registered")
    try:
        return _checked(server.issuer, client, redirect, pairs), client
    except GrantRefused as refused:
        raise Back(_error(server.issuer, redirect, asked.get("state"), refused)) from refused


def _checked(issuer: Issuer, client: Client, redirect: str, pairs: Pairs) -> Wish:
    asked = {name: value for name, value in pairs if value}
    known = [name for name, _ in pairs if name in _FIELDS]
    if len(set(known)) != len(known) or any(len(value) > _LENGTH_MAX * 4 for _, value in pairs):
        raise _invalid("a parameter is there twice, or too long")
    if any("\0" in value for _, value in pairs):
        raise _invalid("a parameter holds the character U+0000, which is no text")
    for name in {"request", "request_uri"} & asked.keys():
        raise GrantRefused(f"{name}_not_supported", "request objects are not taken")
    if asked.get("response_type") != "code":
        raise GrantRefused("unsupported_response_type", "response_type must be code")
    if asked.get("response_mode", "query") != "query":
        raise _invalid("response_mode must be query")
    if not asked.get("state") or len(asked["state"]) > _LENGTH_MAX:
        raise _invalid("state is missing or too long")
    is_s256 = asked.get("code_challenge_method") == "S256"
    if not is_s256 or not CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        raise _invalid("code_challenge with code_challenge_method=S256 is needed (RFC 7636)")
    if len(asked.get("nonce", "")) > _LENGTH_MAX:
        raise _invalid("nonce is too long")
    scope = asked.get("scope", "")
    if not _of_people(parse_scopes(scope), client):
        raise GrantRefused("invalid_scope", "none of these scopes is open to this application")
    # Whoever only asks who somebody is has no token for records that could go astray.
    is_about_records = parse_scopes(scope).reaches or "aud" in asked
    if is_about_records and asked.get("aud", "").rstrip("/") != issuer.fhir:
        raise _invalid("aud must be the address of this node's records")
    prompts = _prompts(asked.get("prompt", ""))
    max_age = asked.get("max_age")
    if max_age is not None and not (max_age.isascii() and max_age.isdigit()):
        raise _invalid("max_age must be a number of seconds")
    return Wish(
        client=client.code,
        redirect=redirect,
        state=asked["state"],
        scope=scope,
        challenge=asked["code_challenge"],
        nonce=asked.get("nonce"),
        launch=asked.get("launch"),
        is_silent="none" in prompts,
        is_anew="login" in prompts,
        max_age_seconds=None if max_age is None else int(max_age[:9]),
    )


def _prompts(text: str) -> list[str]:
    prompts = text.split()
    if "none" in prompts and len(prompts) > 1:
        raise _invalid("prompt=none goes with no other (OpenID Connect Core 1.0 section 3.1.2.1)")
    return prompts


def _of_people(scopes: Scopes, client: Client) -> bool:
    left = scopes.of_contexts(_OF_PEOPLE).within(client.allowed)
    return bool(left.reaches or "openid" in left.plain)


def offered(wish: Wish, client: Client, actor: Actor, *, has_user_record: bool) -> Scopes:
    """What of it the application can be given for this actor, if they approve."""
    scopes = grantable(wish.scopes.of_contexts(_OF_PEOPLE), client, actor)
    return scopes if has_user_record else scopes.without({"fhirUser", "profile"})


def refuse(issuer: Issuer, wish: Wish, error: str, text: str) -> Back:
    """The way back with a refusal."""
    return Back(_error(issuer, wish.redirect, wish.state, GrantRefused(error, text)))


def grant_address(issuer: Issuer, wish: Wish, code: str) -> str:
    """The way back with a code, and who gave it (RFC 9207)."""
    return _with(wish.redirect, {"code": code, "state": wish.state, "iss": issuer.address})


def needs_patient(scopes: Scopes) -> bool:
    """Whether there must be one patient whom it is about."""
    return "launch/patient" in scopes.plain or bool(scopes.of_contexts({"patient"}).reaches)


def form_targets(redirect: str) -> str:
    """Where a form of this page may end up, for its Content-Security-Policy: browsers hold the
    redirect that answers it to that too.
    """
    parts = urlsplit(redirect)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def words_of(scopes: Scopes, language: Literal["zh", "en"]) -> list[tuple[str, str]]:
    """Each scope as it is written, and what it means."""
    words = _words()
    at = 0 if language == "zh" else 1
    told = [(name, words[name][at]) for name in sorted(scopes.plain)]
    for reach in scopes.reaches:
        kind = words["every"][at] if reach.type == "*" else reach.type
        between, apart = ("、", "") if language == "zh" else (", ", " ")
        ways = between.join(words[letter][at] for letter in reach.letters)
        whose = words[reach.context][at]
        what = f"{whose} {kind}" if language == "zh" else f"{kind} {whose}"
        only = between.join(f"{name}={value}" for name, value in reach.params)
        text = f"{ways}{apart}{what}"
        told.append((reach.text, f"{text} ({only})" if only else text))
    return told


@cache
def _words() -> Mapping[str, Sequence[str]]:
    text = files("quanmin.definitions").joinpath("smart.toml").read_text("utf-8")
    found: dict[str, list[str]] = tomllib.loads(text)["words"]
    return found


def _error(issuer: Issuer, redirect: str, state: str | None, refused: GrantRefused) -> str:
    told = {"error": refused.error, "error_description": _plain(refused.text)}
    if state:
        told["state"] = state[:_LENGTH_MAX]
    return _with(redirect, {**told, "iss": issuer.address})


def _plain(text: Iterable[str]) -> str:
    return "".join(sign if " " <= sign <= "~" and sign not in '"\\' else "'" for sign in text)


def _with(redirect: str, fields: Mapping[str, str]) -> str:
    return f"{redirect}{'&' if '?' in redirect else '?'}{urlencode(fields)}"


def _invalid(text: str) -> GrantRefused:
    return GrantRefused("invalid_request", text)
