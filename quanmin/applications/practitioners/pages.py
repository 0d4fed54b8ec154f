"""The practitioners of the register as of a day, and one with all licences and places."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.trust.registers import Registers
from quanmin.trust.registers.definitions import Word
from quanmin.trust.registers.drafting import staff_number
from quanmin.trust.registers.entry import OPEN_END, OPEN_START
from quanmin.trust.registers.licensing import licence_rule
from quanmin.trust.registers.staff import Staff, WantedStaff
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import (
    Cell,
    Field,
    asked_day,
    choices,
    plain,
    word_of,
)
from quanmin.web.sheet import sheet
from quanmin.web.tables import Heading, Row, Table, place_number, table

ASKING: Final = Access(
    frozenset({"operator", "supervisor", "security_administrator"}), is_of_node=True
)
KEEPING: Final = Access(frozenset({"operator", "security_administrator"}), is_of_node=True)
LIST: Final = "/practitioners"


@table(LIST, access=ASKING, name="practitioners")
async def practitioners(visit: Visit, records: DeclaredRecords) -> Table:
    """Who is in the register, with what holds on a day."""
    day, fault = asked_day(visit)
    moment, wanted, desk = _moment(visit, day), _wanted(visit), records.desk(Registers)

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.staff(moment, wanted, after=place_number(after), count=count)
        rows = await _rows(visit, records, found)
        return [Row(cells, str(one.practitioner)) for cells, one in zip(rows, found, strict=True)]

    say = visit.say
    return Table(
        title=say("Register of practitioners"),
        headings=_headings(visit),
        fetch=fetch,
        filters=_filters(visit),
        fault=fault,
        empty=say("Ask as of another day, or for any licence."),
        actions=[(say("Enter a practitioner"), f"{LIST}/new")] if may_keep(visit) else [],
    )


def _filters(visit: Visit) -> list[Field]:
    say, asked, any_ = visit.say, visit.asked, [("", visit.say("any"))]
    licences = [*any_, *choices(visit, licence_rule().kind)]
    states = [*any_, *choices(visit, state_words(visit))]
    return [
        Field("day", say("As of the day (empty: now)"), "date", asked("day")),
        Field("kind", say("Licence"), "select", asked("kind"), licences),
        Field("state", say("State"), "select", asked("state"), states),
        Field("institution", say("Practises at (credit code)"), value=asked("institution")),
    ]


@page(f"{LIST}/{{id}}", access=ASKING)
async def practitioner(visit: Visit, records: DeclaredRecords) -> Response:
    """One practitioner with every licence in every state, and every place."""
    found = await records.desk(Registers).staff_history(visit.path("id"))
    body = await body_of(records, "Practitioner", found.id)
    return visit.page(
        "practitioners/practitioner.html",
        name=name_of(body),
        number=staff_number(body),
        id=found.id,
        licences=_licence_rows(visit, found),
        places=[
            [Cell(one.name), Cell(one.code, is_number=True), *_days(visit, one.since, one.until)]
            for one in found.places
        ],
        is_keeper=may_keep(visit),
    )


@page(f"{LIST}/{{id}}/licences.csv", access=ASKING)
async def licences_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """Every licence of one practitioner in every state as a sheet."""
    found = await records.desk(Registers).staff_history(visit.path("id"))

    async def rows() -> AsyncIterator[list[str]]:
        for row in plain(_licence_rows(visit, found)):
            yield row

    say = visit.say
    heading = [say("Licence"), say("Scope"), say("State"), say("From"), say("Until")]
    return sheet("licences", heading, rows())


def may_keep(visit: Visit) -> bool:
    """Whether the visitor's role keeps the register."""
    return visit.actor is not None and KEEPING.admits(visit.actor.role)


def state_words(visit: Visit) -> list[Word]:
    """The states of a licence with their words."""
    said = {
        "active": visit.say("In force"),
        "suspended": visit.say("Suspended"),
        "revoked": visit.say("Revoked"),
    }
    states = licence_rule().states
    codes = (*sorted(states.in_force), *sorted(states.others, reverse=True))
    return [Word(code, said.get(code, code), said.get(code, code)) for code in codes]


async def body_of(records: DeclaredRecords, type_: str, id_: str) -> dict[str, Any]:
    """What a record says."""
    stored = await records.read(type_, id_)
    body: dict[str, Any] = msgspec.json.decode(stored.body or b"{}")
    return body


def name_of(practitioner: dict[str, Any]) -> str:
    """What somebody of the staff is called."""
    return next((str(one.get("text", "")) for one in practitioner.get("name") or ()), "")


def _moment(visit: Visit, day: date | None) -> int | None:
    if day is None:
        return None
    noon = datetime.combine(day, time(12), visit.house.settings.zone)
    return int(noon.timestamp()) * 1_000_000


def _wanted(visit: Visit) -> WantedStaff:
    code = visit.asked("institution").strip().upper()
    return WantedStaff(visit.asked("kind") or None, visit.asked("state") or None, code or None)


def _headings(visit: Visit) -> list[Heading]:
    # Name and staff number stand in sealed bodies alone, so nothing is there to sort by.
    say = visit.say
    words = (say("Full name"), say("Staff number"), say("Licences"), say("Practises at"))
    return [Heading(one) for one in words]


async def _rows(visit: Visit, records: DeclaredRecords, found: Sequence[Staff]) -> list[list[Cell]]:
    bodies: dict[str, dict[str, Any]] = {}
    if found:
        ids = ",".join(one.id for one in found)
        hits = await records.find("Practitioner", ("_id", ids), count=len(found))
        bodies = {stored.id: msgspec.json.decode(stored.body or b"{}") for stored in hits.matches}
    rule = licence_rule()
    rows = []
    for one in found:
        body = bodies.get(one.id, {})
        licences = visit.semicolon.join(
            f"{word_of(visit, rule.kind, held.kind)}"
            f" ({word_of(visit, state_words(visit), held.state)}"
            f"{_until(visit, held.until)})"
            for held in one.licences
        )
        places = visit.semicolon.join(place.name for place in one.places)
        link = f"{LIST}/{one.id}"
        number = Cell(staff_number(body), is_number=True)
        rows.append([Cell(name_of(body) or one.id, link), number, Cell(licences), Cell(places)])
    return rows


def _licence_rows(visit: Visit, found: Staff) -> list[list[Cell]]:
    rule = licence_rule()
    return [
        [
            Cell(word_of(visit, rule.kind, one.kind)),
            Cell(visit.semicolon.join(word_of(visit, rule.scope, scope) for scope in one.scopes)),
            Cell(word_of(visit, state_words(visit), one.state)),
            *_days(visit, one.since, one.until),
        ]
        for one in found.licences
    ]


def _days(visit: Visit, since: int, until: int) -> list[Cell]:
    last = "" if until == OPEN_END else _day(visit, until - 1)
    first = "" if since == OPEN_START else _day(visit, since)
    return [Cell(first, is_number=True), Cell(last, is_number=True)]


def _until(visit: Visit, until: int) -> str:
    return "" if until == OPEN_END else f" → {_day(visit, until - 1)}"


def _day(visit: Visit, moment: int) -> str:
    zone = visit.house.settings.zone
    return f"{datetime.fromtimestamp(0, zone) + timedelta(microseconds=moment):%Y-%m-%d}"


PAGES: Final[tuple[Page, ...]] = (*practitioners, practitioner, licences_sheet)
