"""What is done about retention: looking for what is due, deletions and certificates, holds."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from starlette.responses import Response

from quanmin.applications.retention import lists
from quanmin.applications.retention.lists import DELETIONS, HOLDS, KEEPERS, LIST, TO_CONFIRM
from quanmin.base.problems import Forbidden, NotFound
from quanmin.trust.lifecycle.retention_desk import RetentionDesk
from quanmin.web import DeclaredRecords, Page, Visit, Work, page
from quanmin.web.forms import Field, Sent, form_page, read_number

_MORE: Final = (Forbidden, NotFound)


@page(f"{DELETIONS}/{{deletion}}/certificate", access=KEEPERS)
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
    return await _asked(visit, title, lead, records.desk(RetentionDesk).propose, DELETIONS)


@page(f"{DELETIONS}/{{deletion}}/confirm", access=KEEPERS, methods=("GET", "POST"))
async def confirm(visit: Visit, records: DeclaredRecords) -> Response:
    """Confirm a deletion that another has proposed."""
    title = visit.say("Confirm the deletion")
    lead = visit.say("It is done in the background, for good.")
    desk, deletion = records.desk(RetentionDesk), _uuid(visit)
    return await _asked(visit, title, lead, lambda: desk.confirm(deletion), DELETIONS)


@page(f"{DELETIONS}/{{deletion}}/withdraw", access=KEEPERS, methods=("GET", "POST"))
async def withdraw(visit: Visit, records: DeclaredRecords) -> Response:
    """Take a proposal back that nobody has confirmed."""
    title = visit.say("Withdraw the proposal")
    lead = visit.say("Nothing is deleted by it; what is due then can be proposed again.")
    desk, deletion = records.desk(RetentionDesk), _uuid(visit)
    return await _asked(visit, title, lead, lambda: desk.withdraw(deletion), DELETIONS)


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
    return await _asked(visit, title, "", work, HOLDS, fields=fields, sent=sent)


@page(f"{HOLDS}/{{number}}/release", access=KEEPERS, methods=("GET", "POST"))
async def release(visit: Visit, records: DeclaredRecords) -> Response:
    """End a hold."""
    number, desk = read_number(visit.path("number")), records.desk(RetentionDesk)
    if number is None:
        raise NotFound("there is no such hold")
    lead = visit.say("What is due is deleted again once it is confirmed.")
    return await _asked(visit, visit.say("End it"), lead, lambda: desk.release(number), HOLDS)


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
    with sent.blaming({}, *_MORE):
        await work()
    if sent.is_sound:
        return visit.go(back)
    return form_page(visit, title, fields, button=title, back=back, lead=lead, sent=sent)


def _uuid(visit: Visit) -> uuid.UUID:
    try:
        return uuid.UUID(visit.path("deletion"))
    except ValueError:
        raise NotFound("there is no such deletion") from None


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Deletions that others have proposed."""
    words = visit.say("deletions to confirm")
    number = len(await records.desk(RetentionDesk).confirmable())
    return [Work(words=words, link=f"{DELETIONS}?state={TO_CONFIRM}", number=number)]


PAGES: Final[tuple[Page, ...]] = (
    *(*lists.PAGES, certificate, find, propose, confirm, withdraw, hold, release),
)
