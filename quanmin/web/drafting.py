"""Forms of questions that are begun and not sent. What stands in one is kept when its button or its
script says so, offered when it is opened again, and gone once it is sent.

The kit does this around the page of whichever application: going on puts what was kept where what
is sent stands, with the button that looks again, and the application shows its form as ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.responses import PlainTextResponse, Response

from quanmin.base.problems import Conflict, NotFound, Problem, TooLarge, Unauthenticated
from quanmin.trust import Actor
from quanmin.trust.drafts import Draft, Drafts, Written
from quanmin.web.buttons import ACTION, FORM, LOOK, SEND, fields_of
from quanmin.web.forms import Cell, confirm_page, is_confirmed, read_number
from quanmin.web.route import SIGNED_IN, Page, page
from quanmin.web.tables import Heading, Table, shown, table
from quanmin.web.visit import Visit

DRAFTS: Final = "/drafts"
_DRAFT, _RESUME, _FORGET = "draft", "resume", "forget"
_BY_SCRIPT: Final = "script"
_ABOUT: Final = "form"
_OF_ALL_PAGES: Final = frozenset({"lang", "large"})
_DAY: Final = 86_400_000_000
_SEE_OTHER: Final = 303
_HOLDER_LENGTH: Final = 16


class _Form(msgspec.Struct, frozen=True):
    """What the page of a form says of it: its name by language, and the id of its Patient."""

    titles: dict[str, str]
    patient: str


class FormPage(Response):
    """The page of a form that is yet to be written: whether its visitor has begun it before is
    asked when nothing else is left to do.
    """

    def __init__(self, write: Callable[..., Response]) -> None:
        super().__init__()
        self.write = write


def form_page_of(
    visit: Visit, template: str, titles: dict[str, str], patient: str, **values: Any
) -> FormPage:
    """A template as the page of a form, with what its drafts need."""
    actor, settings = _actor(visit), visit.house.settings.pages
    holder = f"{actor.code} {0 if actor.acting is None else actor.acting.proxy}"
    form = visit.keep(_ABOUT, {"titles": titles, "patient": patient})

    def write(**more: Any) -> Response:
        return visit.page(
            template,
            form=form,
            # By this a page that is fetched again, after signing in anew, is known to be theirs.
            holder=hashlib.sha256(holder.encode()).hexdigest()[:_HOLDER_LENGTH],
            draft_seconds=settings.draft_seconds,
            has_script=True,
            **values,
            **more,
        )

    return FormPage(write)


async def around(visit: Visit, call: Callable[[], Awaitable[Response]]) -> Response:
    """The answer of a page that `call` makes, and what it means for a draft; where the button is
    one of drafts, what that does instead. `call` alone may open the form: what is kept is shown
    through it.
    """
    action, _, by = visit.sent.get(ACTION, SEND).partition(" ")
    # A page that the kit has made of a form, and none that has a button of such a name.
    is_form = visit.request.method == "POST" and FORM in visit.sent
    said = ""
    if is_form and action == _DRAFT:
        answer, said = await _kept(visit, by)
        if answer is not None:
            return answer
    elif is_form and action == _RESUME:
        found = await _drafts(visit).find(_actor(visit), _address(visit))
        if found is None:
            return visit.go(visit.here_again)
        _look(visit, found.fields)
    elif is_form and action == _FORGET:
        await _drafts(visit).forget(_actor(visit), _address(visit))
        return _done(visit, by)
    is_sent = is_form and action == SEND
    try:
        response = await call()
    except Problem:
        # Its page is not the form: without this, all that was filled in would be lost with it.
        if is_sent:
            with suppress(Problem):
                await _keep(visit)
        raise
    if isinstance(response, FormPage):
        return response.write(draft=await _begun(visit), not_kept=said)
    if is_sent and response.status_code == _SEE_OTHER:
        await _drafts(visit).forget(_actor(visit), _address(visit))
    return response


@table(DRAFTS, access=SIGNED_IN, name="drafts")
async def drafts(visit: Visit) -> Table:
    """The forms that whoever asks has begun and not sent."""
    say, days = visit.say, visit.house.settings.pages.draft_days
    found = await _drafts(visit).listed(_actor(visit))

    def cells(one: Draft) -> list[Cell]:
        return [
            Cell(_title(visit, one), one.written.address),
            Cell(visit.moment(one.kept_at)),
            Cell(visit.moment(one.kept_at + days * _DAY)),
            Cell(say("Throw away"), f"{DRAFTS}/{one.number}"),
        ]

    return Table(
        title=say("Begun and not finished"),
        headings=[Heading(say("Form")), Heading(say("Kept at")), Heading(say("Kept until")),
                  Heading(say("To do"), where="page")],
        fetch=shown(found, cells),
        empty=say("A form that you begin and do not send is listed here."),
    )  # fmt: skip


@page(f"{DRAFTS}/{{number}}", access=SIGNED_IN, methods=("GET", "POST"))
async def throw_away(visit: Visit) -> Response:
    """Throw one away, after a question: its form may not open any more."""
    number, kept = read_number(visit.path("number")), _drafts(visit)
    if visit.request.method == "POST" and is_confirmed(visit):
        if number is not None:
            await kept.forget_number(_actor(visit), number)
        return visit.go(DRAFTS)
    found = await kept.listed(_actor(visit))
    one = next((one for one in found if one.number == number), None)
    if one is None:
        raise NotFound("there is no such form that was begun, or it was sent or thrown away")
    told = [
        _title(visit, one),
        visit.say("What you filled in is deleted and cannot be brought back."),
    ]
    return confirm_page(visit, visit.say("Throw away what you began?"), told, back=DRAFTS)


async def count_drafts(visit: Visit) -> int:
    """How many forms the visitor has begun and not sent."""
    return await _drafts(visit).count(_actor(visit))


async def _kept(visit: Visit, by: str) -> tuple[Response | None, str]:
    """Keep the form, and answer; None where its page is to be shown as it was sent, and what it
    says then: what was not kept must not be lost by that.
    """
    try:
        await _keep(visit)
    except (Conflict, TooLarge) as problem:
        said = visit.say(problem.text)
        if by == _BY_SCRIPT:
            return PlainTextResponse(said, status_code=problem.status), said
    else:
        if not visit.files:
            return _done(visit, by), ""
        said = visit.say(
            "All is kept but the files: send them with the form, or choose them again."
        )
    _look(visit, visit.sent_all)
    return None, said


async def _keep(visit: Visit) -> None:
    about = msgspec.convert(visit.kept(_ABOUT, visit.sent[FORM]), _Form)
    settings = visit.house.settings.pages
    await _drafts(visit).keep(
        _actor(visit),
        Written(_address(visit), about.titles, fields_of(visit)),
        about.patient,
        most=settings.drafts_max,
        bytes_max=settings.draft_bytes_max,
    )


async def _begun(visit: Visit) -> str:
    """When the visitor has begun the form that they now open; "" for not."""
    if visit.request.method != "GET":
        return ""
    at = await _drafts(visit).kept_at(_actor(visit), _address(visit))
    return "" if at is None else visit.moment(at)


def _done(visit: Visit, by: str) -> Response:
    """Back to the page of the form; a script stays on it."""
    return Response(status_code=204) if by == _BY_SCRIPT else visit.go(visit.here_again)


def _look(visit: Visit, fields: dict[str, list[str]]) -> None:
    """Have the page see these fields, as if its button to look again had been pressed."""
    kept: dict[str, list[str]] = {name: visit.sent_all[name] for name in ("token", FORM)}
    visit.sent_all = {**fields, **kept, ACTION: [LOOK]}
    visit.sent = {name: texts[-1] for name, texts in visit.sent_all.items()}


def _address(visit: Visit) -> str:
    """The address of the form, in whichever language and size it is shown."""
    here = visit.request.url
    asked = parse_qsl(here.query, keep_blank_values=True)
    query = urlencode([(name, value) for name, value in asked if name not in _OF_ALL_PAGES])
    return f"{here.path}?{query}" if query else here.path


def _title(visit: Visit, draft: Draft) -> str:
    titles = draft.written.titles
    return titles.get(visit.language) or next(iter(titles.values()), draft.written.address)


def _drafts(visit: Visit) -> Drafts:
    return Drafts(visit.house.guard)


def _actor(visit: Visit) -> Actor:
    if visit.actor is None:
        raise Unauthenticated("nobody has signed in")
    return visit.actor


PAGES: Final[tuple[Page, ...]] = (*drafts, throw_away)
