"""Entering with a token and leaving again: the page before every other until sign-in exists.

The token travels in an encrypted cookie, so that any worker can serve any request and a token that
was withdrawn stops working at once: it is looked up on every page.
"""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import Response

from quanmin.base.problems import Malformed
from quanmin.trust import Actor
from quanmin.web.house import House
from quanmin.web.route import ANYBODY, SIGNED_IN, Page, page
from quanmin.web.visit import Visit

ENTER = "/enter"
_SESSION, _BROWSER = "quanmin_session", "quanmin_browser"
_USE = "session"
_TOKEN_LENGTH_MAX = 512
_HOUR_SECONDS = 3600


async def who(request: Request, house: House) -> Actor | None:
    """The actor whose token the cookie carries.

    None when there is none, or it is too old or unknown.
    """
    closed = request.cookies.get(_SESSION)
    if not closed:
        return None
    age_seconds_max = house.settings.session_hours_max * _HOUR_SECONDS
    try:
        token = house.seal.open(_USE, "", closed, age_seconds_max=age_seconds_max)
    except Malformed:
        return None
    return await house.actors.by_token(token.decode())


def browser_of(request: Request) -> str:
    """What forms are bound to before anybody has entered; made anew when the browser has none."""
    return request.cookies.get(_BROWSER) or os.urandom(16).hex()


def remember_browser(visit: Visit, response: Response) -> None:
    """Give a browser in which nobody has entered the mark that its forms are bound to."""
    if visit.actor is None and visit.request.cookies.get(_BROWSER) != visit.holder:
        _put(visit.house, response, _BROWSER, visit.holder)


@page(ENTER, access=ANYBODY, methods=("GET", "POST"))
async def enter(visit: Visit) -> Response:
    """Take a token; a wrong one is refused in place, without saying what was wrong with it."""
    if visit.request.method == "GET":
        return visit.page("kit/enter.html", is_refused=False)
    token = visit.sent.get("key", "").strip()
    actor = None
    if token and len(token) <= _TOKEN_LENGTH_MAX:
        actor = await visit.house.actors.by_token(token)
    if actor is None:
        return visit.page("kit/enter.html", status=401, is_refused=True)
    response = visit.go("/")
    _put(visit.house, response, _SESSION, visit.house.seal.close(_USE, "", token.encode()))
    return response


@page("/leave", access=SIGNED_IN, methods=("POST",))
async def leave(visit: Visit) -> Response:
    """Forget who is here."""
    response = visit.go(ENTER)
    response.delete_cookie(_SESSION, path="/", httponly=True, samesite="strict")
    return response


def _put(house: House, response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=house.settings.session_hours_max * _HOUR_SECONDS,
        path="/",
        secure=house.settings.is_secure,
        httponly=True,
        samesite="strict",
    )


PAGES: tuple[Page, ...] = (enter, leave)
