"""The pages of posts: who holds which on a day, giving one, ending one."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from starlette.responses import Response

from quanmin.base.problems import Forbidden, NotFound
from quanmin.trust.registers import Post, Registers
from quanmin.trust.registers.definitions import duties, roles
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.licensing import licence_rule
from quanmin.trust.registers.posts import Wished
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import (
    Cell,
    Field,
    Sent,
    asked_day,
    choices,
    confirm_page,
    form_page,
    is_confirmed,
    read_number,
    word_of,
)
from quanmin.web.tables import Heading, Row, Table, asked_order, place_number, table

# Staff see their own posts, and who has the duty keeps those of the institution: the desk decides.
SIDES: Final = Access(
    frozenset(
        {
            *("operator", "security_administrator", "supervisor"),
            *("institution", "doctor", "nurse", "public_health_worker"),
        }
    )
)
KEEPERS: Final = Access((SIDES.roles or frozenset()) - {"supervisor"})
_LIST: Final = "/posts"
_DUTIES_MAX: Final = 3
_OWN_NAMES: Final = ("actor", "staff", "from", "until")
_BLAMED: Final = {**{at: at for at in _OWN_NAMES}, "institution": "actor", "duties": "duty1"}


@table(_LIST, access=SIDES, name="posts")
async def posts(visit: Visit, records: DeclaredRecords) -> Table:
    """Who holds which post on a day."""
    desk, say = records.desk(Registers), visit.say
    day, fault = asked_day(visit)
    moment, code, reach = _moment(visit, day), _asked_code(visit), await desk.posts_reach()
    headings = _headings(visit)
    order = asked_order(visit, headings)

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.posts(
            moment, code, after=place_number(after) or None, order=order, count=count
        )
        return [Row(_row(visit, one, may_change=reach.may_change), str(one.post)) for one in found]

    filters = [Field("day", say("As of the day (empty: now)"), "date", visit.asked("day"))]
    if reach.institution is None and reach.actor is None:
        asked = visit.asked("institution")
        filters.append(Field("institution", say("Institution (credit code)"), value=asked))
    return Table(
        title=say("Register of posts"),
        headings=headings,
        fetch=fetch,
        filters=filters,
        order=order,
        fault=fault,
        empty=say("Ask as of another day, or at another institution."),
        actions=[(say("Give a post"), f"{_LIST}/new")] if reach.may_change else [],
    )


@page(f"{_LIST}/new", access=KEEPERS, methods=("GET", "POST"))
async def give(visit: Visit, records: DeclaredRecords) -> Response:
    """Give a post to an account's actor."""
    desk, say = records.desk(Registers), visit.say
    if not (await desk.posts_reach()).may_change:
        raise Forbidden("you may see posts, not give them")
    title, button, duty = say("Give a post"), say("Give it"), say("Duty")
    offered = [("", say("none")), *choices(visit, duties())]
    fields = [
        Field("actor", say("Account"), is_needed=True, length_max=63),
        *(
            Field(f"duty{at}", f"{duty} {at}", "select", choices=offered)
            for at in range(1, _DUTIES_MAX + 1)
        ),
        Field("staff", say("Staff number in the register of practitioners"), length_max=64),
        Field("from", say("From (first day)"), "date", visit.today.isoformat(), is_needed=True),
        Field("until", say("Until (last day)"), "date"),
    ]
    if visit.request.method == "GET":
        lead = say("The post is at the institution for which the account writes.")
        return form_page(visit, title, fields, button=button, back=_LIST, lead=lead)
    sent = Sent(visit)
    actor = sent.text("actor", is_needed=True, length_max=63)
    codes = [duty.code for duty in duties()]
    named = [sent.choice(f"duty{at}", codes) for at in range(1, _DUTIES_MAX + 1)]
    first, last = sent.day("from", is_needed=True), sent.day("until")
    practitioner = await _practitioner(visit, records, sent)
    if sent.is_sound and first is not None:
        wished = Wished(
            actor,
            tuple(sorted({duty for duty in named if duty})),
            practitioner,
            visit.midnight(first),
            OPEN_END if last is None else visit.midnight(last + timedelta(days=1)),
        )
        with sent.blaming(_BLAMED, NotFound, Forbidden):
            await desk.appoint(wished)
            return visit.go(_LIST)
    return form_page(visit, title, fields, button=button, back=_LIST, sent=sent)


@page(f"{_LIST}/{{post}}/end", access=KEEPERS, methods=("GET", "POST"))
async def end(visit: Visit, records: DeclaredRecords) -> Response:
    """End a post, now or after a day to come."""
    desk, say = records.desk(Registers), visit.say
    held = await desk.post(read_number(visit.path("post")) or 0)
    title, button = say("End the post"), say("End")
    hint = say("Empty: at once")
    fields = [Field("until", say("Until (last day)"), "date", hint=hint)]
    lead = f"{held.name} ({held.actor}), {word_of(visit, roles().values(), held.role)}"
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=_LIST, lead=lead)
    sent = Sent(visit)
    last = sent.day("until")
    if sent.is_sound:
        if not is_confirmed(visit):
            when = say("at once") if last is None else last.isoformat()
            after = say("Then they do nothing any more in this post, wherever they are signed in.")
            return confirm_page(visit, title, [f"{lead}{visit.colon}{when}", after], back=_LIST)
        at = None if last is None else visit.midnight(last + timedelta(days=1))
        with sent.blaming({}, Forbidden):
            await desk.end_post(held.post, at=at)
            return visit.go(_LIST)
    return form_page(visit, title, fields, button=button, back=_LIST, sent=sent)


async def _practitioner(visit: Visit, records: DeclaredRecords, sent: Sent) -> int | None:
    """The key of the Practitioner with the staff number that was filled in."""
    number = sent.text("staff", length_max=64)
    if not number:
        return None
    wanted = ("identifier", f"{licence_rule().address.staff}|{number}")
    hits = await records.find("Practitioner", wanted, count=2)
    if len(hits.matches) != 1:
        sent.faults["staff"] = visit.say("Nobody of the register has this staff number.")
        return None
    return hits.matches[0].rid


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    return [
        Heading(say("Name")),
        Heading(say("Account"), "account"),
        *(Heading(say("Role")), Heading(say("Institution (credit code)")), Heading(say("Duties"))),
        Heading(say("From"), "from"),
        Heading(say("Until"), "until"),
        Heading(say("Change"), where="page"),
    ]


def _row(visit: Visit, one: Post, *, may_change: bool) -> list[Cell]:
    is_linked = visit.offers("registers")
    change = Cell(visit.say("End the post"), f"{_LIST}/{one.post}/end") if may_change else Cell("")
    return [
        Cell(one.name),
        Cell(one.actor),
        Cell(word_of(visit, roles().values(), one.role)),
        Cell(one.institution, f"/registers/institutions/{one.institution}" if is_linked else ""),
        Cell(visit.semicolon.join(word_of(visit, duties(), duty) for duty in one.duties)),
        Cell(visit.moment(one.since)[:10], is_number=True),
        Cell("" if one.until == OPEN_END else visit.moment(one.until - 1)[:10], is_number=True),
        change,
    ]


def _asked_code(visit: Visit) -> str | None:
    return visit.asked("institution").strip().upper() or None


def _moment(visit: Visit, day: date | None) -> int | None:
    return None if day is None else visit.midnight(day) + 43_200_000_000


PAGES: Final[tuple[Page, ...]] = (*posts, give, end)
