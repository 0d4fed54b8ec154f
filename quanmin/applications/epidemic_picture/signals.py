"""Where more cases were reported than usual: pure functions, and the page of what they find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from quanmin.applications.epidemic_picture.counting import Asked
from quanmin.applications.epidemic_picture.pages import (
    STAFF,
    disease_asked,
    disease_field,
    groups_of,
    names_of,
)
from quanmin.trust.case_counts import Group
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.forms import Cell, Field
from quanmin.web.report_cards import grave_by_subtype
from quanmin.web.tables import Heading, Table, known, table
from quanmin.workflow.notifiable import diseases, table_on
from quanmin.workflow.notifiable.unusual import Numbers, chance_of, numbers

SIGNALS: Final = "/epidemic/signals"


class Signal(msgspec.Struct, frozen=True):
    """A disease in an area with its cases of the last days, how many are usual, and how likely so
    many or more are where nothing has changed; 0 where any case is a signal.
    """

    disease: str
    area: str
    number: int
    usual: float
    chance: float


def signals_of(
    groups: Iterable[Group], until: date, by: Numbers, grave: Container[tuple[str, str]] = ()
) -> tuple[list[Signal], int]:
    """The signals on a day by the days of report, the clearest first, and of how many pairs of a
    disease and an area there was anything to compare. One case of what is met by the measures of
    class A is a signal, and in `grave` are those that are for their subtype.
    """
    late = until - timedelta(days=by.days)
    early = late - timedelta(days=by.left_out)
    now: Counter[tuple[str, str]] = Counter()
    before: Counter[tuple[str, str]] = Counter()
    for one in groups:
        if late < one.day <= until:
            now[one.disease, one.area] += one.number
        elif early - timedelta(days=by.days * by.times) < one.day <= early:
            before[one.disease, one.area] += one.number
    law = table_on(until)
    found = []
    for (disease, area), number in now.items():
        usual = before[disease, area]
        is_as_a = law is not None and law.is_managed_as_a(disease)
        is_grave = is_as_a or (disease, area) in grave
        chance = 0.0 if is_grave else chance_of(number, usual, by.times)
        if chance <= by.false_alarms:
            found.append(Signal(disease, area, number, usual / by.times, chance))
    return sorted(found, key=lambda one: (one.chance, -one.number, one.disease)), len(now | before)


@table(SIGNALS, access=STAFF, name="epidemic-signals")
async def signals(visit: Visit, records: DeclaredRecords) -> Table:
    """Where more cases were reported than usual; each number leads to its cases."""
    say, by, until = visit.say, numbers(), visit.asked_day("until") or visit.today
    asked = Asked(disease_asked(visit), "", "report", "day", until - by.span, until)
    lately = Asked(asked.disease, "", "report", "day", until - timedelta(days=by.days - 1), until)
    grave = await grave_by_subtype(records, lately.sought)
    found, compared = signals_of(await groups_of(records, asked), until, by, grave)
    names = await names_of(visit, records)
    rows = [_cells(visit, asked, one, names.get(one.area, "")) for one in found]
    words = (say("Disease"), say("Area"), say("Name"), say("Cases"), say("Usual"), say("Chance"))
    may_report = visit.offers("public_health_events")
    headings = [Heading(one) for one in (*words, *([say("Event")] if may_report else ()))]
    told = {
        "days": by.days,
        "pairs": compared,
        "alarms": visit.pen.number(round(compared * by.false_alarms, 1)),
    }
    return Table(
        title=say("More cases than usual"),
        lead=say("Reported in %(days)s days, beside the weeks before. Of %(pairs)s pairs of a "
                 "disease and an area %(alarms)s at most are here by chance alone, as a rule.")
        % told,
        headings=headings,
        fetch=known(rows, headings, ""),
        filters=[
            disease_field(visit, asked.disease),
            Field("until", say("Until"), "date", f"{until}"),
        ],
        empty=say("Nowhere more than usual."),
        actions=[(say("Epidemic curve and map"), "/epidemic")],
    )  # fmt: skip


def _cells(visit: Visit, asked: Asked, one: Signal, centre: str) -> list[Cell]:
    since = asked.until - timedelta(days=numbers().days - 1)
    changes: dict[str, Any] = {"disease": one.disease, "area": one.area, "since": f"{since}"}
    is_any = one.chance == 0
    event = f"/events/new?disease={one.disease}&area={one.area}&cases={one.number}"
    may_report = visit.offers("public_health_events")
    return [
        Cell(diseases()[one.disease].told(visit.language), is_warning=True),
        Cell(one.area),
        Cell(centre),
        Cell(str(one.number), asked.address("/epidemic/cases", **changes), is_number=True),
        Cell(visit.pen.number(round(one.usual, 1)), is_number=True),
        Cell(visit.say("any case is one") if is_any else f"{one.chance:.4f}", is_number=not is_any),
        *([Cell(visit.say("Report an event"), event)] if may_report else ()),
    ]


PAGES: Final[tuple[Any, ...]] = signals
