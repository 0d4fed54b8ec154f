"""What supervisors of a region are told: whole weeks without small groups, and no case."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.applications.epidemic_picture.counting import WEEK, begin_of
from quanmin.applications.epidemic_picture.pages import (
    WEEKS,
    disease_asked,
    disease_field,
    names_of,
)
from quanmin.base.problems import Malformed, Sentence
from quanmin.trust.case_counts import EVERY, NOWHERE, CaseCounts, Week
from quanmin.web import Access, DeclaredRecords, Visit, page
from quanmin.web.charts import Series, bar_chart
from quanmin.web.forms import Cell, Field
from quanmin.web.maps import Area, area_map
from quanmin.web.small_groups import small_groups_told, told_figure
from quanmin.web.tables import Heading, Table, known, table
from quanmin.workflow.notifiable import counted_codes

SUPERVISORS: Final = Access(frozenset({"supervisor"}))
_WEEKS: Final = 26


class _Told(msgspec.Struct, frozen=True):
    """A disease ("": all), the last week that is shown, and the weeks up to it."""

    disease: str
    week: date
    weeks: list[Week]

    def address(self, path: str) -> str:
        """The address of a page that asks for the same."""
        return f"{path}?disease={self.disease}&week={self.week}"

    def numbers(self) -> list[int | None]:
        """The cases of each week."""
        return [one.numbers.get((self.disease, EVERY), 0) for one in self.weeks]

    def areas(self) -> dict[str, int | None]:
        """The cases of the last week by area."""
        last = self.weeks[-1].numbers if self.weeks else {}
        found = {area for _, area in last} - {EVERY}
        return {area: last.get((self.disease, area), 0) for area in found}


@page(WEEKS, access=SUPERVISORS)
async def released(visit: Visit, records: DeclaredRecords) -> Response:
    """The curve of the weeks, and the map of the last of them."""
    told, say = await _told(visit, records), visit.say
    labels = [f"{one.begin:%m-%d}" for one in told.weeks]
    tiles = [Area(code, name, number) for code, name, number in await _areas(visit, records, told)]
    return visit.page(
        "epidemic_picture/released.html",
        fields=_fields(visit, told),
        lead=small_groups_told(visit),
        figures=[
            (bar_chart(visit.pen, "curve", say("Reported cases by week"), labels,
                       [Series(say("Cases"), told.numbers())], label_heading=say("Begin")),
             told.address(f"{WEEKS}/counts"), told.address(f"{WEEKS}/counts.csv")),
            (area_map(visit.pen, "areas", say("Reported cases of the week by area"), tiles,
                      boundaries=visit.house.settings.boundaries, area_heading=say("Area")),
             told.address(f"{WEEKS}/areas"), told.address(f"{WEEKS}/areas.csv")),
        ],
    )  # fmt: skip


@table(f"{WEEKS}/counts", access=SUPERVISORS, name="epidemic-weeks")
async def counts(visit: Visit, records: DeclaredRecords) -> Table:
    """The numbers of the curve."""
    told, say = await _told(visit, records), visit.say
    numbers = zip(told.weeks, told.numbers(), strict=True)
    rows = [
        [Cell(f"{one.begin}", is_number=True), Cell(told_figure(number), is_number=True)]
        for one, number in numbers
    ]
    headings = [Heading(say("Begin")), Heading(say("Cases"))]
    return Table(
        title=say("Reported cases by week"),
        lead=small_groups_told(visit),
        headings=headings,
        fetch=known(rows, headings, ""),
        filters=_fields(visit, told),
    )


@table(f"{WEEKS}/areas", access=SUPERVISORS, name="epidemic-week-areas")
async def by_area(visit: Visit, records: DeclaredRecords) -> Table:
    """The numbers of the map."""
    told, say = await _told(visit, records), visit.say
    rows = [
        [Cell(code), Cell(name), Cell(told_figure(number), is_number=True)]
        for code, name, number in await _areas(visit, records, told)
    ]
    headings = [Heading(say("Area")), Heading(say("Name")), Heading(say("Cases"))]
    return Table(
        title=say("Reported cases of the week by area"),
        lead=small_groups_told(visit),
        headings=headings,
        fetch=known(rows, headings, ""),
        filters=_fields(visit, told),
    )


async def _told(visit: Visit, records: DeclaredRecords) -> _Told:
    """What the address asks for. Raises Malformed for what it may not ask."""
    disease, last = disease_asked(visit), begin_of(visit.today, "week") - WEEK
    week = visit.asked_day("week") or last
    if week.weekday() or week.year < 2000 or week > last:
        raise Malformed(
            Sentence(
                "`week` is the Monday of a week that is over, %(last)s at the latest", last=last
            )
        )
    since = week - (_WEEKS - 1) * WEEK
    weeks = await records.desk(CaseCounts).weeks(since, _WEEKS, counted_codes())
    return _Told(disease, week, weeks)


async def _areas(
    visit: Visit, records: DeclaredRecords, told: _Told
) -> list[tuple[str, str, int | None]]:
    """Each area of the region and of a case, with its name and its number."""
    names, numbers = await names_of(visit, records), told.areas()
    calls = {NOWHERE: visit.say("not told"), **names}
    codes = sorted(names.keys() | numbers.keys())
    return [(code, calls.get(code, code), numbers.get(code, 0)) for code in codes]


def _fields(visit: Visit, told: _Told) -> list[Field]:
    last = begin_of(visit.today, "week") - WEEK
    begins = dict.fromkeys([told.week, *(last - at * WEEK for at in range(2 * _WEEKS))])
    weeks = [
        (f"{one}", f"{one} – {one + timedelta(days=6)}") for one in sorted(begins, reverse=True)
    ]
    words = visit.say("Week")
    return [
        disease_field(visit, told.disease),
        Field("week", words, "select", f"{told.week}", weeks),
    ]


PAGES: Final[tuple[Any, ...]] = (released, *counts, *by_area)
