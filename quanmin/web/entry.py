"""Signing in, with an invitation or without, choosing a post, and signing out again.

The session's id travels in a cookie; who it is stands in the database, so that any worker can serve
any request and a session that is ended anywhere has ended everywhere. All of it works without
script; a passkey needs one, and its form stays hidden where there is none.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from quanmin.base.network import network_of
from quanmin.base.problems import Invalid, Malformed, NotFound, Problem, TooMany, Unauthenticated
from quanmin.trust.sign_in import (
    CHALLENGE_SECONDS,
    Begun,
    From,
    Step,
    UnfitPassword,
    cookie_name,
)
from quanmin.trust.sign_in.external import METHOD
from quanmin.web.house import House
from quanmin.web.route import ANYBODY, SIGNED_IN, Page, page
from quanmin.web.visit import Visit

SIGN_IN: Final = "/sign-in"
FACTOR: Final = "/sign-in/factor"
INVITATION: Final = "/invitation"
POST: Final = "/post"
ACCOUNT: Final = "/account"
AGAIN: Final = "/account/again"
HOME: Final = "/"
FACTORS: Final = "/account/factors"
OUT: Final = "/sign-in/external/out"
ACTING: Final = "/acting-for"
PASSWORD: Final = "/account/password"  # noqa: S105 - an address

_BROWSER, _KNOWN = "quanmin_browser", "quanmin_known"
_CHALLENGE_BYTES: Final = 32
_KNOWN_ACCOUNTS_MAX: Final = 8
_KNOWN_SECONDS: Final = 180 * 24 * 3600
_SENT_LENGTH_MAX: Final = 1024
_BROWSER_LENGTH_MAX: Final = 200
_HOUR_SECONDS: Final = 3600


async def recognise(visit: Visit) -> None:
    """Let the visit know the session of its cookie, and bind what it seals to it."""
    visit.cookie = visit.request.cookies.get(_session_cookie(visit.house), "")
    visit.begun = await visit.house.sign_in.sessions.begun(visit.cookie)
    if visit.begun is not None:
        visit.actor = visit.begun.whole.actor if visit.begun.whole else None
        visit.holder = f"session {visit.begun.id}"


def browser_of(request: Request) -> str:
    """What forms are bound to before there is a session; made anew when the browser has none."""
    return request.cookies.get(_BROWSER) or os.urandom(16).hex()


def remember_browser(visit: Visit, response: Response) -> None:
    """Give a browser without a session the mark that its forms are bound to."""
    if visit.begun is None and visit.request.cookies.get(_BROWSER) != visit.holder:
        _put(visit.house, response, _BROWSER, visit.holder)


def origin_of(visit: Visit, account: str) -> From:
    """Where an attempt comes from, and whether this browser knows the account."""
    known = _known(visit)
    says = visit.request.headers.get("user-agent", "")
    return From(
        address=address_of(visit),
        browser="".join(filter(str.isprintable, says))[:_BROWSER_LENGTH_MAX],
        known=known["mark"] if account.strip().casefold() in known["accounts"] else "",
        request_id=visit.correlation,
    )


def address_of(visit: Visit) -> str:
    """From where somebody asks, as far as it can be known."""
    client = visit.request.client
    header = visit.house.settings.address_header.lower().encode("latin-1")
    return network_of(client.host if client else "", visit.request.scope["headers"], header)


def new_challenge(visit: Visit) -> tuple[bytes, str]:
    """A challenge for a passkey, and the form's copy of it that nobody can change."""
    challenge = os.urandom(_CHALLENGE_BYTES)
    return challenge, visit.house.seal.close("challenge", visit.holder, challenge)


def challenge_of(visit: Visit) -> bytes:
    """The challenge a form brings back. Raises Malformed when it is too old or another's."""
    return visit.house.seal.open(
        "challenge",
        visit.holder,
        visit.sent.get("challenge", ""),
        age_seconds_max=CHALLENGE_SECONDS,
    )


def taken(visit: Visit, field: str) -> str:
    """A field of a form, of bounded length."""
    return visit.sent.get(field, "")[:_SENT_LENGTH_MAX]


def refusal_of(visit: Visit, problem: Problem) -> dict[str, Any]:
    """What a form that is shown again says of why, and its status."""
    if isinstance(problem, TooMany):
        words = visit.say("Too many attempts have failed. Wait, then try again.")
        wait = problem.retry_after_seconds or 1
        return {"refusal": words, "wait": wait, "status": problem.status}
    words = visit.say("The name, or what was to prove it, is wrong. Try again.")
    return {"refusal": words, "wait": None, "status": Unauthenticated.status}


def put_session(visit: Visit, response: Response, cookie: str) -> None:
    """Give the browser its session."""
    _put(visit.house, response, _session_cookie(visit.house), cookie)


@page(SIGN_IN, access=ANYBODY, methods=("GET", "POST"))
async def sign_in(visit: Visit) -> Response:
    """By name and password, or by a passkey alone."""
    if visit.request.method == "GET":
        return await _ask(visit)
    entrance = visit.house.sign_in
    try:
        if visit.sent.get("answer"):
            step = await entrance.by_passkey(
                visit.sent["answer"], challenge_of(visit), origin_of(visit, "")
            )
        else:
            name = taken(visit, "name")
            step = await entrance.by_password(
                name, visit.sent.get("password", ""), origin_of(visit, name)
            )
    except (Unauthenticated, TooMany) as problem:
        return await _ask(visit, problem)
    return await arrive(visit, step)


async def _ask(visit: Visit, problem: Problem | None = None) -> Response:
    told = refusal_of(visit, problem) if problem else {"refusal": None, "wait": None, "status": 200}
    return await ask_to_sign_in(visit, told)


async def ask_to_sign_in(visit: Visit, told: dict[str, Any]) -> Response:
    """The page to sign in by, which says why somebody is not signed in yet."""
    challenge, sealed = new_challenge(visit)
    response = visit.page(
        "kit/sign_in.html",
        has_script=True,
        options=await visit.house.sign_in.passkeys.ask(challenge),
        challenge=sealed,
        host=visit.house.settings.passkey_host,
        name=taken(visit, "name"),
        elsewhere=title_of_external(visit),
        **told,
    )
    return _waiting(response, told["wait"])


def title_of_external(visit: Visit) -> str | None:
    """What the other issuer is called by which one may sign in; None for none."""
    external = visit.house.sign_in.external
    if external is None:
        return None
    settings = external.settings
    return settings.title_zh if visit.language == "zh" else settings.title_en


def _waiting(response: Response, seconds: int | None) -> Response:
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


async def arrive(visit: Visit, step: Step) -> Response:
    """Give the browser the session of this step and send it where the stage leads."""
    ways = {"proving": FACTOR, "enrolling": FACTORS}
    path = ways.get(step.stage) or await _home(visit, step)
    response = visit.go(path)
    put_session(visit, response, step.cookie)
    if step.stage == "whole":
        known = _known(visit)
        accounts = [one for one in known["accounts"] if one != step.account]
        known["accounts"] = [step.account, *accounts][:_KNOWN_ACCOUNTS_MAX]
        sealed = visit.house.seal.close("known", "", json.dumps(known).encode())
        _put(visit.house, response, _KNOWN, sealed, seconds=_KNOWN_SECONDS)
    return response


async def _home(visit: Visit, step: Step) -> str:
    entrance = visit.house.sign_in
    account = await entrance.accounts.find(step.account)
    is_by_password = "pwd" in (await _methods(visit, step))
    if account is not None and is_by_password and entrance.accounts.must_change(account):
        return PASSWORD
    actors = await entrance.posts(step.account)
    if len(actors) > 1:
        return POST
    if actors and await entrance.acting.wards(actors[0]):
        return ACTING
    return HOME


async def _methods(visit: Visit, step: Step) -> tuple[str, ...]:
    begun = await visit.house.sign_in.sessions.begun(step.cookie)
    return begun.methods if begun else ()


@page(FACTOR, access=ANYBODY, methods=("GET", "POST"))
async def prove(visit: Visit) -> Response:
    """The second factor: a code, or a passkey."""
    begun = visit.begun
    if begun is None or begun.stage != "proving":
        return visit.go(SIGN_IN)
    if visit.request.method == "GET":
        return await _ask_factor(visit, begun)
    entrance, origin = visit.house.sign_in, origin_of(visit, begun.account)
    try:
        if visit.sent.get("answer"):
            step = await entrance.by_passkey(
                visit.sent["answer"], challenge_of(visit), origin, replaced=visit.cookie
            )
        else:
            step = await entrance.by_code(visit.cookie, taken(visit, "code"), origin)
    except (Unauthenticated, TooMany) as problem:
        return await _ask_factor(visit, begun, problem)
    return await arrive(visit, step)


async def _ask_factor(visit: Visit, begun: Begun, problem: Problem | None = None) -> Response:
    entrance = visit.house.sign_in
    challenge, sealed = new_challenge(visit)
    has_passkey = bool(await entrance.passkeys.listed(begun.account))
    told = refusal_of(visit, problem) if problem else {"refusal": None, "wait": None, "status": 200}
    response = visit.page(
        "kit/factor.html",
        has_script=True,
        options=await entrance.passkeys.ask(challenge, begun.account) if has_passkey else None,
        challenge=sealed,
        host=visit.house.settings.passkey_host,
        has_codes=await entrance.totp.is_there(begun.account),
        is_resident=await is_resident(visit, begun),
        **told,
    )
    return _waiting(response, told["wait"])


async def is_resident(visit: Visit, begun: Begun) -> bool:
    """Whether who signs in is a resident: helped at a counter, and in plain words."""
    actors = await visit.house.sign_in.posts(begun.account)
    return any(actor.role == "resident" for actor in actors)


@page(INVITATION, access=ANYBODY, methods=("GET", "POST"))
async def accept(visit: Visit) -> Response:
    """Set a password with the code of an invitation."""
    blank: dict[str, Any] = {"refusal": None, "faults": (), "wait": None, "code": ""}
    rule = visit.house.sign_in.passwords.rule
    if visit.request.method == "GET":
        return visit.page("kit/invitation.html", rule=rule, **blank)
    code = taken(visit, "code")
    told = {**blank, "code": code}
    try:
        password = new_password(visit)
        step = await visit.house.sign_in.accept(code, password, origin_of(visit, ""))
    except Invalid as problem:
        told |= {"faults": faults_of(visit, problem), "status": problem.status}
    except NotFound as problem:
        words = visit.say("This code is not known, has been used or is too old.")
        told |= {"refusal": words, "status": problem.status}
    except TooMany as problem:
        told |= refusal_of(visit, problem)
    else:
        return await arrive(visit, step)
    return _waiting(visit.page("kit/invitation.html", rule=rule, **told), told["wait"])


def new_password(visit: Visit) -> str:
    """The password of a form that asks for it twice. Raises Invalid when it is not the same."""
    chosen = visit.sent.get("password", "")
    if chosen != visit.sent.get("again"):
        raise Invalid("the two passwords are not the same")
    return chosen


def faults_of(visit: Visit, problem: Problem) -> tuple[str, ...]:
    """The reasons for which a password is not taken, each for itself."""
    words = {
        "short": visit.say("a password has %(number)s characters or more"),
        "long": visit.say("a password has %(number)s characters at most"),
        "kinds": visit.say(
            "unless it is a long sentence, a password has %(number)s of: small letters, capitals,"
            " digits, other signs"
        ),
        "common": visit.say("this password is common, or one sign over and over"),
        "name": visit.say("a password has nothing of its owner's name in it"),
        "former": visit.say("the last %(number)s passwords may not come again"),
    }
    if isinstance(problem, UnfitPassword):
        return tuple(words[one.code] % {"number": one.number} for one in problem.faults)
    return (visit.say("the two passwords are not the same"),)


@page(POST, access=SIGNED_IN, methods=("GET", "POST"))
async def choose_post(visit: Visit) -> Response:
    """As which of its posts the account acts."""
    entrance, begun = visit.house.sign_in, signed_in(visit)
    if visit.request.method == "GET":
        actors = await entrance.posts(begun.account)
        return visit.page(
            "kit/post.html", posts=[(one, as_words(visit, one.role)) for one in actors]
        )
    code = taken(visit, "post")
    cookie = await entrance.act_as(begun, visit.cookie, code, origin_of(visit, begun.account))
    response = visit.go(HOME)
    put_session(visit, response, cookie)
    return response


def as_words(visit: Visit, role: str) -> str:
    """What a role is called."""
    words = {
        "operator": visit.say("Node operator"),
        "institution": visit.say("Staff of an institution"),
        "resident": visit.say("Resident"),
        "system_administrator": visit.say("System administrator"),
        "security_administrator": visit.say("Security administrator"),
        "audit_administrator": visit.say("Audit administrator"),
    }
    return words.get(role, role)


def signed_in(visit: Visit) -> Begun:
    """The session of a page that needs one. Raises Unauthenticated."""
    if visit.begun is None:
        raise Unauthenticated("nobody has signed in")
    return visit.begun


@page("/sign-out", access=ANYBODY, methods=("POST",))
async def sign_out(visit: Visit) -> Response:
    """End the session here or everywhere, in whatever stage it is."""
    entrance = visit.house.sign_in
    if visit.begun is not None:
        origin = origin_of(visit, visit.begun.account)
        if visit.sent.get("where") == "everywhere" and visit.begun.stage == "whole":
            await entrance.sign_out_everywhere(visit.begun, origin)
        else:
            await entrance.sign_out(visit.begun, visit.cookie, origin)
    is_external = visit.begun is not None and METHOD in visit.begun.methods
    response = visit.go(OUT if is_external and entrance.external is not None else SIGN_IN)
    response.delete_cookie(
        _session_cookie(visit.house),
        path="/",
        secure=visit.house.settings.is_secure,
        httponly=True,
        samesite="lax",
    )
    return response


def _session_cookie(house: House) -> str:
    return cookie_name(is_secure=house.settings.is_secure)


def _known(visit: Visit) -> dict[str, Any]:
    """The browser's own mark, and the accounts that have signed in to it, the latest first."""
    try:
        content = visit.house.seal.open(
            "known", "", visit.request.cookies.get(_KNOWN, ""), age_seconds_max=_KNOWN_SECONDS
        )
    except Malformed:
        return {"mark": os.urandom(16).hex(), "accounts": []}
    known: dict[str, Any] = json.loads(content)
    return known


def _put(
    house: House, response: Response, name: str, value: str, *, seconds: int | None = None
) -> None:
    # Lax and not strict: who is sent here by an application to sign in comes from its site.
    response.set_cookie(
        name,
        value,
        max_age=seconds or house.settings.session_hours_max * _HOUR_SECONDS,
        path="/",
        secure=house.settings.is_secure,
        httponly=True,
        samesite="lax",
    )


PAGES: tuple[Page, ...] = (sign_in, prove, accept, choose_post, sign_out)
