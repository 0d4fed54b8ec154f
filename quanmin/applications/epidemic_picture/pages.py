"""The picture, the counts behind it as sheets, and the cases behind each number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.epidemic_picture.counting import (
    Asked,
    Case,
    areas,
    curve,
    spans,
    within,
)
from quanmin.base.problems import Malformed
from quanmin.fhir.json import Json, decode
from quanmin.trust.registers import Wanted
from quanmin.web import Access, DeclaredRecords, Visit, page
from quanmin.web.cases import asking
from quanmin.web.charts import Series, bar_chart
from quanmin.web.forms import Cell, Field
from quanmin.web.maps import Area, area_map
from quanmin.web.route import Charge
from quanmin.web.tables import Heading, Table, known, table
from quanmin.workflow.notifiable import WORKFLOW, day_of, disease_of, diseases, fact, state_of

STAFF: Final = Access(
    frozenset({"public_health_worker"}),
    Charge(frozenset({"infection_report", "head"}), frozenset({"public_health_worker"})),
)
_PORTION: Final = 500
# More than a picture is made of while somebody waits: a shorter time or one disease is asked for.
_CASES_MAX: Final = 20_000
_DAYS: Final = 56
_DAYS_MAX: Final = 366
_OVER: Final = frozenset({"merged", "withdrawn"})
_NOT_COUNTED: Final = frozenset({"carrier", "positive"})


@page("/epidemic", access=STAFF)
async def picture(visit: Visit, records: DeclaredRecords) -> Response:
    """The curve and the map, each number with a link to its cases."""
    asked, say = _asked(visit), visit.say
    cases = await cases_of(records, asked)
    days = spans(asked.since, asked.until, asked.span)
    classes = _classes(visit)
    lines = [
        Series(classes.get(one, one), numbers)
        for one, numbers in curve(cases, days, asked.span, asked.by).items()
    ]
    names = await names_of(visit, records)
    counted = areas(cases)
    tiles = [Area(code, names.get(code, code), counted.get(code, 0))
             for code in sorted(names.keys() | counted.keys()) if code]  # fmt: skip
    return visit.page(
        "epidemic_picture/picture.html",
        fields=_fields(visit, asked),
        total=len(cases),
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
    found = curve(await cases_of(records, asked), days, asked.span, asked.by)
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
    counted, names = areas(await cases_of(records, asked)), await names_of(visit, records)
    rows = [
        [
            Cell(code),
            Cell(names.get(code, "")),
            Cell(str(number), asked.address("/epidemic/cases", area=code)),
        ]
        for code, number in sorted(counted.items())
    ]
    headings = [Heading(say("Area")), Heading(say("Centre")), Heading(say("Cases"))]
    return Table(title=say("Cases by area of residence"), headings=headings,
                 fetch=known(rows, headings, ""), filters=_fields(visit, asked))  # fmt: skip


@table("/epidemic/cases", access=STAFF, name="epidemic-cases")
async def rows(visit: Visit, records: DeclaredRecords) -> Table:
    """The cases behind a number."""
    asked, say, classes = _asked(visit), visit.say, _classes(visit)
    found = await cases_of(records, asked)
    cells = [
        [
            Cell(diseases()[one.disease].told(visit.language), f"/infectious/{one.id}"),
            Cell(f"{one.onset}", is_number=True),
            Cell(f"{one.reported or ''}", is_number=True),
            Cell(one.area),
            Cell(classes.get(one.case_class, one.case_class)),
        ]
        for one in sorted(found, key=lambda one: (one.onset, one.id))
    ]
    words = (say("Disease"), say("Onset"), say("Reported"), say("Area"), say("Class"))
    headings = [Heading(one) for one in words]
    return Table(title=say("Cases"), headings=headings, fetch=known(cells, headings, ""),
                 filters=_fields(visit, asked))  # fmt: skip


def _rows_of(asked: Asked, since: date, until: date, number: int) -> str:
    changes = {"since": f"{max(since, asked.since)}", "until": f"{min(until, asked.until)}"}
    return asked.address("/epidemic/cases", **changes) if number else ""


async def cases_of(records: DeclaredRecords, asked: Asked) -> list[Case]:
    """The cases that the address asks for, as far as the visitor sees them. Raises Malformed for
    more than a picture is made of.
    """
    found: list[Case] = []
    cursor: str | None = None
    # A card is begun on or after the day of its onset.
    pairs = (("code", f"{WORKFLOW}|infectious_report"), ("authored-on", f"ge{asked.since}"))
    read = 0
    while True:
        hits = await records.find("Task", *pairs, count=_PORTION, cursor=cursor)
        read += len(hits.matches)
        found += _counted(decode(stored.body or b"{}") for stored in hits.matches)
        cursor = hits.next
        if cursor is None:
            break
        if read >= _CASES_MAX:
            raise Malformed(f"there are more than {_CASES_MAX} cards: ask for a later beginning")
    return [
        case
        for case in within(found, asked.since, asked.until, asked.by)
        if asked.disease in {"", case.disease} and case.area.startswith(asked.area)
    ]


def _counted(tasks: Iterator[Json]) -> Iterator[Case]:
    for task in tasks:
        state, case_class, disease = state_of(task), fact(task, "class"), disease_of(task)
        onset = day_of(task, "onset")
        # Carriers and positive tests are reported and are no cases of the disease.
        if state in _OVER or case_class in _NOT_COUNTED or not onset or disease not in diseases():
            continue
        reported = day_of(task, "sent")
        yield Case(task["id"], disease, onset, reported,
                   fact(task, "area"), case_class, state)  # fmt: skip


async def names_of(visit: Visit, records: DeclaredRecords) -> Mapping[str, str]:
    """The counties of the visitor's area, by division, named by their centres."""
    region = (await asking(visit)).actor.place.region
    while region.endswith("00"):  # a city or a province has all below it
        region = region.removesuffix("00")
    wanted = Wanted(state="active", level="county", kind="J", region=region)
    found = await records.institutions(None, wanted, count=200) if region else ()
    return {one.region: one.name for one in found}


def _asked(visit: Visit) -> Asked:
    """What the address asks for. Raises Malformed for what it may not ask."""
    until = day_asked(visit, "until", visit.today)
    since = day_asked(visit, "since", until - timedelta(days=_DAYS - 1))
    by, span = visit.asked("by") or "onset", visit.asked("span") or "day"
    disease, area = visit.asked("disease"), visit.asked("area")
    if not timedelta(0) <= until - since < timedelta(days=_DAYS_MAX):
        raise Malformed(f"ask for 1 to {_DAYS_MAX} days, the first before the last")
    if by not in {"onset", "report"} or span not in {"day", "week"}:
        raise Malformed("`by` is onset or report, `span` is day or week")
    if disease and disease not in diseases():
        raise Malformed("`disease` is the code of a notifiable disease, as the list has it")
    if area and not (area.isascii() and area.isdigit() and len(area) <= 6):
        raise Malformed("`area` is a division of GB/T 2260, or its first digits")
    return Asked(disease, area, "onset" if by == "onset" else "report",
                 "day" if span == "day" else "week", since, until)  # fmt: skip


def day_asked(visit: Visit, name: str, usual: date) -> date:
    """A day of the address. Raises Malformed for what is none."""
    try:
        return date.fromisoformat(visit.asked(name)) if visit.asked(name) else usual
    except ValueError:
        raise Malformed(f"`{name}` is a day, as 2026-03-01") from None


def _fields(visit: Visit, asked: Asked) -> list[Field]:
    say = visit.say
    listed = [(code, one.told(visit.language)) for code, one in diseases().items()]
    return [
        Field("disease", say("Disease"), "select", asked.disease, [("", say("All")), *listed]),
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
