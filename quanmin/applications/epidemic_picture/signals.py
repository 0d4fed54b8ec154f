"""Where more cases were reported than usual: pure functions, and the page of what they find."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from math import exp, lgamma, log, log1p
from typing import Any, Final

import msgspec

from quanmin.applications.epidemic_picture.counting import Asked, Case
from quanmin.applications.epidemic_picture.pages import STAFF, cases_of, day_asked, names_of
from quanmin.web import DeclaredRecords, Visit
from quanmin.web.forms import Cell, Field
from quanmin.web.tables import Heading, Table, known, table
from quanmin.workflow.notifiable import diseases, table_on

SIGNALS: Final = "/epidemic/signals"


class Numbers(msgspec.Struct, frozen=True):
    """What `definitions/notifiable/signals.toml` says."""

    days: int
    left_out: int
    times: int
    false_alarms: float

    @property
    def span(self) -> timedelta:
        """All days that are counted or left out, but the last."""
        return timedelta(days=self.days * (1 + self.times) + self.left_out - 1)


class Signal(msgspec.Struct, frozen=True):
    """A disease in an area with its cases of the last days, how many are usual, and how likely so
    many or more are where nothing has changed; 0 where any case is a signal.
    """

    disease: str
    area: str
    number: int
    usual: float
    chance: float


@cache
def numbers() -> Numbers:
    """When more than usual is a signal."""
    file = files("quanmin.definitions").joinpath("notifiable", "signals.toml")
    return msgspec.convert(tomllib.loads(file.read_text("utf-8")), Numbers)


def chance_of(number: int, before: int, times: int) -> float:
    """How likely so many cases or more are, given all of both times, where each falls on a day by
    chance: the binomial distribution, whatever the unknown rate is.
    """
    every, share = number + before, 1 / (times + 1)

    def exactly(n: int) -> float:  # by logarithms: the ways to choose of thousands fit no float
        ways = lgamma(every + 1) - lgamma(n + 1) - lgamma(every - n + 1)
        return exp(ways + n * log(share) + (every - n) * log1p(-share))

    return min(1.0, sum(map(exactly, range(number, every + 1))))


def signals_of(cases: Iterable[Case], until: date, by: Numbers) -> tuple[list[Signal], int]:
    """The signals on a day by the days of report, the clearest first, and of how many pairs of a
    disease and an area there was anything to compare. One case of what is met by the measures of
    class A is a signal.
    """
    late = until - timedelta(days=by.days)
    early = late - timedelta(days=by.left_out)
    now: Counter[tuple[str, str]] = Counter()
    before: Counter[tuple[str, str]] = Counter()
    for one in cases:
        if one.reported is None or one.reported > until:
            continue
        if one.reported > late:
            now[one.disease, one.area] += 1
        elif early - timedelta(days=by.days * by.times) < one.reported <= early:
            before[one.disease, one.area] += 1
    law = table_on(until)
    found = []
    for (disease, area), number in now.items():
        usual = before[disease, area]
        is_grave = law is not None and law.is_managed_as_a(disease)
        chance = 0.0 if is_grave else chance_of(number, usual, by.times)
        if chance <= by.false_alarms:
            found.append(Signal(disease, area, number, usual / by.times, chance))
    return sorted(found, key=lambda one: (one.chance, -one.number, one.disease)), len(now | before)


@table(SIGNALS, access=STAFF, name="epidemic-signals")
async def signals(visit: Visit, records: DeclaredRecords) -> Table:
    """Where more cases were reported than usual; each number leads to its cases."""
    say, by, until = visit.say, numbers(), day_asked(visit, "until", visit.today)
    asked = Asked("", "", "report", "day", until - by.span, until)
    found, compared = signals_of(await cases_of(records, asked), until, by)
    names = await names_of(visit, records)
    rows = [_cells(visit, asked, one, names.get(one.area, "")) for one in found]
    words = (say("Disease"), say("Area"), say("Centre"), say("Cases"), say("Usual"), say("Chance"))
    headings = [Heading(one) for one in words]
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
        filters=[Field("until", say("Until"), "date", f"{until}")],
        empty=say("Nowhere more than usual."),
        actions=[(say("Epidemic curve and map"), "/epidemic")],
    )  # fmt: skip


def _cells(visit: Visit, asked: Asked, one: Signal, centre: str) -> list[Cell]:
    since = asked.until - timedelta(days=numbers().days - 1)
    changes: dict[str, Any] = {"disease": one.disease, "area": one.area, "since": f"{since}"}
    is_any = one.chance == 0
    return [
        Cell(diseases()[one.disease].told(visit.language), is_warning=True),
        Cell(one.area),
        Cell(centre),
        Cell(str(one.number), asked.address("/epidemic/cases", **changes), is_number=True),
        Cell(visit.pen.number(round(one.usual, 1)), is_number=True),
        Cell(visit.say("any case is one") if is_any else f"{one.chance:.4f}", is_number=not is_any),
    ]


PAGES: Final[tuple[Any, ...]] = signals
