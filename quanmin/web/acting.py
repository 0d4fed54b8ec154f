"""For whom a resident acts: themselves or somebody whose guardian or proxy they are, and who acts
for them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import Forbidden, Malformed, NotFound
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import decode
from quanmin.trust import Actor
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.proxies import Proxy, proxy_kinds, proxy_scopes
from quanmin.web.entry import ACTING, HOME, origin_of, put_session, signed_in, taken
from quanmin.web.forms import read_number
from quanmin.web.persons import tell_patient
from quanmin.web.route import Access, Page, page
from quanmin.web.sheet import sheet
from quanmin.web.visit import Visit

_RESIDENTS: Final = Access(frozenset({"resident", "guardian"}))
_WARD: Final = "quanmin_for"
_PURPOSE: Final = "PATRQT"
_DAY_SECONDS: Final = 24 * 3600


def recall_ward(visit: Visit) -> None:
    """Let the visit know the name of the one for whom a guardian acts: the browser keeps it, sealed
    for its session, so that not every page has to read a record for it.
    """
    if visit.actor is None or visit.actor.acting is None:
        return
    try:
        content = visit.house.seal.open(
            "ward", visit.holder, visit.request.cookies.get(_WARD, ""), age_seconds_max=_DAY_SECONDS
        )
    except Malformed:
        return
    kept: dict[str, Any] = json.loads(content)
    if kept["proxy"] == visit.actor.acting.proxy:
        visit.acting_for = str(kept["name"])


@page(ACTING, access=_RESIDENTS, methods=("GET", "POST"))
async def choose(visit: Visit) -> Response:
    """Who there is to act for, and who acts for one; by POST: act for one of them, or end it."""
    if visit.request.method == "POST":
        return await _change(visit)
    actor = _actor(visit)
    entrance = visit.house.sign_in
    wards = [
        (proxy.proxy, await _name(visit, one), _words(visit, proxy), _last_day(visit, proxy))
        for one, proxy in await entrance.acting.wards(actor)
    ]
    about = [
        (proxy.proxy, name, _words(visit, proxy), _last_day(visit, proxy))
        for proxy, name in await entrance.acting.about(actor)
    ]
    now = 0 if actor.acting is None else actor.acting.proxy
    return visit.page("kit/acting_for.html", wards=wards, about=about, now=now)


@page(f"{ACTING}.csv", access=_RESIDENTS)
async def choose_sheet(visit: Visit) -> Response:
    """The same as a sheet."""
    actor, entrance = _actor(visit), visit.house.sign_in

    async def rows() -> AsyncIterator[list[str]]:
        for one, proxy in await entrance.acting.wards(actor):
            name = await _name(visit, one)
            words = _words(visit, proxy)
            yield [visit.say("You act for"), name, *words, _last_day(visit, proxy)]
        for proxy, name in await entrance.acting.about(actor):
            yield [visit.say("Acts for you"), name, *_words(visit, proxy), _last_day(visit, proxy)]

    say = visit.say
    heading = [say("Which"), say("Name"), say("As"), say("What for"), say("Last day")]
    return sheet("acting-for", heading, rows())


async def _change(visit: Visit) -> Response:
    entrance, begun = visit.house.sign_in, signed_in(visit)
    origin = origin_of(visit, begun.account)
    ended, whom = taken(visit, "end"), taken(visit, "whom")
    if ended:
        await entrance.end_acting(begun, _number(ended), origin)
        return visit.go(ACTING)
    proxy = _number(whom) or None
    cookie = await entrance.act_for(begun, visit.cookie, proxy, origin)
    session = await entrance.sessions.of(cookie)
    response = visit.go(HOME)
    put_session(visit, response, cookie)
    if session is not None and session.actor.acting is not None:
        kept = {"proxy": proxy, "name": await _name(visit, session.actor)}
        response.set_cookie(
            _WARD,
            visit.house.seal.close("ward", visit.holder, json.dumps(kept).encode()),
            max_age=_DAY_SECONDS,
            path="/",
            secure=visit.house.settings.is_secure,
            httponly=True,
            samesite="lax",
        )
    return response


def _number(text: str) -> int:
    number = read_number(text)
    if number is None:
        raise NotFound("there is no such proxy, or it has ended")
    return number


def _actor(visit: Visit) -> Actor:
    if visit.actor is None:
        raise Forbidden("nobody has signed in")
    return visit.actor


async def _name(visit: Visit, actor: Actor) -> str:
    """What the one for whom they act is called, read as any record is; "" where it may not be."""
    records = visit.house.guard.records(actor, purpose=_PURPOSE, request_id=visit.correlation)
    query = parse_query(
        "Patient",
        [("_count", "1")],
        strict=True,
        zone=visit.house.settings.zone,
        limits=records.context.query_limits,
    )
    for patient in (await records.search(query)).matches:
        told = tell_patient(decode(patient.body or b"{}"), visit.language, visit.today)
        return " · ".join(part for part in (told.name, told.birth) if part)
    return ""


def _words(visit: Visit, proxy: Proxy) -> tuple[str, str]:
    """As what one acts, and what for."""
    kind = proxy_kinds()[proxy.kind]
    scopes = [proxy_scopes()[code] for code in proxy.scope]
    if visit.language == "zh":
        return kind.zh, "、".join(one.zh for one in scopes)
    return kind.en, ", ".join(one.en for one in scopes)


def _last_day(visit: Visit, proxy: Proxy) -> str:
    """The last day on which it holds; "" for no end."""
    if proxy.until >= OPEN_END:
        return ""
    last: date = datetime.fromtimestamp(
        (proxy.until - 1) / 1_000_000, visit.house.settings.zone
    ).date()
    return last.isoformat()


PAGES: tuple[Page, ...] = (choose, choose_sheet)
