"""Puts the pages of a node together.

Every declared page behind the same door, and nothing beside them.
"""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from urllib.parse import urlencode
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from quanmin.base.logs import correlation_id
from quanmin.base.problems import (
    Forbidden,
    Malformed,
    NotAllowed,
    NotFound,
    Overloaded,
    Problem,
    Stopped,
)
from quanmin.base.quota import Pace
from quanmin.trust import Guard
from quanmin.trust.sign_in import SignIn
from quanmin.trust.sign_in.server import AuthorizationServer
from quanmin.trust.signatures.papers import Papers
from quanmin.web import (
    acting,
    approving,
    devices,
    drafting,
    entry,
    external,
    first_page,
    made_pages,
    notices,
    offline_shell,
    own_account,
    page_sheets,
    patterns,
    pickers,
    verifying,
)
from quanmin.web.application import Application, Installed, discover
from quanmin.web.house import House, KitSettings
from quanmin.web.policy import HEADERS
from quanmin.web.problem_page import tell_problem
from quanmin.web.route import ANYBODY, Page, checked
from quanmin.web.sent_once import begin_once, end_once
from quanmin.web.text import Language, as_language, preferred
from quanmin.web.visit import Visit, check_form, read_form

log = logging.getLogger("quanmin.web")

_LANGUAGE, _LARGE = "quanmin_language", "quanmin_large"
_YEAR_SECONDS = 31_536_000
_SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_PACK_BYTES_MIN = 1024

Call = Callable[[Visit], Awaitable[Response]]

KIT_PAGES: tuple[Page, ...] = (
    *first_page.PAGES,
    *entry.PAGES,
    *external.PAGES,
    *acting.PAGES,
    *own_account.PAGES,
    *devices.PAGES,
    *offline_shell.PAGES,
    *notices.PAGES,
    *made_pages.PAGES,
    *drafting.PAGES,
    *approving.PAGES,
    *patterns.PAGES,
    *verifying.PAGES,
    *pickers.PAGES,
)


def build(
    guard: Guard,
    sign_in: SignIn,
    kit: KitSettings,
    *,
    installed: tuple[Installed, ...] | None = None,
    unavailable: tuple[type[Exception], ...] = (ConnectionError,),
    authorization: AuthorizationServer | None = None,
    pace: Pace | None = None,
    papers: Papers | None = None,
) -> list[BaseRoute]:
    """The routes of every page of the node; the last takes every other path, so mount them last.

    Without `installed`, every application found is served. `unavailable` are the exceptions that
    mean the database cannot be reached. Raises TypeError when a page does not
    state its access or two pages claim one path. `authorization` is asked for what people approve,
    `pace` counts how often pages are asked for, `papers` signs what pages print.
    """
    found = discover() if installed is None else installed
    house = House(guard, sign_in, kit, found, authorization, papers=papers)
    declared: list[tuple[Page, Application | None]] = [(page, None) for page in KIT_PAGES]
    for application in house.applications:
        declared += [(page, application) for page in application.pages]
    checked(tuple(page for page, _ in declared), "the node")
    door = Door(house, unavailable, pace)
    routes: list[BaseRoute] = [house.assets.route()]
    routes += [door.route(page, application) for page, application in declared]
    rest = Starlette(routes=routes, exception_handlers={404: door.missing, 405: door.not_allowed})
    # It would send on to whatever host a request names, and an address has one form.
    rest.router.redirect_slashes = False
    return [Mount("/", app=rest)]


class Door:
    """Everything that happens around a page: language, actor, access, form, problems, headers."""

    def __init__(
        self, house: House, unavailable: tuple[type[Exception], ...], pace: Pace | None
    ) -> None:
        self._house = house
        self._pace = pace
        self._unavailable = unavailable

    def route(self, page: Page, application: Application | None) -> Route:
        """The page as a route behind this door."""

        async def call(visit: Visit) -> Response:
            if application is None:
                return await page.call(visit)
            if visit.actor is None:
                raise Forbidden("nobody has signed in")
            if not visit.has(application.name):
                raise Forbidden("this application is not switched on where you act")
            visit.application = application
            records = self._house.guard.records(
                visit.actor, purpose=application.purpose, request_id=visit.correlation
            )
            records.wait_with(visit.together)
            try:
                await self._house.guard.registered.refuse(application=application.name)
                await records.refuse_stopped()  # also where a page asks no records, but a desk
                if visit.standing and not page.access.opens_to(visit.actor, visit.standing):
                    raise Forbidden("this page asks for a duty that your post does not have")
                make = partial(page.call, visit, self._house.declared(records, application))
                return await drafting.around(visit, make)
            except Stopped:
                await records.note_stopped()
                raise

        async def answer(request: Request) -> Response:
            return await self._answer(request, call, page)

        return Route(page.path, answer, methods=list(page.methods), name=page.name)

    async def missing(self, request: Request, _error: Exception) -> Response:
        """No page has this path."""
        return await self._answer(request, _raise(NotFound("no page has this address")), None)

    async def not_allowed(self, request: Request, _error: Exception) -> Response:
        """The page does not take this method."""
        problem = NotAllowed("this page cannot be opened like this; start from the first page")
        return await self._answer(request, _raise(problem), None)

    async def _answer(self, request: Request, call: Call, page: Page | None) -> Response:
        visit = self._visit(request)
        correlation_id.set(visit.correlation)
        try:
            async with visit.together:
                await entry.recognise(visit)
                await self._count(visit)
                await self._offer(visit)
                acting.recall_ward(visit)
                response = await self._admitted(visit, call, page)
        except Problem as problem:
            response = tell_problem(visit, problem)
        except self._unavailable:
            busy = Overloaded("the database cannot be reached just now", retry_after_seconds=5)
            response = tell_problem(visit, busy)
        except Exception:
            log.exception("a page failed", extra={"route": page.path if page else ""})
            response = tell_problem(visit, Problem("the node failed to make this page"))
        # A database that is away keeps the form: who sends it again is told to look first.
        with suppress(*self._unavailable):
            await end_once(visit, response)
        self._remember(visit, response)
        approving.goes_on(visit, response)
        return _packed(request, response)

    async def _offer(self, visit: Visit) -> None:
        """How the visitor stands now, and so what the menu offers."""
        if visit.actor is None:
            return
        guard, house = self._house.guard, self._house
        visit.standing = await guard.standings.told(visit.actor)
        names = [one.name for one in house.applications]
        lacking = await guard.registered.lacking("application", names)
        visit.offered = house.offered(visit.actor, visit.standing, lacking)

    async def _count(self, visit: Visit) -> None:
        """Raise TooMany for who asks too often: an account and its institution, or an address
        before signing in.
        """
        if visit.actor is not None:
            await self._house.guard.spend(visit.actor, requests=1)
        if self._pace is not None and visit.begun is not None:
            self._pace.known.spend(f"account {visit.begun.account}")
        elif self._pace is not None:
            self._pace.strangers.spend(entry.address_of(visit))

    async def _admitted(self, visit: Visit, call: Call, page: Page | None) -> Response:
        if visit.request.method == "POST":
            settings = self._house.settings
            is_asked_by_post = page is not None and page.is_asked_by_post
            if not is_asked_by_post:
                _check_origin(visit.request)
            takes_files = page is not None and page.takes_files
            pairs, visit.files = await read_form(
                visit.request,
                bytes_max=settings.form_bytes_max,
                files_bytes_max=settings.pages.uploads_bytes_max if takes_files else 0,
                fields_max=settings.form_fields_max,
                seconds_max=settings.form_seconds_max,
            )
            visit.sent = dict(pairs)
            for name, value in pairs:
                visit.sent_all.setdefault(name, []).append(value)
            if is_asked_by_post and "token" not in visit.sent:
                return visit.go(f"{visit.request.url.path}?{urlencode(pairs)}")
            _check_origin(visit.request)
            check_form(visit, is_of_anybody=page is None or page.access == ANYBODY)
            visit.language = as_language(visit.sent.get("lang")) or visit.language
            visit.is_large = _wish(visit.sent.get("large"), otherwise=visit.is_large)
        role = visit.actor.role if visit.actor else None
        if page is not None and not page.access.admits(role):
            if visit.actor is None:
                return visit.go(entry.SIGN_IN)
            raise Forbidden("this page is not open to you")
        if page is not None and visit.request.method == "POST":
            answered = await begin_once(visit, page)
            if answered is not None:
                return answered
        response = await call(visit)
        if response.status_code != 200 or visit.request.method == "POST":
            return response
        wanted = visit.asked(page_sheets.ASKED)
        # Only now: what a page is asked by is what it has looked at, which need not be said twice.
        if refusal := visit.unanswered:
            raise Malformed(refusal)
        if wanted and response.media_type == "text/html":
            return page_sheets.sheet_of(response, wanted)
        return response

    def _visit(self, request: Request) -> Visit:
        asked = request.query_params
        return Visit(
            request=request,
            house=self._house,
            language=_language(request),
            is_large=_wish(asked.get("large"), otherwise=request.cookies.get(_LARGE) == "1"),
            actor=None,
            holder=entry.browser_of(request),
            correlation=_correlation(request),
            sent={},
        )

    def _remember(self, visit: Visit, response: Response) -> None:
        entry.remember_browser(visit, response)
        large = "1" if visit.is_large else "0"
        for name, value in ((_LANGUAGE, visit.language), (_LARGE, large)):
            has_asked = {"lang", "large"} & (visit.request.query_params.keys() | visit.sent.keys())
            if has_asked and visit.request.cookies.get(name) != value:
                response.set_cookie(
                    name,
                    value,
                    max_age=_YEAR_SECONDS,
                    httponly=True,
                    samesite="lax",
                    secure=self._house.settings.is_secure,
                )
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["X-Request-Id"] = visit.correlation


def _check_origin(request: Request) -> None:
    """Raise Forbidden when a form was sent from another site or the browser does not say where."""
    fetched_from = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if fetched_from is not None and fetched_from not in {"same-origin", "none"}:
        raise Forbidden("this form was sent from another site")
    if origin is not None:
        if origin.partition("://")[2] != request.headers.get("host", ""):
            raise Forbidden("this form was sent from another site")
    elif fetched_from is None:
        raise Forbidden("the browser does not say where this form comes from")


def _language(request: Request) -> Language:
    return (
        as_language(request.query_params.get("lang"))
        or as_language(request.cookies.get(_LANGUAGE))
        or preferred(request.headers.get("accept-language", ""))
    )


def _wish(text: str | None, *, otherwise: bool) -> bool:
    return text == "1" if text in {"0", "1"} else otherwise


def _correlation(request: Request) -> str:
    sent = request.headers.get("x-request-id", "")
    return sent if _SANE_ID.fullmatch(sent) else uuid4().hex


def _raise(problem: Problem) -> Call:
    async def call(_visit: Visit) -> Response:
        raise problem

    return call


def _packed(request: Request, response: Response) -> Response:
    """The response in gzip where the browser takes it.

    The form token is sealed anew on every page, so the packed size tells nothing about it.
    """
    if isinstance(response, StreamingResponse) or len(response.body) < _PACK_BYTES_MIN:
        return response
    response.headers["Vary"] = "Accept-Encoding"
    if "gzip" in request.headers.get("accept-encoding", ""):
        response.body = gzip.compress(bytes(response.body), 5)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response
