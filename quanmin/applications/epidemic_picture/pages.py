"""The picture, the counts behind it as sheets, and the cases behind each number."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.epidemic_picture.counting import Asked, areas, curve, spans
from quanmin.base.problems import Malformed, Sentence
from quanmin.trust.case_counts import CaseCounts, Counted, Group
from quanmin.trust.registers import Wanted
from quanmin.web import Access, DeclaredRecords, Visit, page
from quanmin.web.cases import asking
from quanmin.web.charts import Series, bar_chart
from quanmin.web.divisions import counties_of
from quanmin.web.forms import Cell, Field
from quanmin.web.maps import Area, area_map
from quanmin.web.route import Charge
from quanmin.web.tables import Heading, Row, Table, known, place_numbers, table
from quanmin.workflow.notifiable import area_in, counted_codes, diseases

STAFF: Final = Access(
    frozenset({"public_health_worker"}),
    Charge(frozenset({"infection_report", "head"}), frozenset({"public_health_worker"})),
)
WEEKS: Final = "/epidemic/weeks"
"""Where those are sent on to who see no case."""
_OPEN: Final = Access(frozenset({"public_health_worker", "supervisor"}), STAFF.charge)
_DAYS: Final = 56
_DAYS_MAX: Final = 366
_COUNTIES_MAX: Final = 200


@page("/epidemic", access=_OPEN)
async def picture(visit: Visit, records: DeclaredRecords) -> Response:
    """The curve and the map, each number with a link to its cases."""
    if visit.actor is not None and not STAFF.admits(visit.actor.role):
        return visit.go(WEEKS)
    asked, say = _asked(visit), visit.say
    groups = await groups_of(records, asked)
    days = spans(asked.since, asked.until, asked.span)
    classes = _classes(visit)
    lines = [
        Series(classes.get(one, one), numbers)
        for one, numbers in curve(groups, days, asked.span).items()
    ]
    names = await names_of(visit, records)
    counted = areas(groups)
    tiles = [Area(code, names.get(code, code), counted.get(code, 0))
             for code in sorted(names.keys() | counted.keys()) if code]  # fmt: skip
    return visit.page(
        "epidemic_picture/picture.html",
        fields=_fields(visit, asked),
        total=sum(one.number for one in groups),
        cases=asked.address("/epidemic/cases"),
        signals="/epidemic/signals",
        figures=[
            (bar_chart(visit.pen, "curve", say("Epidemic curve"), [f"{day:%m-%d}" for day in days],
                       lines, label_heading=say("Begin")),
             asked.address("/epidemic/counts"), asked.address("/epidemic/counts.csv")),
            (area_map(visit.pen, "areas", say("Cases by area of residence"), tiles,
                      boundaries=visit.house.settings.boundaries, area_heading=say("Area")),
             asked.address("/epidemic/areas"), asked.address("/epidemic/areas.csv")),
        ],
    )  # fmt: skip


@table("/epidemic/counts", access=STAFF, name="epidemic-counts")
async def counts(visit: Visit, records: DeclaredRecords) -> Table:
    """The numbers of the curve, by class of case."""
    asked, say = _asked(visit), visit.say
    days = spans(asked.since, asked.until, asked.span)
    found = curve(await groups_of(records, asked), days, asked.span)
    step, classes = timedelta(days=0 if asked.span == "day" else 6), _classes(visit)
    rows = [
        [
            Cell(f"{day}", is_number=True),
            *(
                Cell(str(numbers[at]), _rows_of(asked, day, day + step, numbers[at]))
                for numbers in found.values()
            ),
        ]
        for at, day in enumerate(days)
    ]
    headings = [Heading(say("Begin")), *(Heading(classes.get(one, one)) for one in found)]
    return Table(title=say("Epidemic curve"), headings=headings, fetch=known(rows, headings, ""),
                 filters=_fields(visit, asked))  # fmt: skip


@table("/epidemic/areas", access=STAFF, name="epidemic-areas")
async def by_area(visit: Visit, records: DeclaredRecords) -> Table:
    """The numbers of the map."""
    asked, say = _asked(visit), visit.say
    counted, names = areas(await groups_of(records, asked)), await names_of(visit, records)
    rows = [
        [
            Cell(code),
            Cell(names.get(code, "")),
            Cell(str(number), asked.address("/epidemic/cases", area=code)),
        ]
        for code, number in sorted(counted.items())
    ]
    headings = [Heading(say("Area")), Heading(say("Name")), Heading(say("Cases"))]
    return Table(title=say("Cases by area of residence"), headings=headings,
                 fetch=known(rows, headings, ""), filters=_fields(visit, asked))  # fmt: skip


@table("/epidemic/cases", access=STAFF, name="epidemic-cases")
async def rows(visit: Visit, records: DeclaredRecords) -> Table:
    """The cases behind a number."""
    asked, say, classes = _asked(visit), visit.say, _classes(visit)

    async def fetch(after: str, count: int) -> list[Row]:
        day, key = place_numbers(after)
        start = (date.fromordinal(min(day, date.max.toordinal()) or 1), key) if after else None
        desk = records.desk(CaseCounts)
        found = await desk.listed(asked.sought, counted_codes(), after=start, count=count)
        return [Row(_cells(visit, one, classes), f"{at.toordinal()}.{rid}")
                for one, (at, rid) in found]  # fmt: skip

    words = (say("Disease"), say("Onset"), say("Reported"), say("Area"), say("Class"))
    return Table(title=say("Cases"), headings=[Heading(one) for one in words], fetch=fetch,
                 filters=_fields(visit, asked))  # fmt: skip


def _cells(visit: Visit, one: Counted, classes: Mapping[str, str]) -> list[Cell]:
    told = one.told
    return [
        Cell(diseases()[told.disease].told(visit.language), f"/infectious/{one.id}"),
        Cell(f"{told.onset}", is_number=True),
        Cell(f"{told.reported or ''}", is_number=True),
        Cell(told.area),
        Cell(classes.get(told.case_class, told.case_class)),
    ]


def _rows_of(asked: Asked, since: date, until: date, number: int) -> str:
    changes = {"since": f"{max(since, asked.since)}", "until": f"{min(until, asked.until)}"}
    return asked.address("/epidemic/cases", **changes) if number else ""


async def groups_of(records: DeclaredRecords, asked: Asked) -> list[Group]:
    """The cases that the address asks for by disease, class, area and day, as far as the visitor
    sees them.
    """
    return await records.desk(CaseCounts).groups(asked.sought, counted_codes())


async def names_of(visit: Visit, records: DeclaredRecords) -> Mapping[str, str]:
    """The counties of the visitor's area, by division: called as the table of divisions has them;
    those that it lacks as in the name of their centre or of their hospital, and those with a centre
    by its name where that does not tell.
    """
    region = (await asking(visit)).actor.place.region
    names = counties_of(region)
    while region.endswith("00"):  # a city or a province has all below it
        region = region.removesuffix("00")
    for kind in ("J", "A") if region else ():
        wanted = Wanted(state="active", level="county", kind=kind, region=region)
        for one in await records.institutions(None, wanted, count=_COUNTIES_MAX):
            name = area_in(one.name) or (one.name if kind == "J" else "")
            if name:
                names.setdefault(one.region, name)
    return names


def _asked(visit: Visit) -> Asked:
    """What the address asks for. Raises Malformed for what it may not ask."""
    until = visit.asked_day("until") or visit.today
    since = visit.asked_day("since") or until - timedelta(days=_DAYS - 1)
    by, span = visit.asked("by") or "onset", visit.asked("span") or "day"
    disease, area = disease_asked(visit), visit.asked("area")
    if not timedelta(0) <= until - since < timedelta(days=_DAYS_MAX):
        raise Malformed(
            Sentence(
                "ask for 1 to %(days_max)s days, the first before the last", days_max=_DAYS_MAX
            )
        )
    if by not in {"onset", "report"} or span not in {"day", "week"}:
        raise Malformed("`by` is onset or report, `span` is day or week")
    if area and not (area.isascii() and area.isdigit() and len(area) <= 6):
        raise Malformed("`area` is a division of GB/T 2260, or its first digits")
    return Asked(disease, area, "onset" if by == "onset" else "report",
                 "day" if span == "day" else "week", since, until)  # fmt: skip


def disease_field(visit: Visit, disease: str) -> Field:
    """By which disease is asked."""
    listed = [(code, one.told(visit.language)) for code, one in diseases().items()]
    choices = [("", visit.say("All")), *listed]
    return Field("disease", visit.say("Disease"), "select", disease, choices)


def disease_asked(visit: Visit) -> str:
    """The disease of the address; "" for all. Raises Malformed for what is none."""
    disease = visit.asked("disease")
    if disease and disease not in diseases():
        raise Malformed("`disease` is the code of a notifiable disease, as the list has it")
    return disease


def _fields(visit: Visit, asked: Asked) -> list[Field]:
    say = visit.say
    return [
        disease_field(visit, asked.disease),
        Field("area", say("Area"), value=asked.area, hint=say("Digits of GB/T 2260"), length_max=6),
        Field("by", say("Counted by"), "select", asked.by,
              [("onset", say("Onset")), ("report", say("Report"))]),
        Field("span", say("Each bar"), "select", asked.span,
              [("day", say("One day")), ("week", say("One week"))]),
        Field("since", say("From"), "date", f"{asked.since}"),
        Field("until", say("Until"), "date", f"{asked.until}"),
    ]  # fmt: skip


def _classes(visit: Visit) -> dict[str, str]:
    say = visit.say
    return {"suspected": say("Suspected"), "clinical": say("Clinically diagnosed"),
            "confirmed": say("Confirmed")}  # fmt: skip


PAGES: Final[tuple[Any, ...]] = (picture, *counts, *by_area, *rows)
