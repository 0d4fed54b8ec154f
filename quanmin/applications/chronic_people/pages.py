"""A person's page: found by identity number; what is due and why, the cases, what was measured."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from starlette.responses import Response

from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.charts import Series, line_chart
from quanmin.web.chronic import (
    ENTRY,
    HOME,
    READING,
    STAFF,
    Known,
    is_own,
    read_known,
    stating,
)
from quanmin.web.dates import short_fhir
from quanmin.web.drawing import Figure
from quanmin.web.due_lists import status_words
from quanmin.web.filling import answered, entries_of, form_in
from quanmin.web.forms import Cell
from quanmin.web.person_box import person_box
from quanmin.workflow.chronic import (
    DISEASES,
    disease_of,
    grade,
    high_days,
    limits,
    pressure_of,
    state_of,
    visits_of,
    word,
)
from quanmin.workflow.plans import Item

_HERE: Final = Path(__file__).parent
_POINTS_MIN: Final = 2
_FORMS: Final = {"measurement": "chronic-measurement", "examination": "yearly-examination"}
_LATE: Final = frozenset({"overdue", "escalated"})
# Neither is anything to be done: another series has taken its place, or it does not concern them.
_SETTLED: Final = frozenset({"not-applicable", "excluded"})


@page(HOME, access=ENTRY, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """The box for staff; residents go on to their own page, doctors of a hospital to the cases."""
    if visit.actor and visit.standing and not READING.opens_to(visit.actor, visit.standing):
        return visit.go(f"{HOME}/patients")
    say = visit.say
    links = [
        (say("Who is due: hypertension"), f"{HOME}/due?disease=hypertension"),
        (say("Who is due: type-2 diabetes"), f"{HOME}/due?disease=diabetes"),
        (say("Patients who are followed up"), f"{HOME}/patients"),
        (say("Rates of a year"), f"{HOME}/rates"),
    ]
    title, to = say("Hypertension and diabetes"), f"{HOME}/of/{{}}"
    records = stating(visit, records)
    return await person_box(visit, records, title, to, links, is_own=is_own(visit))


@page(f"{HOME}/of/{{patient}}", access=READING)
async def show(visit: Visit, records: DeclaredRecords) -> Response:
    """What is due and why, the cases with their visits, and what was measured."""
    records, patient = stating(visit, records), visit.path("patient")
    known = await read_known(visit, records, patient)
    lines = []
    for disease in DISEASES:
        explained = await records.schedule(patient, f"chronic_people.{disease}")
        lines += [_line(visit, one) for one in explained.items if one.status not in _SETTLED]
    return visit.page(
        "chronic_people/person.html",
        person=known.person,
        is_own=is_own(visit),
        lines=lines,
        cases=[_case_row(visit, known, at) for at in range(len(known.cases))],
        high_days=high_days(known.results, records.zone),
        measured=_measured(visit, known),
        figure_of=_figure(visit, known),
        days_needed=limits()["pressure"]["days"],
    )


def _line(visit: Visit, item: Item) -> list[Cell]:
    turn = word("turn", item.turn, visit.language) if item.turn in _TURNS else ""
    name = word("series", item.series, visit.language)
    measure = word("measure", item.measure, visit.language) if item.measure in _MEASURES else ""
    said = status_words(visit)
    return [
        Cell(f"{name} · {turn}" if turn else name),
        Cell("" if item.due is None else item.due.isoformat(), is_number=True),
        Cell(next((words for code, words in said.items() if code == item.status), ""),
             tag=visit.say("late") if item.status in _LATE else "", is_warning=True),
        Cell(measure),
    ]  # fmt: skip


_TURNS: Final = frozenset({"first", "crisis", "complication", "twice-unsatisfied",
                           "once-unsatisfied", "satisfied", "no-result"})  # fmt: skip
_MEASURES: Final = frozenset({"refer", "adjust", "continue", "repeat"})


def _case_row(visit: Visit, known: Known, at: int) -> list[Cell]:
    task = known.cases[at]
    visits = visits_of(task)
    last = visits[-1] if visits else None
    link = "" if is_own(visit) else f"{HOME}/case/{task['id']}"
    return [
        Cell(word("disease", disease_of(task), visit.language), link),
        Cell(word("state", state_of(task), visit.language)),
        Cell(str(len(visits)), is_number=True),
        Cell("" if last is None else last.on.isoformat(), is_number=True),
        Cell("" if last is None else word("result", last.result, visit.language)),
    ]


def _measured(visit: Visit, known: Known) -> list[list[str]]:
    """The pressures that were measured, the newest first, each with its grade."""
    found = []
    for one in known.results:
        upper, lower = pressure_of(one)
        if upper is not None and lower is not None:
            day = short_fhir(str(one.get("effectiveDateTime") or ""), visit.house.settings.zone)
            found.append([day, f"{upper}/{lower}", str(grade(upper, lower) or "")])
    return found


def _figure(visit: Visit, known: Known) -> Figure | None:
    rows = sorted(row for row in _measured(visit, known) if len(row[0]) == len("2026-01-31"))
    if len(rows) < _POINTS_MIN:
        return None
    pairs = [row[1].split("/") for row in rows]
    return line_chart(
        visit.pen,
        "pressure",
        visit.say("Blood pressure"),
        [row[0] for row in rows],
        [Series(visit.say("Upper"), [float(one[0]) for one in pairs]),
         Series(visit.say("Lower"), [float(one[1]) for one in pairs])],
        unit="mmHg",
        at=[date.fromisoformat(row[0]).toordinal() for row in rows],
        label_heading=visit.say("Day"),
    )  # fmt: skip


@page(f"{HOME}/of/{{patient}}/measurement", access=STAFF, methods=("GET", "POST"))
async def measure(visit: Visit, records: DeclaredRecords) -> Response:
    """A pressure or a glucose that was measured, as in screening."""
    return await _recorded(visit, records, "measurement")


@page(f"{HOME}/of/{{patient}}/examination", access=STAFF, methods=("GET", "POST"))
async def examine(visit: Visit, records: DeclaredRecords) -> Response:
    """The yearly examination."""
    return await _recorded(visit, records, "examination")


async def _recorded(visit: Visit, records: DeclaredRecords, what: str) -> Response:
    patient = visit.path("patient")
    await records.read("Patient", patient)
    form, back = form_in(_HERE, _FORMS[what]), f"{HOME}/of/{patient}"
    sent, shown = await answered(visit, records, form, patient, back=back)
    if sent is None:
        return shown
    await records.transact(entries_of(sent))
    return visit.go(back)


PAGES: Final[tuple[Page, ...]] = (find, show, measure, examine)
