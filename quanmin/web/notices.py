"""The notices of whoever has signed in, and how they want to be told that there is one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.responses import Response

from quanmin.base.problems import Invalid, Malformed
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import decode
from quanmin.trust.notices import CHANNELS, CLASSES, Channel, Class, Contact, Notice
from quanmin.trust.notices.reading import is_address
from quanmin.web.entry import signed_in, taken
from quanmin.web.forms import Field, Sent, form_page
from quanmin.web.route import SIGNED_IN, Page, page
from quanmin.web.sheet import sheet
from quanmin.web.tables import refusal_of
from quanmin.web.text import LANGUAGES
from quanmin.web.visit import Visit

NOTICES: Final = "/notices"
CHOICES: Final = "/notices/choices"
_OWN_NAMES: Final = frozenset({"as", "before"})
_ROWS: Final = 50
_SHEET_ROWS: Final = 500
_NUMBER_LENGTH_MAX: Final = 18
_EVER: Final = (1 << 63) - 1
_ADDRESS_LENGTH_MAX: Final = 254
_OWN: Final = "PATRQT"
_REGISTRATIONS_MAX: Final = 10
_CHANNEL_OF: Final[dict[str, Channel]] = {"phone": "sms", "sms": "sms", "email": "mail"}


@page(NOTICES, access=SIGNED_IN, methods=("GET", "POST"))
async def notices(visit: Visit) -> Response:
    """What there is to know, the newest first; by POST: what was shown has been read."""
    entrance, begun = visit.house.sign_in, signed_in(visit)
    if visit.request.method == "POST":
        await entrance.notices.mark_seen(begun.account, _number(taken(visit, "up_to")))
        return visit.go(NOTICES)
    words = _class_words(visit)
    kind = Field("class", visit.say("Kind"), "select", choices=[(one, one) for one in words])
    state = Field("unread", visit.say("State"), "select", choices=[("1", "")])
    if refusal := refusal_of(visit, [kind, state], _OWN_NAMES):
        raise Malformed(refusal)
    if visit.asked("as") == "csv":
        return _sheet(visit, begun.account)
    found = await _listed(visit, begun.account, _before(visit.asked("before")), _ROWS + 1)
    shown = found[:_ROWS]
    more = f"{shown[-1].at}.{shown[-1].id}" if len(found) > _ROWS else ""
    return visit.page(
        "kit/notices.html",
        heading=_heading(visit),
        rows=[_row(visit, one) for one in shown],
        has_unread=any(one.seen_at is None for one in shown),
        up_to=max((one.id for one in shown), default=0),
        classes=[("", visit.say("All")), *words.items()],
        asked_class=_class(visit) or "",
        is_unread=_is_unread(visit),
        more=visit.here_with(before=more) if more else "",
        csv=visit.here_with(**{"as": "csv", "before": ""}),
    )


def _sheet(visit: Visit, account: str) -> Response:
    async def rows() -> AsyncIterator[list[str]]:
        before = (_EVER, _EVER)
        while found := await _listed(visit, account, before, _SHEET_ROWS):
            for one in found:
                yield [cell if isinstance(cell, str) else cell[0] for cell in _row(visit, one)]
            before = (found[-1].at, found[-1].id)

    return sheet("notices", _heading(visit), rows())


async def _listed(
    visit: Visit, account: str, before: tuple[int, int], count: int
) -> Sequence[Notice]:
    return await visit.house.sign_in.notices.listed(
        account, class_=_class(visit), is_unread=_is_unread(visit), before=before, count=count
    )


def _heading(visit: Visit) -> list[str]:
    say = visit.say
    return [say("When"), say("What there is to know"), say("Kind"), say("State")]


def _row(visit: Visit, notice: Notice) -> list[str | tuple[str, str]]:
    kind = visit.house.notice_kind(notice.kind)
    words = notice.told(kind, visit.language, visit.house.guard.store.context)
    if notice.detail:
        words = f"{words}: {notice.detail}"
    state = visit.say("new") if notice.seen_at is None else visit.say("read")
    path = kind.path if kind else ""
    return [visit.moment(notice.at), (words, path), _class_words(visit)[notice.class_], state]


def _class_words(visit: Visit) -> dict[Class, str]:
    return {
        "reminder": visit.say("Reminder"),
        "warning": visit.say("Warning"),
        "result": visit.say("Result"),
        "task": visit.say("Task"),
    }


def _class(visit: Visit) -> Class | None:
    asked = visit.asked("class")
    return asked if asked in CLASSES else None


def _is_unread(visit: Visit) -> bool:
    return visit.asked("unread") == "1"


def _before(text: str) -> tuple[int, int]:
    at, _, number = text.partition(".")
    return (_number(at) or _EVER, _number(number) or _EVER)


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _NUMBER_LENGTH_MAX
    return int(text) if is_number else 0


@page(CHOICES, access=SIGNED_IN, methods=("GET", "POST"))
async def choices(visit: Visit) -> Response:
    """By what ways one is told that there is news, and when not."""
    register, begun = visit.house.sign_in.notices, signed_in(visit)
    context = visit.house.guard.store.context
    if visit.request.method == "GET":
        contacts = await register.contacts(begun.account, context) or await _registered(visit)
        return _ask(visit, contacts, await register.quiet_time(begun.account), None)
    sent = Sent(visit)
    language = sent.choice("language", LANGUAGES) or visit.language
    chosen = [
        Contact(channel, address, language)
        for channel in CHANNELS
        if (address := sent.text(channel, length_max=_ADDRESS_LENGTH_MAX))
    ]
    begins, ends = _minute(visit, sent, "begins"), _minute(visit, sent, "ends")
    quiet = None if begins is None or ends is None else (begins, ends)
    if quiet is None and (begins is not None or ends is not None):
        sent.faults.setdefault("ends", visit.say("Give both, or neither."))
    if sent.is_sound:
        try:
            await register.choose(begun.account, chosen, quiet, context)
        except Invalid as problem:
            sent.blame(problem, {channel: channel for channel in CHANNELS})
        else:
            return visit.go(NOTICES)
    return _ask(visit, chosen, quiet, sent)


async def _registered(visit: Visit) -> list[Contact]:
    """What the resident's own registrations say, for whoever has chosen nothing yet: it is used
    once they have kept it.
    """
    if visit.actor is None or visit.actor.role != "resident":
        return []
    guard = visit.house.guard
    records = guard.records(visit.actor, purpose=_OWN, request_id=visit.correlation)
    query = parse_query(
        "Patient",
        [("_count", str(_REGISTRATIONS_MAX))],
        strict=True,
        zone=visit.house.settings.zone,
        limits=records.context.query_limits,
    )
    found: dict[Channel, Contact] = {}
    for stored in (await records.search(query)).matches:
        for point in decode(stored.body or b"{}").get("telecom", ()):
            channel = _CHANNEL_OF.get(point.get("system", ""))
            text = re.sub(r"[\s\-]", "", point.get("value", ""))
            if channel and point.get("use") != "old" and is_address(channel, text):
                found.setdefault(channel, Contact(channel, text, visit.language))
    return [*found.values()]


def _ask(
    visit: Visit, contacts: Sequence[Contact], quiet: tuple[int, int] | None, sent: Sent | None
) -> Response:
    say = visit.say
    known = {one.channel: one for one in contacts}
    language = contacts[0].language if contacts else visit.language
    titles: dict[Channel, str] = {
        "sms": say("Text messages to this number"),
        "mini-program": say("Messages of the mini-program to this identifier"),
        "mail": say("Mail to this address"),
    }
    none = say("Empty: no message goes this way.")
    fields = [
        Field(channel, words, value=known[channel].address if channel in known else "", hint=none,
              length_max=_ADDRESS_LENGTH_MAX)
        for channel, words in titles.items()
    ]  # fmt: skip
    clock = say("A time of the day such as 21:30. Empty: as the node does.")
    minutes = ("", "") if quiet is None else (_clock(quiet[0]), _clock(quiet[1]))
    languages = [("zh", "中文"), ("en", "English")]
    fields += [
        Field("language", say("Language of messages"), "select", language, languages),
        Field("begins", say("No messages from"), value=minutes[0], hint=clock, length_max=5),
        Field("ends", say("No messages until"), value=minutes[1], hint=clock, length_max=5),
    ]
    return form_page(
        visit,
        say("How I am told that there is news"),
        fields,
        button=say("Keep this"),
        back=NOTICES,
        sent=sent,
        lead=say(
            "A message says only that there is news and where to sign in. What is urgent comes"
            " at any hour. Nothing is sent to an address that you have not kept here."
        ),
    )


def _minute(visit: Visit, sent: Sent, name: str) -> int | None:
    """The minute of the day that was filled in; None for none."""
    text = sent.text(name, length_max=5)
    if not text:
        return None
    hour, _, minute = text.partition(":")
    is_time = all(part.isascii() and part.isdigit() and len(part) <= 2 for part in (hour, minute))
    if not is_time or int(hour) > 23 or int(minute) > 59 or len(minute) != 2:
        sent.faults[name] = visit.say("A time is written as 21:30.")
        return None
    return int(hour) * 60 + int(minute)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


PAGES: tuple[Page, ...] = (notices, choices)
