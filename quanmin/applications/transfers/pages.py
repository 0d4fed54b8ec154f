"""The pages of transfers abroad: all of them, and the forms that declare, approve and withdraw."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, get_args

from starlette.responses import Response

from quanmin.base.problems import Forbidden, NotFound
from quanmin.trust.lifecycle.transfer_desk import TransferDesk
from quanmin.trust.lifecycle.transfers import Approval, Listed, MemberKind, transfer_rules
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import (
    Cell,
    Field,
    Sent,
    choices,
    confirm_page,
    form_page,
    is_confirmed,
    read_number,
    word_of,
)
from quanmin.web.tables import Heading, Table, asked_order, known, table

READERS: Final = Access(
    frozenset({"operator", "supervisor", "security_administrator", "audit_administrator"})
)
WRITERS: Final = Access(frozenset({"security_administrator"}))
LIST: Final = "/transfers"


@table(LIST, access=READERS, name="transfers")
async def transfers(visit: Visit, records: DeclaredRecords) -> Table:
    """Everybody outside the country, with what was approved to go to them."""
    say, may_write = visit.say, visit.actor is not None and WRITERS.admits(visit.actor.role)
    found = await records.desk(TransferDesk).all()
    headings = _headings(visit)
    order = asked_order(visit, headings)
    return Table(
        title=say("Transfers abroad"),
        lead=say("Whoever is declared here is handed nothing without an approval in force."),
        headings=headings,
        order=order,
        fetch=known([_row(visit, one, may_write=may_write) for one in found], headings, order),
        actions=[
            (say("Declare a recipient"), f"{LIST}/declare"),
            (say("Enter an approval"), f"{LIST}/approve"),
        ]
        if may_write
        else [],
    )


@page(f"{LIST}/declare", access=WRITERS, methods=("GET", "POST"))
async def declare(visit: Visit, records: DeclaredRecords) -> Response:
    """Declare that a recipient is outside the country: from then on it is handed nothing."""
    say = visit.say
    title, button = say("Declare a recipient"), say("Declare")
    fields = [
        *_recipient(visit),
        Field("country", say("Country (two letters, such as SG)"), is_needed=True),
    ]
    if visit.request.method == "GET":
        lead = say("From the next request on it is handed nothing without an approval.")
        return form_page(visit, title, fields, button=button, back=LIST, lead=lead)
    sent = Sent(visit)
    kind, member = _sent_recipient(sent)
    country = sent.text("country", is_needed=True).upper()
    if sent.is_sound:
        with sent.blaming({}, NotFound, Forbidden):
            await records.desk(TransferDesk).declare(kind, member, country)
            return visit.go(LIST)
    return form_page(visit, title, fields, button=button, back=LIST, sent=sent)


@page(f"{LIST}/approve", access=WRITERS, methods=("GET", "POST"))
async def approve(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter an approval to hand something to a recipient."""
    say = visit.say
    title, button, grounds = say("Enter an approval"), say("Enter"), transfer_rules().ground
    fields = [
        *_recipient(visit),
        Field("ground", say("Lawful ground"), "select", choices=choices(visit, grounds)),
        Field("reference", say("Number of the approval or contract"), is_needed=True),
        Field("activity", say("Entry of the processing register (code)"), is_needed=True),
        Field("types", say("Kinds of record (types with blanks between; empty: all)")),
        Field("records", say("How many records at most"), is_needed=True),
        Field("from", say("From (first day)"), "date", visit.today.isoformat(), is_needed=True),
        Field("until", say("Until (last day)"), "date", is_needed=True),
    ]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=LIST)
    sent = Sent(visit)
    kind, member = _sent_recipient(sent)
    ground = sent.choice("ground", [one.code for one in grounds], is_needed=True)
    reference = sent.text("reference", is_needed=True)
    activity, types = sent.text("activity", is_needed=True), sent.text("types").split()
    most = read_number(sent.text("records", is_needed=True)) or 0
    if not most:
        sent.faults.setdefault("records", say("Write a number."))
    first, last = sent.day("from", is_needed=True), sent.day("until", is_needed=True)
    if sent.is_sound and first is not None and last is not None:
        since, until = visit.midnight(first), visit.midnight(last + timedelta(days=1))
        approval = Approval(
            ground=ground,
            reference=reference,
            activity=activity,
            types=tuple(types) or None,
            records_max=most,
            since=since,
            until=until,
        )
        with sent.blaming({}, NotFound):
            await records.desk(TransferDesk).approve(kind, member, approval)
            return visit.go(LIST)
    return form_page(visit, title, fields, button=button, back=LIST, sent=sent)


@page(f"{LIST}/{{number}}/withdraw", access=WRITERS, methods=("GET", "POST"))
async def withdraw(visit: Visit, records: DeclaredRecords) -> Response:
    """Let nothing more go out under a transfer, with the reason."""
    number, say = read_number(visit.path("number")) or 0, visit.say
    desk = records.desk(TransferDesk)
    found = [one for one in await desk.all() if one.transfer == number]
    if not found:
        raise NotFound("there is no such transfer")
    title, button = say("Withdraw the approval"), say("Withdraw")
    named = f"{found[0].kind}:{found[0].member} · {found[0].reference}"
    fields = [Field("reason", say("Why"), is_needed=True)]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=LIST, lead=named)
    sent = Sent(visit)
    reason = sent.text("reason", is_needed=True)
    if sent.is_sound:
        if not is_confirmed(visit):
            after = say("Nothing more goes out under it, from the next request on.")
            return confirm_page(visit, title, [f"{named}{visit.colon}{reason}", after], back=LIST)
        with sent.blaming({}, NotFound):
            await desk.withdraw(number, reason)
            return visit.go(LIST)
    return form_page(visit, title, fields, button=button, back=LIST, sent=sent)


def _recipient(visit: Visit) -> list[Field]:
    say = visit.say
    kinds = [
        ("client", say("Application (client)")),
        ("actor", say("Account")),
        ("sender", say("All who write under a sender code")),
    ]
    return [
        Field("kind", say("Recipient"), "select", choices=kinds),
        Field("member", say("Its code"), is_needed=True),
    ]


def _sent_recipient(sent: Sent) -> tuple[str, str]:
    kind = sent.choice("kind", get_args(MemberKind), is_needed=True)
    return kind, sent.text("member", is_needed=True)


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    return [
        Heading(say("Recipient"), "recipient"),
        Heading(say("Country"), "country"),
        Heading(say("Approval"), "approval"),
        Heading(say("Lawful ground")),
        Heading(say("Number")),
        Heading(say("Register entry")),
        Heading(say("Kinds of record")),
        Heading(say("From"), "from"),
        Heading(say("Until"), "until"),
        Heading(say("Handed over"), "handed"),
        Heading(say("At most"), "most"),
        Heading(say("State"), "state"),
    ]


def _row(visit: Visit, one: Listed, *, may_write: bool) -> list[Cell]:
    is_in_force = one.is_in_force(visit.house.guard.now())
    link = f"{LIST}/{one.transfer}/withdraw" if may_write and is_in_force else ""
    return [
        Cell(f"{one.kind}:{one.member}", link),
        Cell(one.country),
        Cell("" if one.transfer is None else str(one.transfer), is_number=True),
        Cell(word_of(visit, transfer_rules().ground, one.ground)),
        Cell(one.reference or ""),
        Cell(one.activity or ""),
        Cell(" ".join(one.types or ())),
        Cell(_day(visit, one.since), is_number=True),
        Cell(_day(visit, one.until, is_end=True), is_number=True),
        Cell("" if one.handed is None else str(one.handed), is_number=True),
        Cell("" if one.records_max is None else str(one.records_max), is_number=True),
        Cell(visit.say("in force") if is_in_force else visit.say("handed nothing")),
    ]


def _day(visit: Visit, moment: int | None, *, is_end: bool = False) -> str:
    return "" if moment is None else visit.moment(moment - (1 if is_end else 0))[:10]


PAGES: Final[tuple[Page, ...]] = (*transfers, declare, approve, withdraw)
