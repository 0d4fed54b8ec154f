"""The pages of the registers: institutions as of a day, and one with its history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, time, timedelta
from typing import Final

from starlette.responses import Response

from quanmin.base.problems import NotFound
from quanmin.trust.registers import Institution, Wanted
from quanmin.trust.registers.definitions import Word, institution_rule
from quanmin.trust.registers.entry import OPEN_END, OPEN_START
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import asked_day
from quanmin.web.sheet import sheet

KEEPERS: Final = Access(
    frozenset({"operator", "institution", "supervisor", "security_administrator"})
)
KEEPING: Final = Access(frozenset({"operator", "security_administrator"}))
_ROWS: Final = 50
_SHEET_ROWS: Final = 500


@page("/registers/institutions", access=KEEPERS)
async def institutions(visit: Visit, records: DeclaredRecords) -> Response:
    """What the register says of a day, found by its words."""
    moment, is_day = _asked_moment(visit)
    found = await records.institutions(
        moment, _wanted(visit), after=visit.asked("after") or None, count=_ROWS + 1
    )
    more = visit.here_with(after=found[_ROWS - 1].code) if len(found) > _ROWS else None
    rule = institution_rule()
    return visit.page(
        "registers/institutions.html",
        rows=[_row(visit, one) for one in found[:_ROWS]],
        more=more,
        csv=visit.here_with(after="").replace("/institutions?", "/institutions.csv?", 1),
        day=visit.asked("day"),
        is_day=is_day,
        is_keeper=visit.actor is not None and KEEPING.admits(visit.actor.role),
        asked={name: visit.asked(name) for name in ("text", "state", "level", "kind", "region")},
        choices={
            "state": _choices(visit, rule.state),
            "level": _choices(visit, rule.level),
            "kind": _choices(visit, rule.kind),
        },
    )


@page("/registers/institutions.csv", access=KEEPERS)
async def institutions_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """All of the list as a sheet."""
    moment, _ = _asked_moment(visit)
    wanted = _wanted(visit)
    first = await records.institutions(moment, wanted, count=_SHEET_ROWS)

    async def rows() -> AsyncIterator[list[str]]:
        batch = first
        while batch:
            for one in batch:
                yield list(_row(visit, one).values())
            batch = await records.institutions(
                moment, wanted, after=batch[-1].code, count=_SHEET_ROWS
            )

    return sheet("institutions", _headings(visit), rows())


def _headings(visit: Visit) -> list[str]:
    say = visit.say
    return [say("Credit code"), say("Name"), say("State"), say("Kind"), say("Level"),
            say("Grade"), say("Division"), say("From"), say("Until")]  # fmt: skip


def history_rows(
    visit: Visit, history: Sequence[Institution]
) -> tuple[list[str], AsyncIterator[list[str]]]:
    """The states of an institution for a sheet: its heading and its rows."""

    async def rows() -> AsyncIterator[list[str]]:
        for one in history:
            yield list(_row(visit, one).values())

    return _headings(visit), rows()


@page("/registers/institutions/{code}", access=KEEPERS)
async def institution(visit: Visit, records: DeclaredRecords) -> Response:
    """One institution with all its states, newest first."""
    history = await records.institution_history(visit.path("code"))
    if not history:
        raise NotFound("no institution of the register has this code")
    rows = [_row(visit, one) for one in reversed(history)]
    is_keeper = visit.actor is not None and KEEPING.admits(visit.actor.role)
    return visit.page("registers/institution.html", rows=rows, now=rows[0], is_keeper=is_keeper)


def _asked_moment(visit: Visit) -> tuple[int | None, bool]:
    """The noon of the day asked for, and whether what was asked is one; None for now."""
    day, fault = asked_day(visit)
    if day is None:
        return None, not fault
    noon = datetime.combine(day, time(12), visit.house.settings.zone)
    return int(noon.timestamp()) * 1_000_000, True


def _wanted(visit: Visit) -> Wanted:
    return Wanted(
        **{name: visit.asked(name) or None for name in ("state", "level", "kind", "region", "text")}
    )


def _row(visit: Visit, one: Institution) -> dict[str, str]:
    rule = institution_rule()
    return {
        "code": one.code,
        "name": one.name,
        "state": _told(visit, rule.state, one.state),
        "kind": _told(visit, rule.kind, one.kind),
        "level": _told(visit, rule.level, one.level),
        "grade": _told(visit, rule.grade, one.grade),
        "region": one.region,
        "since": _day(visit, one.since),
        "until": _day(visit, one.until, is_end=True),
    }


def _choices(visit: Visit, words: tuple[Word, ...]) -> list[tuple[str, str]]:
    return [(word.code, word.zh if visit.language == "zh" else word.en) for word in words]


def _told(visit: Visit, words: tuple[Word, ...], code: str | None) -> str:
    return dict(_choices(visit, words)).get(code or "", code or "")


def _day(visit: Visit, moment: int, *, is_end: bool = False) -> str:
    """A moment as its day, the last one of a period that it ends; nothing for an open end."""
    if moment in {OPEN_START, OPEN_END}:
        return ""
    when = datetime.fromtimestamp(moment / 1_000_000, visit.house.settings.zone)
    return f"{when - timedelta(microseconds=1 if is_end else 0):%Y-%m-%d}"


PAGES: tuple[Page, ...] = (institutions, institutions_sheet, institution)
