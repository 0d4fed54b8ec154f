"""The pages of guardians and proxies at a counter: what was entered, entering one, ending one."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from starlette.responses import Response

from quanmin.applications.enrolment.told import COUNTER, told
from quanmin.base.problems import Forbidden, NotFound
from quanmin.trust import Stored
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.proxies import evidence_of_proxies, proxy_kinds
from quanmin.trust.sign_in.guardianship import EnteredProxy, GuardianDesk, WishedProxy
from quanmin.web import DeclaredRecords, Page, Visit, page
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
from quanmin.web.tables import Heading, Row, Table, asked_order, place_number, table

_LIST: Final = "/enrolment/proxies"
_NUMBER_MAX: Final = 40


@table(_LIST, access=COUNTER, name="proxies")
async def proxies(visit: Visit, records: DeclaredRecords) -> Table:
    """What was entered at this counter, the latest first."""
    say, desk, headings = visit.say, records.desk(GuardianDesk), _headings(visit)
    order = asked_order(visit, headings, "-number")

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.entered(
            after=place_number(after), count=count, is_oldest_first=order == "number"
        )
        return [Row(_row(visit, one), str(one.proxy)) for one in found]

    return Table(
        title=say("Guardians and proxies"),
        headings=headings,
        fetch=fetch,
        order=order,
        lead=say("What was entered here, by number: names are not shown."),
        empty=say("Nobody acts for another by an entry of this counter yet."),
        actions=[(say("Enter one"), f"{_LIST}/new"), (say("Enrol residents"), "/enrolment")],
    )


@page(f"{_LIST}/new", access=COUNTER, methods=("GET", "POST"))
async def enter(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter who acts for whom, from the documents of both."""
    desk, say = records.desk(GuardianDesk), visit.say
    await desk.refuse_unless_counter()
    title, button = say("Enter a guardian or proxy"), say("Look at it")
    lead = say("Look at the documents of both and at what proves it. Type the numbers from them.")
    fields = _fields(visit)
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=_LIST, lead=lead)
    sent = Sent(visit)
    one = await _patient(visit, records, sent, "number")
    other = await _patient(visit, records, sent, "for_number")
    kind = sent.choice("kind", proxy_kinds(), is_needed=True)
    seen = sent.choice("evidence", [word.code for word in evidence_of_proxies()], is_needed=True)
    if kind in proxy_kinds() and seen and seen not in proxy_kinds()[kind].evidence:
        words = (word_of(visit, evidence_of_proxies(), e) for e in proxy_kinds()[kind].evidence)
        one_of = say("For this kind one of:")
        sent.faults["evidence"] = f"{one_of} {', '.join(words)}"
    last = sent.day("until")
    if sent.is_sound and one is not None and other is not None:
        if not is_confirmed(visit):
            acts, acted_for = say("Acts:"), say("For:")
            sentences = [
                f"{acts} {told(visit, one)}",
                f"{acted_for} {told(visit, other)}",
                word_of(visit, proxy_kinds().values(), kind),
                say("Both are told. Who acts sees the other's record from now on."),
            ]
            return confirm_page(visit, title, sentences, back=_LIST)
        end = OPEN_END if last is None else visit.midnight(last + timedelta(days=1))
        wished = WishedProxy(
            patient=one.id,
            number=sent.text("number"),
            for_patient=other.id,
            for_number=sent.text("for_number"),
            kind=kind,
            evidence=seen,
            until=end,
        )
        entrance = visit.house.sign_in
        with sent.blaming({}, NotFound, Forbidden):
            await desk.enter(entrance.accounts, entrance.notices, wished)
            return visit.go(_LIST)
    return form_page(visit, title, fields, button=button, back=_LIST, lead=lead, sent=sent)


@page(f"{_LIST}/{{proxy}}/end", access=COUNTER, methods=("GET", "POST"))
async def end(visit: Visit, records: DeclaredRecords) -> Response:
    """End one at once."""
    desk, say = records.desk(GuardianDesk), visit.say
    held = await desk.one(read_number(visit.path("proxy")) or 0)
    lead = f"{held.proxy}{visit.colon}{word_of(visit, proxy_kinds().values(), held.kind)}"
    if visit.request.method == "POST" and is_confirmed(visit):
        await desk.end(held.proxy)
        await visit.house.sign_in.acting.tell_ended()
        return visit.go(_LIST)
    after = say("Then they act no more, wherever they are signed in. Both are told.")
    return confirm_page(visit, say("End it"), [lead, after], back=_LIST)


def _fields(visit: Visit) -> list[Field]:
    say = visit.say
    nothing = [("", say("Choose one"))]
    kinds = [*nothing, *choices(visit, proxy_kinds().values())]
    seen = [*nothing, *choices(visit, evidence_of_proxies())]
    length = _NUMBER_MAX
    acts, acted_for = (
        say("Identity number of who acts"),
        say("Identity number of whom they act for"),
    )
    hint = say("Empty: as long as the kind allows. For a child: to the fourteenth birthday.")
    return [
        Field("number", acts, is_needed=True, length_max=length),
        Field("for_number", acted_for, is_needed=True, length_max=length),
        Field("kind", say("Kind"), "select", choices=kinds, is_needed=True),
        Field("evidence", say("What was seen"), "select", choices=seen, is_needed=True),
        Field("until", say("Until (last day)"), "date", hint=hint),
    ]


async def _patient(visit: Visit, records: DeclaredRecords, sent: Sent, name: str) -> Stored | None:
    """The registration with the number that was filled in, of those that the asker sees."""
    number = sent.text(name, is_needed=True, length_max=_NUMBER_MAX)
    if not number or name in sent.faults:
        return None
    bare = "".join(number.split()).upper()
    hits = await records.find("Patient", ("identifier", _escaped(bare)), count=1)
    if not hits.matches:
        sent.faults[name] = visit.say("Nobody is found. Register the person here first.")
        return None
    return hits.matches[0]


def _escaped(text: str) -> str:
    """The text as one value of a search."""
    for sign in "\\|,$":
        text = text.replace(sign, f"\\{sign}")
    return text


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    return [
        *(Heading(say("Number"), "number"), Heading(say("Kind")), Heading(say("What was seen"))),
        *(Heading(say("From")), Heading(say("Until")), Heading(say("By"))),
        Heading(say("Change"), where="page"),
    ]


def _row(visit: Visit, one: EnteredProxy) -> list[Cell]:
    return [
        Cell(str(one.proxy), is_number=True),
        Cell(word_of(visit, proxy_kinds().values(), one.kind)),
        Cell(word_of(visit, evidence_of_proxies(), one.evidence)),
        Cell(visit.moment(one.since)[:10], is_number=True),
        Cell("" if one.until == OPEN_END else visit.moment(one.until - 1)[:10], is_number=True),
        Cell(one.decided_by),
        _end_of(visit, one),
    ]


def _end_of(visit: Visit, one: EnteredProxy) -> Cell:
    if one.until <= visit.house.guard.now():
        return Cell("")
    return Cell(visit.say("End it"), f"{_LIST}/{one.proxy}/end")


PAGES: Final[tuple[Page, ...]] = (*proxies, enter, end)
