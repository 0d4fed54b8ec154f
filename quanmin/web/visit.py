"""One request of one person, as a page sees it.

Who asks, in which language, what was sent, and how to answer.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from quanmin.base.problems import Malformed, NotFound, Overloaded, Sentence, TooLarge
from quanmin.trust import Actor, Together
from quanmin.trust.deciding.rules import Rule
from quanmin.trust.notices.reading import UNREAD_MAX
from quanmin.trust.registers import Standing
from quanmin.trust.sign_in import Begun, Turn
from quanmin.web.application import Application
from quanmin.web.dates import from_micros
from quanmin.web.drawing import Pen
from quanmin.web.house import House
from quanmin.web.labels import Label
from quanmin.web.languages import KIT
from quanmin.web.multipart import SentFile, is_multipart, parse_multipart
from quanmin.web.policy import WITH_SCRIPT
from quanmin.web.reading import Reader
from quanmin.web.sections import Section, sections
from quanmin.web.text import COLON, SEMICOLON, Language

_FORM, _STATE = "form", "state"
_OWN_PACKAGE = __package__
_NUL = "\x00"
_NAME_LENGTH_MAX = 40
_OF_ALL_PAGES = frozenset({"lang", "large"})
_HOUR_SECONDS = 3600
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)


class Emergency(msgspec.Struct, frozen=True):
    """The Patient whose record is read in an emergency ("" for none that is named), and until when
    it is open: microseconds, None for not yet.
    """

    patient: str
    until: int | None
    minutes_left: int = 0


@dataclass(slots=True)
class Visit:
    """Made by the kit for each request; `actor` is None only on pages open to anybody.

    `begun` is the session in whatever stage, `cookie` its id; `acting_for` is the name of the one
    for whom a guardian acts. `holder` is what sealed values are bound to: they open in the same
    session (or browser, before there is one) only. `standing` is what the registers say of the
    actor, `offered` the applications whose first page is open to them, `application` the one that
    the page is of. `answered` are the names by which the page has let itself be asked so far.
    `emergency` is the one in which the page is read; what is done in it is noted `together`. `sent`
    has the last value of each field, `sent_all` all of them, `files` the files; `turn` is the right
    to do what was sent.
    """

    request: Request
    house: House
    language: Language
    is_large: bool
    actor: Actor | None
    holder: str
    correlation: str
    sent: dict[str, str]
    begun: Begun | None = None
    cookie: str = ""
    acting_for: str = ""
    standing: Standing | None = None
    emergency: Emergency | None = None
    sent_all: dict[str, list[str]] = field(default_factory=dict)
    files: list[SentFile] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    application: Application | None = None
    offered: tuple[Application, ...] = ()
    together: Together = field(default_factory=Together)
    turn: Turn | None = None

    @property
    def reader(self) -> Reader:
        """Reads resources in the language of the page; cases in the words of their workflows."""
        return Reader(self.language, self.house.settings.zone, self.house.case_codes)

    @property
    def pen(self) -> Pen:
        """Draws charts, maps and the like as the page is written."""
        return Pen(self.language, self.say, self.is_large)

    @property
    def may_open_in_emergency(self) -> bool:
        """Whether a rule lets the visitor open records in an emergency."""
        if self.actor is None:
            return False
        acting = self.actor if self.standing is None else self.standing.acting(self.actor)
        guard = self.house.guard
        return guard.deciding.may_break_glass(acting, guard.now())

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of access of this node."""
        return self.house.guard.deciding.rules

    @property
    def today(self) -> date:
        """The day it is where the node stands."""
        return self.house.today()

    @property
    def colon(self) -> str:
        """What stands between a name and what is said of it, in the language of the page."""
        return COLON.told(self.language)

    @property
    def semicolon(self) -> str:
        """What stands between what is said one after the other, in the language of the page."""
        return SEMICOLON.told(self.language)

    def moment(self, microseconds: int) -> str:
        """A moment (since 1970-01-01T00:00Z) by the clock of where the node stands."""
        there = from_micros(microseconds, self.house.settings.zone)
        return f"{there:%Y-%m-%d %H:%M}"

    def midnight(self, day: date) -> int:
        """When a day begins where the node stands, in microseconds since 1970-01-01T00:00Z."""
        begins = datetime.combine(day, time(), self.house.settings.zone)
        return int(begins.timestamp()) * 1_000_000

    def path(self, name: str) -> str:
        """A part of the path, by its name in the page's declaration. Raises NotFound for what no
        database takes as text.
        """
        part = str(self.request.path_params[name])
        if _NUL in part:
            raise NotFound("no page has this address")
        return part

    def asked(self, name: str) -> str:
        """What the address says after the question mark; empty when nothing, and without the
        character that no database takes as text.
        """
        self.answered.add(name)
        return self.request.query_params.get(name, "").replace(_NUL, "")

    def asked_day(self, name: str) -> date | None:
        """A day that the address says; None for none. Raises Malformed for what is no day."""
        text = self.asked(name)
        day = read_day(text)
        if text and day is None:
            raise Malformed(Sentence("%(name)s is a day, such as 2026-01-31", name=name))
        return day

    def asked_all(self) -> list[tuple[str, str]]:
        """All that the address says, for a page that judges it whole."""
        pairs = self.request.query_params.multi_items()
        self.answered.update(name for name, _ in pairs)
        return pairs

    @property
    def unanswered(self) -> str:
        """What of the address the page did not look at, in words; "" for nothing. Who meant to ask
        for less than all must not take all for the answer; a value left empty asks for nothing.
        """
        known = self.answered
        for name, value in self.request.query_params.items():
            if value and name not in known | _OF_ALL_PAGES:
                said = self.say("This page is not asked by “%(name)s”. It is asked by: %(known)s.")
                told = ", ".join(sorted(known)) or self.say("nothing")
                return said % {"name": name[:_NAME_LENGTH_MAX], "known": told}
        return ""

    def here_with(self, **changes: str) -> str:
        """The address of this page with some of what stands after its question mark changed."""
        asked = {**self.request.query_params, **changes}
        return f"{self.request.url.path}?{urlencode(asked)}"

    @property
    def here_again(self) -> str:
        """The address of this page as it was asked, for a form that is sent to it."""
        here = self.request.url
        return f"{here.path}?{here.query}" if here.query else here.path

    def say(self, message: str) -> str:
        """A message of the sources in the language of the page, in the words of the folder whose
        code says it; else of the application that the page is of; else of the kit.
        """
        # Where it is said is where tools/build_translations.py has found it. No name may hold the
        # frame itself: it would hold the name, and every page leave hundreds of such rings, with
        # all that was on it, to the collector, which then stops everybody at once.
        asking = getattr(inspect.currentframe(), "f_back", None)
        package = str(asking.f_globals.get("__package__") or "") if asking else ""
        owner = KIT if package == _OWN_PACKAGE else package.rpartition(".")[2]
        here = self.application.name if self.application else ""
        return self.house.say(message, self.language, owner, here)

    def keep(self, what: str, state: dict[str, Any]) -> str:
        """State of a page as text that a form or link carries for this visitor and nobody reads.
        `what` says of which pages: others do not take it. It opens only while they act as now.
        """
        return self.house.seal.close(f"{_STATE} {what}", self.asker, json.dumps(state).encode())

    def kept(self, what: str, text: str) -> dict[str, Any]:
        """What `keep` was given.

        Raises Malformed when it was not made for this visitor, as whom they act now, and these
        pages, or is too old.
        """
        hours = self.house.settings.link_hours_max
        content = self.house.seal.open(
            f"{_STATE} {what}", self.asker, text, age_seconds_max=hours * _HOUR_SECONDS
        )
        state: dict[str, Any] = json.loads(content)
        return state

    def form_token(self) -> str:
        """What every form that changes or searches must send back as `token`."""
        return self.house.seal.close(_FORM, self.holder, self.asker.encode())

    def page(
        self, template: str, *, status: int = 200, has_script: bool = False, **values: Any
    ) -> Response:
        """A template as the answer, with what the frame of every page needs. Only a page that
        `has_script` may run the kit's own.
        """
        html = self.house.render(template, self.language, {**self._frame(), **values})
        headers = {"Content-Security-Policy": WITH_SCRIPT} if has_script else None
        return HTMLResponse(html, status_code=status, headers=headers)

    def go(self, path: str) -> Response:
        """Send the browser on to a page of this node, by GET."""
        return RedirectResponse(path, status_code=303)

    def has(self, application: str) -> bool:
        """Whether an application is switched on where the visitor acts."""
        return self.standing is None or self.standing.has(application)

    def offers(self, application: str) -> bool:
        """Whether the visitor's menu has it, so that a page of its may be linked to."""
        return any(one.name == application for one in self.offered)

    def menu(self) -> list[tuple[Section, list[Application]]]:
        """The applications that the visitor is offered, by their field of work."""
        found = [
            (section, [one for one in self.offered if one.section == section.code])
            for section in sections()
        ]
        return [(section, listed) for section, listed in found if listed]

    @property
    def asker(self) -> str:
        """The holder as whom they act now. A session goes on when somebody changes post or the one
        for whom they act, in another tab: what was chosen for one must not be done for the other.
        """
        if self.actor is None:
            return self.holder
        proxy = 0 if self.actor.acting is None else self.actor.acting.proxy
        return f"{self.holder} {proxy} {self.actor.code}"

    def _here_as(self) -> str:
        """Whom the visitor acts for: an institution by its name, others by what they are here."""
        if self.actor is None:
            return ""
        roles = {
            "operator": self.say("Node operator"),
            "resident": self.say("Resident"),
            "guardian": self.say("Guardian or proxy"),
        }
        return roles.get(self.actor.role, self.actor.name)

    def _unread(self) -> str:
        """How many notices the visitor has not read, as far as they are counted."""
        count = 0 if self.begun is None else self.begun.unread
        return f"{UNREAD_MAX}+" if count > UNREAD_MAX else str(count or "")

    def _frame(self) -> dict[str, Any]:
        settings = self.house.settings
        return {
            "visit": self,
            "language": self.language,
            "is_large": self.is_large,
            "actor": self.actor,
            "here_as": self._here_as(),
            "site": settings.title.told(self.language),
            "is_fictional": settings.is_fictional,
            "menu": self.menu(),
            "section_here": self.application.section if self.application else "",
            "home_here": self.application.home if self.application else "",
            "here": self.request.url.path,
            "token": self.form_token(),
            "emergency": self.emergency,
            # A page made by POST has no address that would show it again: the links that change its
            # language or size become buttons that send its state once more.
            "again": None,
            "acting_for": self.acting_for,
            "unread": self._unread(),
            "has_acting_ended": self.begun is not None and self.begun.has_acting_ended,
        }


def check_form(visit: Visit, *, is_of_anybody: bool = False) -> None:
    """Raise Malformed unless the form was made by this node for this visitor, lately, and, but for
    a page `is_of_anybody`, as whom they act now.
    """
    hours = visit.house.settings.session_hours_max
    asker = visit.house.seal.open(
        _FORM, visit.holder, visit.sent.get("token", ""), age_seconds_max=hours * _HOUR_SECONDS
    )
    if asker != visit.asker.encode() and not is_of_anybody:
        raise Malformed(
            "you act as somebody else, or for somebody else, than when this page was made, and"
            " nothing was done: open the page again"
        )


async def read_form(
    request: Request, *, bytes_max: int, files_bytes_max: int, fields_max: int, seconds_max: float
) -> tuple[list[tuple[str, str]], list[SentFile]]:
    """The fields of a form, and the files that were sent with it where a page takes any: then it
    may be `files_bytes_max` larger. Raises TooLarge, Malformed, and Overloaded for one that does
    not arrive in time.
    """
    kind = request.headers.get("content-type", "")
    has_files = files_bytes_max > 0 and is_multipart(kind)
    if not has_files and not kind.startswith("application/x-www-form-urlencoded"):
        raise Malformed("this page takes its own form only")
    most = bytes_max + files_bytes_max if has_files else bytes_max
    body = await _body(request, bytes_max=most, seconds_max=seconds_max)
    files: list[SentFile] = []
    if has_files:
        pairs, files = parse_multipart(kind, body, fields_max=fields_max)
    else:
        pairs = _parse(body, fields_max)
    if any(_NUL in part for pair in pairs for part in pair):
        raise Malformed("the form holds the character U+0000, which is no text")
    return pairs, files


def _parse(body: bytes, fields_max: int) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=fields_max
        )
    except ValueError as error:
        raise Malformed(
            Sentence(
                "the form is not UTF-8 text, or has more than %(fields_max)s fields",
                fields_max=fields_max,
            )
        ) from error


async def _body(request: Request, *, bytes_max: int, seconds_max: float) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(seconds_max):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise TooLarge(
                        Sentence("a form may have %(bytes_max)s bytes", bytes_max=bytes_max)
                    )
    except TimeoutError:
        raise Overloaded("the form did not arrive in time", retry_after_seconds=1) from None
    return bytes(body)


def told(label: Label | None) -> str:
    """The words of a label; empty for none."""
    return label.text if label else ""


def read_day(text: str) -> date | None:
    """The day that a text is; None for none, and for one beyond what registers speak of."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if _FIRST_DAY <= day <= _LAST_DAY else None
