"""Where everybody begins: what waits for them, and the applications that are theirs."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.responses import Response

from quanmin.web.application import Application
from quanmin.web.drafting import count_drafts
from quanmin.web.entry import HOME
from quanmin.web.route import SIGNED_IN, Page, page
from quanmin.web.visit import Visit
from quanmin.web.work import Work, ask_all

_FOR_THEMSELVES: Final = frozenset({"resident", "guardian"})
# The national rules for aged users ask for few and large choices; more are behind one of them.
_CHOICES_MAX: Final = 5


@page(HOME, access=SIGNED_IN)
async def first(visit: Visit) -> Response:
    """What waits, then the ways into the applications; few large ones for residents who asked for
    large text.
    """
    asked = await ask_all(
        [(one.name, partial(_work, visit, one)) for one in visit.offered if one.work],
        seconds_max=visit.house.settings.work_seconds_max,
    )
    titles = {one.name: one.title.told(visit.language) for one in visit.offered}
    is_choosing = visit.is_large and _is_for_self(visit)
    choices = [one for _, listed in visit.menu() for one in listed]
    if len(choices) > _CHOICES_MAX:
        choices = choices[: _CHOICES_MAX - 1]
    return visit.page(
        "kit/first.html",
        work=[one for told in asked for one in told.work or ()],
        silent=[titles[told.application] for told in asked if told.work is None],
        begun=await count_drafts(visit),
        has_work=any(one.work for one in visit.offered),
        cap=visit.house.settings.work_count_max,
        fronts=[
            one.front.template
            for one in visit.offered
            if one.front and visit.actor and visit.actor.role in one.front.roles
        ],
        choices=choices if is_choosing else (),
        has_more=len(choices) < len(visit.offered),
        stopped=_obstacle(visit),
    )


@page("/applications", access=SIGNED_IN)
async def applications(visit: Visit) -> Response:
    """All applications of the visitor by field of work; of one alone if the address names it."""
    asked = visit.asked("section")
    listed = [(section, found) for section, found in visit.menu() if asked in {"", section.code}]
    return visit.page("kit/applications_of.html", listed=listed, stopped=_obstacle(visit))


async def _work(visit: Visit, application: Application) -> tuple[Work, ...]:
    if application.work is None or visit.actor is None:
        return ()
    records = visit.house.records(visit.actor, application, visit.correlation, visit.together)
    return tuple(await application.work(visit, records))


def _is_for_self(visit: Visit) -> bool:
    return visit.actor is not None and visit.actor.role in _FOR_THEMSELVES


def _obstacle(visit: Visit) -> str:
    """Why the registers do not let the visitor act; nothing when they do."""
    if visit.actor is None or visit.standing is None:
        return ""
    is_required = visit.house.guard.standings.posts_required
    refusal = visit.standing.refusal(visit.actor.role, posts_required=is_required)
    return visit.say(refusal) if refusal else ""


PAGES: tuple[Page, ...] = (first, applications)
