"""The pages of the registers: institutions as of a day, and one with its history."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

from starlette.responses import Response

from quanmin.base.problems import NotFound
from quanmin.trust.registers import Institution, Wanted
from quanmin.trust.registers.definitions import institution_rule
from quanmin.trust.registers.entry import OPEN_END, OPEN_START
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell, Field, asked_day, choices, word_of
from quanmin.web.tables import Heading, Row, Table, table

KEEPERS: Final = Access(
    frozenset({"operator", "institution", "supervisor", "security_administrator"})
)
KEEPING: Final = Access(frozenset({"operator", "security_administrator"}))
_LIST: Final = "/registers/institutions"


@table(_LIST, access=KEEPERS, name="institutions")
async def institutions(visit: Visit, records: DeclaredRecords) -> Table:
    """What the register says of a day, found by its words."""
    (moment, fault), wanted, say = _asked_moment(visit), _wanted(visit), visit.say

    async def fetch(after: str, count: int) -> list[Row]:
        found = await records.institutions(moment, wanted, after=after or None, count=count)
        return [Row(told_row(visit, one, is_linked=True), one.code) for one in found]

    is_keeper = visit.actor is not None and KEEPING.admits(visit.actor.role)
    return Table(
        title=say("Register of institutions"),
        headings=headings(visit),
        fetch=fetch,
        filters=_filters(visit),
        fault=fault,
        empty=say("Ask with fewer words, or as of another day."),
        actions=[(say("Enter an institution"), f"{_LIST}/new")] if is_keeper else [],
    )


def _filters(visit: Visit) -> list[Field]:
    say, rule, asked = visit.say, institution_rule(), visit.asked
    listed = (("state", say("State"), rule.state), ("level", say("Level"), rule.level),
              ("kind", say("Kind"), rule.kind))  # fmt: skip
    text, region = (
        say("Part of the name, or the whole credit code"),
        say("Division code, or how it begins"),
    )
    return [
        Field("text", text, "search", asked("text"), length_max=100),
        Field("day", say("As of the day (empty: now)"), "date", asked("day")),
        *(
            Field(name, label, "select", asked(name), [("", say("any")), *choices(visit, words)])
            for name, label, words in listed
        ),
        Field("region", region, value=asked("region"), length_max=12),
    ]


def headings(visit: Visit) -> list[Heading]:
    """What the columns of institutions are called."""
    say = visit.say
    words = (say("Name"), say("Credit code"), say("State"), say("Kind"), say("Level"),
             say("Grade"), say("Division"), say("From"), say("Until"))  # fmt: skip
    return [Heading(one) for one in words]


def told_row(visit: Visit, one: Institution, *, is_linked: bool) -> list[Cell]:
    """A state of an institution as a row."""
    rule = institution_rule()
    return [
        Cell(one.name, f"{_LIST}/{one.code}" if is_linked else ""),
        Cell(one.code, is_number=True),
        Cell(word_of(visit, rule.state, one.state)),
        Cell(word_of(visit, rule.kind, one.kind)),
        Cell(word_of(visit, rule.level, one.level)),
        Cell(word_of(visit, rule.grade, one.grade)),
        Cell(one.region, is_number=True),
        Cell(_day(visit, one.since), is_number=True),
        Cell(_day(visit, one.until, is_end=True), is_number=True),
    ]


@page("/registers/institutions/{code}", access=KEEPERS)
async def institution(visit: Visit, records: DeclaredRecords) -> Response:
    """One institution with all its states, newest first."""
    history = await records.institution_history(visit.path("code"))
    if not history:
        raise NotFound("no institution of the register has this code")
    is_keeper = visit.actor is not None and KEEPING.admits(visit.actor.role)
    return visit.page(
        "registers/institution.html",
        headings=[one.words for one in headings(visit)],
        rows=[told_row(visit, one, is_linked=False) for one in reversed(history)],
        now=history[-1],
        is_keeper=is_keeper,
    )


def _asked_moment(visit: Visit) -> tuple[int | None, str]:
    """The noon of the day asked for, None for now, and what is wrong with it."""
    day, fault = asked_day(visit)
    if day is None:
        return None, fault
    noon = datetime.combine(day, time(12), visit.house.settings.zone)
    return int(noon.timestamp()) * 1_000_000, ""


def _wanted(visit: Visit) -> Wanted:
    return Wanted(
        **{name: visit.asked(name) or None for name in ("state", "level", "kind", "region", "text")}
    )


def _day(visit: Visit, moment: int, *, is_end: bool = False) -> str:
    """A moment as its day, the last one of a period that it ends; nothing for an open end."""
    if moment in {OPEN_START, OPEN_END}:
        return ""
    when = datetime.fromtimestamp(moment / 1_000_000, visit.house.settings.zone)
    return f"{when - timedelta(microseconds=1 if is_end else 0):%Y-%m-%d}"


PAGES: tuple[Page, ...] = (*institutions, institution)
