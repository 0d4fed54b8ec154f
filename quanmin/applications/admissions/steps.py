"""The steps of an admission: apply, review, admit, withdraw."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, get_args

from starlette.responses import Response

from quanmin.applications.admissions.pages import KEEPING, LIST, found_one
from quanmin.base.problems import Forbidden
from quanmin.trust.registers import Application, Registers
from quanmin.trust.registers.admissions import MemberKind, party_kinds
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.forms import (
    Field,
    Sent,
    choices,
    confirm_page,
    form_page,
    is_confirmed,
    read_number,
)


@page(f"{LIST}/new", access=KEEPING, methods=("GET", "POST"))
async def apply(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter an application, of a new party or again of one that is admitted."""
    desk, say = records.desk(Registers), visit.say
    title, button = say("Enter an application"), say("Enter")
    before = read_number(visit.asked("of")) or 0
    known = await desk.admission(before) if before else None
    kind, _, member = (known.members[0] if known and known.members else "client:").partition(":")
    words = {"client": say("Application (client)"), "actor": say("Account or device")}
    offered = [
        (code, words.get(code, say("All who write under a sender code")))
        for code in get_args(MemberKind)
    ]
    fields = [
        Field(
            "party", say("Code of the party"), value=known.party if known else "", is_needed=True
        ),
        Field("name", say("Name"), value=known.name if known else "", is_needed=True),
        Field(
            "kind",
            say("Kind"),
            "select",
            known.kind if known else "",
            choices(visit, party_kinds().values()),
        ),
        Field("purpose", say("Purpose"), value=known.purpose if known else "", is_needed=True),
        Field("member_kind", say("It asks as"), "select", kind, offered),
        Field("member", say("Its code"), value=member, is_needed=True),
        Field("country", say("Country where data would go, if outside China (code)")),
    ]
    if visit.request.method == "GET":
        lead = say("Until it is admitted nobody of the party is let in.")
        return form_page(visit, title, fields, button=button, back=LIST, lead=lead)
    sent = Sent(visit)
    values = {name: sent.text(name, is_needed=True) for name in ("party", "name", "purpose")}
    kind = sent.choice("kind", party_kinds(), is_needed=True)
    chosen: Any = sent.choice("member_kind", get_args(MemberKind), is_needed=True)
    members = ((chosen, sent.text("member", is_needed=True)),)
    country = sent.text("country").upper()
    if sent.is_sound:
        with sent.blaming({}, Forbidden):
            made = await desk.apply(
                Application(kind=kind, members=members, country=country, **values)
            )
            return visit.go(f"{LIST}/{made.admission}")
    return form_page(visit, title, fields, button=button, back=LIST, sent=sent)


@page(f"{LIST}/{{number}}/review", access=KEEPING, methods=("GET", "POST"))
async def review(visit: Visit, records: DeclaredRecords) -> Response:
    """Say what the review found."""
    one, say = await found_one(visit, records), visit.say
    back, title, button = f"{LIST}/{one.admission}", say("Review it"), say("Save")
    results = [("yes", say("Recommended")), ("no", say("Not recommended"))]
    fields = [
        Field("opinion", say("What was looked at and found"), is_needed=True),
        Field("result", say("Result"), "select", choices=results),
    ]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back, lead=one.name)
    sent = Sent(visit)
    opinion = sent.text("opinion", is_needed=True)
    result = sent.choice("result", ("yes", "no"), is_needed=True)
    if sent.is_sound:
        with sent.blaming({}, Forbidden):
            await records.desk(Registers).review(
                one.admission, is_recommended=result == "yes", opinion=opinion
            )
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


@page(f"{LIST}/{{number}}/admit", access=KEEPING, methods=("GET", "POST"))
async def admit(visit: Visit, records: DeclaredRecords) -> Response:
    """Admit a reviewed application on an agreement with an end."""
    one, say = await found_one(visit, records), visit.say
    back, title, button = f"{LIST}/{one.admission}", say("Admit it"), say("Admit")
    fields = [
        Field("agreement", say("Agreement that was signed"), is_needed=True),
        Field("from", say("From (first day)"), "date", visit.today.isoformat(), is_needed=True),
        Field("until", say("Until (last day)"), "date", is_needed=True),
    ]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back, lead=one.name)
    sent = Sent(visit)
    agreement = sent.text("agreement", is_needed=True)
    first, last = sent.day("from", is_needed=True), sent.day("until", is_needed=True)
    if sent.is_sound and first is not None and last is not None:
        since, until = visit.midnight(first), visit.midnight(last + timedelta(days=1))
        with sent.blaming({"until": "until"}, Forbidden):
            await records.desk(Registers).admit(
                one.admission, agreement=agreement, since=since, until=until
            )
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


@page(f"{LIST}/{{number}}/withdraw", access=KEEPING, methods=("GET", "POST"))
async def withdraw(visit: Visit, records: DeclaredRecords) -> Response:
    """Stop a party at once, with the reason."""
    one, say = await found_one(visit, records), visit.say
    back, title, button = f"{LIST}/{one.admission}", say("Withdraw it"), say("Withdraw")
    fields = [Field("reason", say("Why"), is_needed=True)]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back, lead=one.name)
    sent = Sent(visit)
    reason = sent.text("reason", is_needed=True)
    if sent.is_sound:
        if not is_confirmed(visit):
            after = say("Nobody of the party is let in any more, from the next request on.")
            return confirm_page(
                visit, title, [f"{one.name}{visit.colon}{reason}", after], back=back
            )
        with sent.blaming({}, Forbidden):
            await records.desk(Registers).withdraw(one.admission, reason=reason)
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


PAGES: Final[tuple[Page, ...]] = (apply, review, admit, withdraw)
