"""The notices of whoever has signed in, and how they want to be told that there is one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from quanmin.fhir.grammar import parse_query
from quanmin.fhir.json import decode
from quanmin.trust.notices import CHANNELS, CLASSES, Channel, Class, Contact, Notice
from quanmin.trust.notices.reading import is_address
from quanmin.web.entry import signed_in
from quanmin.web.forms import Cell, Field, Sent, form_page, read_number
from quanmin.web.route import SIGNED_IN, Page, page
from quanmin.web.tables import Heading, Press, Row, Table, place_numbers, table
from quanmin.web.text import LANGUAGES
from quanmin.web.visit import Visit

NOTICES: Final = "/notices"
READ: Final = "/notices/read"
CHOICES: Final = "/notices/choices"
_ADDRESS_LENGTH_MAX: Final = 254
_OWN: Final = "PATRQT"
_REGISTRATIONS_MAX: Final = 10
_CHANNEL_OF: Final[dict[str, Channel]] = {"phone": "sms", "sms": "sms", "email": "mail"}


@table(NOTICES, access=SIGNED_IN, name="notices")
async def notices(visit: Visit) -> Table:
    """What there is to know, the newest first."""
    register, account, say = visit.house.sign_in.notices, signed_in(visit).account, visit.say
    words, class_, is_unread = _class_words(visit), visit.asked("class"), visit.asked("unread")

    async def listed(after: str, count: int) -> Sequence[Notice]:
        return await register.listed(
            account,
            class_=class_ if class_ in CLASSES else None,
            is_unread=is_unread == "1",
            before=place_numbers(after),
            count=count,
        )

    new: dict[str, str] = {}

    async def fetch(after: str, count: int) -> list[Row]:
        found = await listed(after, count)
        new.update({_place(one): str(one.id) for one in found if one.seen_at is None})
        return [Row(_cells(visit, one), _place(one)) for one in found]

    def seen(places: Sequence[str]) -> dict[str, str]:
        shown = ",".join(new[one] for one in places if one in new)
        return {"shown": shown} if shown else {}

    any_ = ("", say("All"))
    return Table(
        title=say("My notices"),
        headings=[Heading(say("When")), Heading(say("What there is to know")),
                  Heading(say("Kind")), Heading(say("State"))],
        fetch=fetch,
        filters=[
            Field("class", say("Kind"), "select", class_, [any_, *words.items()]),
            Field("unread", say("State"), "select", is_unread, [any_, ("1", say("new"))]),
        ],
        actions=[(say("How I am told that there is news"), CHOICES)],
        press=Press(say("I have read these"), READ, seen),
    )  # fmt: skip


def _place(notice: Notice) -> str:
    return f"{notice.at}.{notice.id}"


@page(READ, access=SIGNED_IN, methods=("POST",))
async def read(visit: Visit) -> Response:
    """What was shown has been read, and nothing else: what came meanwhile, or stands on another
    page or under another kind, is still to be told.
    """
    sent = visit.sent.get("shown", "").split(",")
    shown = [number for one in sent if (number := read_number(one)) is not None]
    await visit.house.sign_in.notices.mark_seen(signed_in(visit).account, shown)
    return visit.go(NOTICES)


def _cells(visit: Visit, notice: Notice) -> list[Cell]:
    kind = visit.house.notice_kind(notice.kind)
    words = notice.told(kind, visit.language, visit.house.guard.store.context)
    if notice.detail:
        words = f"{words}{visit.colon}{notice.detail}"
    state = visit.say("new") if notice.seen_at is None else visit.say("read")
    return [
        Cell(visit.moment(notice.at)),
        Cell(words, kind.path if kind else ""),
        Cell(_class_words(visit)[notice.class_]),
        Cell(state),
    ]


def _class_words(visit: Visit) -> dict[Class, str]:
    return {
        "reminder": visit.say("Reminder"),
        "warning": visit.say("Warning"),
        "result": visit.say("Result"),
        "task": visit.say("Task"),
    }


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
        with sent.blaming({channel: channel for channel in CHANNELS}):
            await register.choose(begun.account, chosen, quiet, context)
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


PAGES: tuple[Page, ...] = (*notices, read, choices)
