"""The register, who is due, and the counts by township with the rows behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

from quanmin.applications.mental_register.counting import counted
from quanmin.fhir.json import Json, decode
from quanmin.trust import Hits
from quanmin.trust.due import Asked
from quanmin.trust.small_groups import least, suppressed
from quanmin.web import DeclaredRecords, Visit, Work
from quanmin.web.due_lists import due_table
from quanmin.web.forms import Cell, Field
from quanmin.web.mental_health import HOME, STAFF
from quanmin.web.small_groups import small_groups_told, told_figure
from quanmin.web.tables import Heading, Table, known, searched, table
from quanmin.workflow.mental import (
    CLASSES,
    DANGER,
    DISORDERS,
    PROGRAMME,
    coded,
    norm,
    township_of,
    word,
)

PLAN: Final = "mental_register"


@table(HOME, access=STAFF, name="mental-health")
async def registered(visit: Visit, records: DeclaredRecords) -> Table:
    """Who is registered, or was, with what the last visit found."""
    say, status, grade = visit.say, visit.asked("status") or "active", visit.asked("grade")
    pairs = [PROGRAMME, ("status", status)]
    pairs += [("category", f"{DANGER}|{grade}")] if grade else []

    async def find(cursor: str | None, count: int) -> Hits:
        return await records.find("CarePlan", *pairs, count=count, cursor=cursor)

    def rows(hits: Hits) -> Iterator[list[Cell]]:
        for one in hits.matches:
            yield _cells(visit, decode(one.body or b"{}"))

    return Table(
        title=say("Register of severe mental disorders"),
        headings=_headings(visit),
        fetch=searched(find, rows),
        filters=[
            Field("status", say("State"), "select", status,
                  [("active", say("followed up")), ("completed", say("no longer followed up"))]),
            Field("grade", say("Danger"), "select", grade,
                  [("", say("all")), *((one, told[visit.language])
                                       for one, told in norm()["grade"].items())]),
        ],
        empty=say("Nobody is registered."),
        actions=[
            (say("Find or register a person"), f"{HOME}/find"),
            (say("Who is to be visited"), f"{HOME}/due"),
            (say("Emergencies"), f"{HOME}/emergencies"),
            (say("Counts by township"), f"{HOME}/counts"),
        ],
    )  # fmt: skip


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    words = (
        *(say("Name of the person"), say("Diagnosis"), say("Township"), say("Danger")),
        *(say("Stability"), say("Registered on"), say("Follow-up ended")),
    )
    return [Heading(one) for one in words]


def _cells(visit: Visit, plan: Json) -> list[Cell]:
    concepts, period = plan.get("category", []), plan.get("period", {})
    subject = plan.get("subject", {})
    patient = str(subject.get("reference", "")).removeprefix("Patient/")
    grade, class_ = coded(concepts, DANGER), coded(concepts, CLASSES)
    name = str(subject.get("display") or visit.say("without a name"))
    return [
        Cell(name, f"{HOME}/of/{patient}"),
        Cell(word("disorder", coded(concepts, DISORDERS), visit.language)),
        Cell(township_of(plan)),
        Cell(grade or visit.say("not visited yet"), is_number=bool(grade)),
        Cell(
            word("class", class_, visit.language) if class_ else "", is_warning=class_ == "unstable"
        ),
        Cell(str(period.get("start", "")), is_number=True),
        Cell(str(period.get("end", "")), is_number=True),
    ]


@table(f"{HOME}/due", access=STAFF, name="mental-health-due")
async def due(visit: Visit, records: DeclaredRecords) -> Table:
    """Who is due for a visit or the yearly examination, what is due first before all."""
    title = visit.say("Follow-up of severe mental disorders: who is due")
    return await due_table(
        visit,
        records,
        PLAN,
        title,
        lambda one: f"{HOME}/of/{one.patient.id}",
        words=lambda series, _: series_word(visit, series),
    )


def series_word(visit: Visit, series: str) -> str:
    """What a series of the plan is called."""
    say = visit.say
    known_words = {
        "mental-follow-up": say("Follow-up visit"),
        "mental-examination": say("Yearly examination"),
    }
    return known_words.get(series, series)


@table(f"{HOME}/counts", access=STAFF, name="mental-health-counts")
async def counts(visit: Visit, records: DeclaredRecords) -> Table:
    """How many are followed up, by township and grade; small groups are not told in figures."""
    say, grades = visit.say, ["", *norm()["grade"]]
    told = [(township_of(one), coded(one.get("category", []), DANGER))
            for one in await _all(visit, records)]  # fmt: skip
    rows = []
    for township, numbers in counted(told, grades).items():
        shown, total = suppressed(numbers, least())
        cells = [
            Cell(told_figure(one), _rows(township, grade) if held else "")
            for grade, one, held in zip(grades, shown, numbers, strict=True)
        ]
        whole = Cell(told_figure(total), _rows(township))
        rows.append([Cell(township or say("not told")), whole, *cells])
    headings = [Heading(say("Township")), Heading(say("In all")), Heading(say("not visited yet")),
                *(Heading(one) for one in grades[1:])]  # fmt: skip
    return Table(
        title=say("Severe mental disorders by township and grade of danger"),
        lead=small_groups_told(visit),
        headings=headings,
        fetch=known(rows, headings, ""),
        empty=say("Nobody is registered."),
    )


def _rows(township: str, grade: str | None = None) -> str:
    asked = {"township": township} if township else {"told": "no"}
    asked |= {} if grade is None else {"grade": grade or "none"}
    return f"{HOME}/rows?{urlencode(asked)}"


@table(f"{HOME}/rows", access=STAFF, name="mental-health-rows")
async def rows_of(visit: Visit, records: DeclaredRecords) -> Table:
    """The persons behind a number."""
    say, township, grade = visit.say, visit.asked("township"), visit.asked("grade")
    told, wanted = visit.asked("told"), {"": None, "none": ""}.get(grade, grade)
    found = [
        _cells(visit, one)
        for one in await _all(visit, records)
        if township in {"", township_of(one)}
        and (told != "no" or not township_of(one))
        and wanted in {None, coded(one.get("category", []), DANGER)}
    ]
    grades = [("", say("all")), ("none", say("not visited yet")),
              *((one, told[visit.language]) for one, told in norm()["grade"].items())]  # fmt: skip
    headings = _headings(visit)
    return Table(
        title=say("Register of severe mental disorders"),
        headings=headings,
        fetch=known(found, headings, ""),
        filters=[
            Field("township", say("Township"), value=township, length_max=40),
            Field("told", say("Where they live"), "select", told,
                  [("", say("all")), ("no", say("not told"))]),
            Field("grade", say("Danger"), "select", grade, grades),
        ],
        empty=say("Nobody is registered."),
    )  # fmt: skip


async def _all(visit: Visit, records: DeclaredRecords) -> list[Json]:
    """All registrations that are open. Raises TooCostly for more than a page counts."""
    pairs = (PROGRAMME, ("status", "active"))
    rows_max = visit.house.settings.pages.counted_max
    found = records.every("CarePlan", *pairs, rows_max=rows_max)
    return [decode(one.body or b"{}") async for one in found]


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Overdue visits and examinations."""
    if not (visit.actor and visit.standing and STAFF.opens_to(visit.actor, visit.standing)):
        return []
    most = visit.house.settings.work_count_max + 1
    asked = Asked(plan=PLAN, statuses=("overdue", "escalated"))
    late = await records.due_statuses(asked, most=most)
    words = visit.say("Overdue visits of severe mental disorders")
    return [Work(words=words, link=f"{HOME}/due?status=overdue", number=len(late))]


PAGES: Final[tuple[Any, ...]] = (*registered, *due, *counts, *rows_of)
