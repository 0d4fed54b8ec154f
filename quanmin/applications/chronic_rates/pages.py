"""The rates of a year, and the cases behind each number."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

from quanmin.base.problems import Malformed, Sentence
from quanmin.fhir.json import decode
from quanmin.trust import Stored
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.chronic import (
    HOME,
    STAFF,
    asked_disease,
    case_cells,
    case_headings,
    disease_pair,
    diseases,
)
from quanmin.web.forms import Cell, Field, read_number
from quanmin.web.tables import Heading, Table, known, shown, table
from quanmin.workflow.chronic import CODE, Disease, day_of
from quanmin.workflow.chronic_rates import Counted, counted, held_by, rates, together

_RATES: Final = f"{HOME}/rates"
_FIRST_YEAR: Final = 2009
_GROUPS: Final = ("managed", "standard", "controlled")


@table(_RATES, access=STAFF, name="chronic-rates")
async def yearly(visit: Visit, records: DeclaredRecords) -> Table:
    """The rates of a year, recomputed from the cases; each number leads to them."""
    say, year = visit.say, _year(visit)
    rows = []
    for disease, name in diseases(visit):
        found = rates([one for _, one in await _counted(visit, records, disease, year)])
        numbers = (found.managed, found.standard, found.controlled)
        links = [
            f"{_RATES}/rows?{urlencode({'disease': disease, 'year': year, 'group': one})}"
            for one in _GROUPS
        ]
        cells = [Cell(str(n), link if n else "", is_number=True)
                 for n, link in zip(numbers, links, strict=True)]  # fmt: skip
        shares = [_share(found.share(one)) for one in numbers[1:]]
        rows.append([Cell(name), *cells, *shares])
    words = (say("Disease"), say("Followed up"), say("To the norm"), say("On target"),
             say("Rate of standard management"), say("Rate of control"))  # fmt: skip
    headings = [Heading(one) for one in words]
    return Table(
        title=say("Rates of a year"),
        headings=headings,
        fetch=known(rows, headings, ""),
        filters=[Field("year", say("Year"), value=str(year), length_max=4)],
        lead=say("To the norm: 4 visits or more in the year. On target: the last visit of the "
                 "year below the target."),
    )  # fmt: skip


def _share(share: Decimal | None) -> Cell:
    return Cell("–" if share is None else f"{share} %", is_number=True)


@table(f"{_RATES}/rows", access=STAFF, name="chronic-rates-rows")
async def rows_of_rate(visit: Visit, records: DeclaredRecords) -> Table:
    """The cases behind a number of the rates."""
    say, group, disease = visit.say, visit.asked("group") or "managed", asked_disease(visit)
    if group not in _GROUPS:
        raise Malformed(Sentence("group is one of %(known)s", known=", ".join(_GROUPS)))
    people = await _counted(visit, records, disease, _year(visit))
    found = [(case, one.visits) for case, one in people if _is_in(one, group)]

    def cells(row: tuple[Stored, int]) -> list[Cell]:
        return [*case_cells(visit, decode(row[0].body or b"{}")), Cell(str(row[1]), is_number=True)]

    headings = [Heading(one) for one in (*case_headings(visit), say("Visits of the year"))]
    groups = [("managed", say("Followed up")), ("standard", say("To the norm")),
              ("controlled", say("On target"))]  # fmt: skip
    return Table(
        title=say("The cases behind a number"),
        headings=headings,
        fetch=shown(found, cells),
        filters=[
            Field("disease", say("Disease"), "select", disease, diseases(visit)),
            Field("year", say("Year"), value=str(_year(visit)), length_max=4),
            Field("group", say("Number"), "select", group, groups),
        ],
        empty=say("There is no such case."),
    )


def _is_in(one: Counted, group: str) -> bool:
    in_groups = {"managed": one.is_managed, "standard": one.is_standard,
                 "controlled": one.is_controlled}  # fmt: skip
    return in_groups[group]


def _year(visit: Visit) -> int:
    year, this_year = read_number(visit.asked("year") or str(visit.today.year)), visit.today.year
    if year is None or not _FIRST_YEAR <= year <= this_year:
        raise Malformed(
            Sentence(
                "year is a year that has begun, from %(first_year)s to %(year)s",
                first_year=_FIRST_YEAR,
                year=this_year,
            )
        )
    return year


async def _counted(
    visit: Visit, records: DeclaredRecords, disease: Disease, year: int
) -> list[tuple[Stored, Counted]]:
    """Whom the visitor's institution follows up or did, as they count in a year, each with the case
    that was begun last. Raises TooCostly for more cases than a page counts.
    """
    pairs = (("code", CODE), disease_pair(disease))
    rows_max = visit.house.settings.pages.counted_max
    cases: dict[int, list[tuple[date, Stored, Counted]]] = {}
    async for case in records.every("Task", *pairs, rows_max=rows_max, is_own=True):
        held = held_by(case.body or b"{}")
        begun, one = day_of(held, "enrolled") or date.min, counted(held, year, visit.today)
        if one.is_managed:
            cases.setdefault(case.facts.patient or -case.rid, []).append((begun, case, one))
    return [
        (max(several, key=lambda one: one[0])[1], together(one for *_, one in several))
        for several in cases.values()
    ]


PAGES: Final = (*yearly, *rows_of_rate)
