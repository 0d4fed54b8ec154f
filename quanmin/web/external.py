"""Signing in by another issuer: the way there, the way back, and the way out of it."""

from __future__ import annotations

import json
import logging
from typing import Final

import msgspec
from starlette.responses import RedirectResponse, Response

from quanmin.base.problems import Malformed, NotFound, Unauthenticated
from quanmin.trust.sign_in.external import BACK, External, Pending
from quanmin.web.entry import (
    OUT,
    SIGN_IN,
    arrive,
    ask_to_sign_in,
    origin_of,
    title_of_external,
)
from quanmin.web.route import ANYBODY, Page, page
from quanmin.web.visit import Visit

log = logging.getLogger("quanmin.web")

_PENDING: Final = "quanmin_external"
_PENDING_SECONDS: Final = 600


@page("/sign-in/external", access=ANYBODY)
async def go_there(visit: Visit) -> Response:
    """Send the browser to the other issuer, with what only this browser can bring back."""
    try:
        is_anew = visit.asked("again") == "1"
        address, pending = await _external(visit).begin(is_anew=is_anew)
    except Unauthenticated as problem:
        log.warning("the other issuer cannot be asked: %s", problem.text)
        return await _refuse(visit, visit.say("It cannot be reached just now. Try again later."))
    response = RedirectResponse(address, status_code=303)
    sealed = visit.house.seal.close("external", visit.holder, msgspec.json.encode(pending))
    response.set_cookie(
        _PENDING,
        sealed,
        max_age=_PENDING_SECONDS,
        path="/sign-in/external",
        secure=visit.house.settings.is_secure,
        httponly=True,
        samesite="lax",
    )
    return response


@page(BACK, access=ANYBODY)
async def come_back(visit: Visit) -> Response:
    """Who has come back is signed in, or asked for a second factor, or told why not."""
    external, entrance = _external(visit), visit.house.sign_in
    try:
        content = visit.house.seal.open(
            "external",
            visit.holder,
            visit.request.cookies.get(_PENDING, ""),
            age_seconds_max=_PENDING_SECONDS,
        )
        pending = Pending(**json.loads(content))
        arrived = await external.finish(pending, _once(visit))
        step = await entrance.by_external(arrived, origin_of(visit, arrived.account))
    except (Malformed, Unauthenticated) as problem:
        # Which of the reasons it was helps nobody but who tries, and the operator.
        log.info("nobody was signed in by the other issuer: %s", problem.text)
        await entrance.note("sign-in", "refused", origin_of(visit, ""), "")
        response = await _refuse(visit, visit.say("You could not be signed in by it. Try again."))
    else:
        response = await arrive(visit, step)
    response.delete_cookie(_PENDING, path="/sign-in/external", httponly=True, samesite="lax")
    return response


@page(OUT, access=ANYBODY)
async def go_out(visit: Visit) -> Response:
    """Whoever has signed out here may do so at the other issuer as well."""
    address = await _external(visit).way_out()
    if address is None:
        return visit.go(SIGN_IN)
    return visit.page("kit/signed_out.html", address=address, elsewhere=title_of_external(visit))


def _once(visit: Visit) -> dict[str, str]:
    """What the address says, each once (RFC 6749 section 3.1). Raises Malformed."""
    pairs = visit.asked_all()
    if len(dict(pairs)) != len(pairs):
        raise Malformed("a parameter is there twice")
    return dict(pairs)


def _external(visit: Visit) -> External:
    external = visit.house.sign_in.external
    if external is None:
        raise NotFound("no page has this address")
    return external


async def _refuse(visit: Visit, words: str) -> Response:
    told = {"refusal": words, "wait": None, "status": Unauthenticated.status}
    return await ask_to_sign_in(visit, told)


PAGES: tuple[Page, ...] = (go_there, come_back, go_out)
