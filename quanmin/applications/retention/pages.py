"""The pages of retention: what is due, deletions with their certificates, and holds."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec
from starlette.responses import Response

from quanmin.base.problems import Conflict, Forbidden, Invalid, NotFound
from quanmin.trust.lifecycle.deletions import Listed
from quanmin.trust.lifecycle.retention_desk import ROLES, Held, RetentionDesk
from quanmin.trust.lifecycle.retention_rules import retention_rules
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work, page
from quanmin.web.forms import (
    Cell,
    Field,
    Listing,
    Sent,
    form_page,
    list_page,
    plain,
    word_of,
)
from quanmin.web.sheet import sheet

KEEPERS: Final = Access(ROLES)
LIST: Final = "/retention"
_DELETIONS: Final = f"{LIST}/deletions"
_HOLDS: Final = f"{LIST}/holds"
_DIGITS_MAX: Final = 18
_REFUSALS: Final = (Conflict, Forbidden, Invalid, NotFound)


@page(LIST, access=KEEPERS)
async def due(visit: Visit, records: DeclaredRecords) -> Response:
    """What was found due when it was looked for last, by clock."""
    say, clocks = visit.say, retention_rules().clock
    rows = [
        [
            Cell(word_of(visit, clocks, one.clock)),
            Cell(str(one.patients), is_number=True),
            Cell(str(one.records), is_number=True),
            Cell(visit.moment(one.first)[:10], is_number=True),
        ]
        for one in await records.desk(RetentionDesk).due()
    ]
    listing = Listing(
        title=say("Due for deletion"),
        lead=say("As it was found last; it is judged again when it is deleted."),
        headings=[say("Clock"), say("Registrations"), say("Records"), say("First since")],
        rows=rows,
        csv=f"{LIST}?as=csv",
        actions=[
            (say("Look for what is due"), f"{LIST}/find"),
            (say("Propose to delete it"), f"{LIST}/propose"),
            (say("Deletions"), _DELETIONS),
            (say("Holds"), _HOLDS),
        ],
    )
    return _listed(visit, listing, "due")


@page(_DELETIONS, access=KEEPERS)
async def deletions(visit: Visit, records: DeclaredRecords) -> Response:
    """Deletions: how far they are; one leads to its confirmation or to its certificate."""
    say = visit.say
    listing = Listing(
        title=say("Deletions"),
        headings=[
            *(say("Deletion"), say("State"), say("Proposed"), say("Proposed by")),
            *(say("Confirmed"), say("Confirmed by"), say("Registrations"), say("Deleted")),
            say("Kept after all"),
        ],
        rows=[_deletion(visit, one) for one in await records.desk(RetentionDesk).deletions()],
        csv=f"{_DELETIONS}?as=csv",
        actions=[(say("Due for deletion"), LIST)],
    )
    return _listed(visit, listing, "deletions")


@page(_HOLDS, access=KEEPERS)
async def holds(visit: Visit, records: DeclaredRecords) -> Response:
    """Holds, without on whom they stand; those that stand lead to their end."""
    say = visit.say
    listing = Listing(
        title=say("Holds"),
        headings=[say("Hold"), say("Why"), say("Since"), say("By"), say("Ended"), say("Ended by")],
        rows=[_hold(visit, one) for one in await records.desk(RetentionDesk).holds()],
        csv=f"{_HOLDS}?as=csv",
        actions=[(say("Hold a person's records"), f"{LIST}/hold"), (say("Due for deletion"), LIST)],
    )
    return _listed(visit, listing, "holds")


@page(f"{_DELETIONS}/{{deletion}}/certificate", access=KEEPERS)
async def certificate(visit: Visit, records: DeclaredRecords) -> Response:
    """The signed certificate, as `quanmin retention check` reads it."""
    one = await records.desk(RetentionDesk).certificate(_uuid(visit))
    content = msgspec.json.format(msgspec.json.encode(one))
    return Response(content, media_type="application/json")


@page(f"{LIST}/find", access=KEEPERS, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """Have it looked for what is due."""
    title = visit.say("Look for what is due")
    lead = visit.say("All registrations are looked through in the background.")
    return await _asked(visit, title, lead, records.desk(RetentionDesk).find, LIST)


@page(f"{LIST}/propose", access=KEEPERS, methods=("GET", "POST"))
async def propose(visit: Visit, records: DeclaredRecords) -> Response:
    """Propose to delete what was found due."""
    title = visit.say("Propose to delete it")
    lead = visit.say("Nothing is deleted before another person confirms it.")
    return await _asked(visit, title, lead, records.desk(RetentionDesk).propose, _DELETIONS)


@page(f"{_DELETIONS}/{{deletion}}/confirm", access=KEEPERS, methods=("GET", "POST"))
async def confirm(visit: Visit, records: DeclaredRecords) -> Response:
    """Confirm a deletion that another has proposed."""
    title = visit.say("Confirm the deletion")
    lead = visit.say("It is done in the background, for good.")
    desk, deletion = records.desk(RetentionDesk), _uuid(visit)
    return await _asked(visit, title, lead, lambda: desk.confirm(deletion), _DELETIONS)


@page(f"{LIST}/hold", access=KEEPERS, methods=("GET", "POST"))
async def hold(visit: Visit, records: DeclaredRecords) -> Response:
    """Keep everything of a person, whatever is due."""
    say, desk = visit.say, records.desk(RetentionDesk)
    fields = [
        Field("patient", say("Id of a Patient of the person"), is_needed=True),
        Field("reason", say("Why, such as the number of a lawsuit; no names"), is_needed=True),
    ]
    sent = Sent(visit)

    async def work() -> None:
        patient = sent.text("patient", is_needed=True).removeprefix("Patient/")
        reason = sent.text("reason", is_needed=True)
        if sent.is_sound:
            await desk.hold(patient, reason)

    title = say("Hold a person's records")
    return await _asked(visit, title, "", work, _HOLDS, fields=fields, sent=sent)


@page(f"{_HOLDS}/{{number}}/release", access=KEEPERS, methods=("GET", "POST"))
async def release(visit: Visit, records: DeclaredRecords) -> Response:
    """End a hold."""
    text, desk = visit.path("number"), records.desk(RetentionDesk)
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise NotFound("there is no such hold")
    lead = visit.say("What is due is deleted again once it is confirmed.")
    return await _asked(visit, visit.say("End it"), lead, lambda: desk.release(int(text)), _HOLDS)


async def _asked(
    visit: Visit,
    title: str,
    lead: str,
    work: Callable[[], Awaitable[None]],
    back: str,
    *,
    fields: Sequence[Field] = (),
    sent: Sent | None = None,
) -> Response:
    """A form that does one thing when it is sent, and says what keeps it from being done."""
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=title, back=back, lead=lead)
    sent = sent or Sent(visit)
    try:
        await work()
    except _REFUSALS as problem:
        sent.blame(problem, {})
    if sent.is_sound:
        return visit.go(back)
    return form_page(visit, title, fields, button=title, back=back, lead=lead, sent=sent)


def _listed(visit: Visit, listing: Listing, name: str) -> Response:
    if visit.asked("as") != "csv":
        return list_page(visit, listing)

    async def rows() -> AsyncIterator[list[str]]:
        for row in plain(listing.rows):
            yield row

    return sheet(f"retention-{name}", list(listing.headings), rows())


def _deletion(visit: Visit, one: Listed) -> list[Cell]:
    say, own = visit.say, f"{_DELETIONS}/{one.deletion}"
    if one.is_done:
        state, link = say("done, certified"), f"{own}/certificate"
    elif one.confirmed_at is not None:
        state, link = say("under way"), ""
    else:
        state, link = say("to be confirmed"), f"{own}/confirm"
    confirmed = "" if one.confirmed_at is None else visit.moment(one.confirmed_at)
    return [
        Cell(str(one.deletion), link),
        Cell(state),
        Cell(visit.moment(one.proposed_at), is_number=True),
        Cell(one.proposed_by),
        Cell(confirmed, is_number=True),
        Cell(one.confirmed_by or ""),
        *(Cell(str(each), is_number=True) for each in (one.patients, one.deleted, one.kept)),
    ]


def _hold(visit: Visit, one: Held) -> list[Cell]:
    ended = "" if one.released_at is None else visit.moment(one.released_at)
    link = "" if one.released_at is not None else f"{_HOLDS}/{one.hold}/release"
    return [
        Cell(str(one.hold), link),
        Cell(one.reason),
        Cell(visit.moment(one.at), is_number=True),
        Cell(one.by),
        Cell(ended, is_number=True),
        Cell(one.released_by or ""),
    ]


def _uuid(visit: Visit) -> uuid.UUID:
    try:
        return uuid.UUID(visit.path("deletion"))
    except ValueError:
        raise NotFound("there is no such deletion") from None


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Deletions that others have proposed."""
    words = visit.say("deletions to confirm")
    number = await records.desk(RetentionDesk).unconfirmed()
    return [Work(words=words, link=_DELETIONS, number=number)]


PAGES: Final[tuple[Page, ...]] = (
    *(due, deletions, holds, certificate, find, propose, confirm, hold, release),
)
