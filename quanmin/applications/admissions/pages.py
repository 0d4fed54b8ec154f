"""Who applied and what became of it, as a list and one by one."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from quanmin.base.problems import NotFound
from quanmin.trust.registers import Admission, Registers
from quanmin.trust.registers.admissions import party_kinds
from quanmin.trust.registers.definitions import Word
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work, page
from quanmin.web.forms import Cell, Field, choices, read_number, word_of
from quanmin.web.tables import Heading, Row, Table, place_number, table

ASKING: Final = Access(
    frozenset({"operator", "supervisor", "security_administrator"}), is_of_node=True
)
KEEPING: Final = Access(frozenset({"operator", "security_administrator"}), is_of_node=True)
LIST: Final = "/admissions"
_OPEN: Final = {"applied": "review", "reviewed": "admit", "admitted": "withdraw"}


@table(LIST, access=ASKING, name="admissions")
async def admissions(visit: Visit, records: DeclaredRecords) -> Table:
    """Who applied, in a state or in any."""
    desk, state, say = records.desk(Registers), visit.asked("state"), visit.say

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.admissions(state=state or None, after=place_number(after), count=count)
        return [Row(_row(visit, one), str(one.admission)) for one in found]

    is_keeper = visit.actor is not None and KEEPING.admits(visit.actor.role)
    offered = [("", say("any")), *choices(visit, state_words(visit))]
    return Table(
        title=say("Register of admissions"),
        headings=_headings(visit),
        fetch=fetch,
        filters=[Field("state", say("State"), "select", state, offered)],
        actions=[(say("Enter an application"), f"{LIST}/new")] if is_keeper else [],
    )


@page(f"{LIST}/{{number}}", access=ASKING)
async def admission(visit: Visit, records: DeclaredRecords) -> Response:
    """One admission: what was applied for, what was found, agreed and decided."""
    one = await found_one(visit, records)
    say = visit.say
    told = [
        (say("Party"), one.party),
        (say("Kind"), word_of(visit, party_kinds().values(), one.kind)),
        (say("State"), word_of(visit, state_words(visit), one.state)),
        (say("Purpose"), one.purpose),
        (say("It asks as"), visit.semicolon.join(one.members)),
        (say("What the review found"), one.opinion or ""),
        (say("Agreement"), one.agreement or ""),
        (say("From"), _day(visit, one.since)),
        (say("Until"), _day(visit, one.until, is_end=True)),
        (say("Why it was withdrawn"), one.reason or ""),
    ]
    step = _OPEN.get(one.state) if visit.actor and KEEPING.admits(visit.actor.role) else None
    return visit.page(
        "admissions/admission.html",
        name=one.name,
        told=[(label, text) for label, text in told if text],
        address=f"{LIST}/{one.admission}",
        step=step,
        step_words={
            "review": say("Review it"),
            "admit": say("Admit it"),
            "withdraw": say("Withdraw it"),
        }.get(step or ""),
        renewal=f"{LIST}/new?of={one.admission}" if step == "withdraw" else "",
    )


async def found_one(visit: Visit, records: DeclaredRecords) -> Admission:
    """The admission that the address names. Raises NotFound."""
    number = read_number(visit.path("number")) or 0
    if not number:
        raise NotFound("there is no such admission")
    return await records.desk(Registers).admission(number)


def state_words(visit: Visit) -> list[Word]:
    """The states of an admission with their words."""
    said = {
        "applied": visit.say("Applied for"),
        "reviewed": visit.say("Reviewed"),
        "refused": visit.say("Refused"),
        "admitted": visit.say("Admitted"),
        "withdrawn": visit.say("Withdrawn"),
    }
    return [Word(code, words, words) for code, words in said.items()]


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    words = (say("Name"), say("Party"), say("Kind"), say("State"), say("Agreement"), say("From"),
             say("Until"))  # fmt: skip
    return [Heading(one) for one in words]


def _row(visit: Visit, one: Admission) -> list[Cell]:
    return [
        Cell(one.name, f"{LIST}/{one.admission}"),
        Cell(one.party),
        Cell(word_of(visit, party_kinds().values(), one.kind)),
        Cell(word_of(visit, state_words(visit), one.state)),
        Cell(one.agreement or ""),
        Cell(_day(visit, one.since), is_number=True),
        Cell(_day(visit, one.until, is_end=True), is_number=True),
    ]


def _day(visit: Visit, moment: int | None, *, is_end: bool = False) -> str:
    return "" if moment is None else visit.moment(moment - (1 if is_end else 0))[:10]


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Applications to review and to admit."""
    if visit.actor is None or not KEEPING.admits(visit.actor.role):
        return []
    desk, count = records.desk(Registers), visit.house.settings.work_count_max + 1
    asked = (
        ("applied", visit.say("applications to review")),
        ("reviewed", visit.say("applications to admit")),
    )
    return [
        Work(
            words=words,
            link=f"{LIST}?state={state}",
            number=len(await desk.admissions(state=state, after=0, count=count)),
        )
        for state, words in asked
    ]


PAGES: Final[tuple[Page, ...]] = (*admissions, admission)
