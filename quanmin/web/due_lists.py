"""Due lists as pages: who is due for what by a plan, filtered by the address, with their sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

import msgspec

from quanmin.base.problems import Malformed, Sentence
from quanmin.fhir.json import decode
from quanmin.trust.due import STATUSES, Asked, Progress, Status
from quanmin.web.forms import Cell, Field
from quanmin.web.persons import tell_patient
from quanmin.web.records import DeclaredRecords, Due
from quanmin.web.tables import Heading, Row, Table
from quanmin.web.visit import Visit

_LATE: Final[tuple[Status, ...]] = ("due", "overdue", "escalated")
_OVERDUE: Final[tuple[Status, ...]] = ("overdue", "escalated")
_WARNED: Final = frozenset({"overdue", "escalated"})


async def due_table(
    visit: Visit,
    records: DeclaredRecords,
    plan: str,
    title: str,
    link: Callable[[Due], str],
    *,
    institution: str = "",
    area: str = "",
    more: Sequence[tuple[str, Callable[[Due], Cell]]] = (),
    words: Callable[[str, str], str] | None = None,
) -> Table:
    """Who is due by a plan of the application, what is due first before all: as the address asks
    for it by `status`, `series`, `since` and `until`. `link` leads to where it is done; `more` are
    columns of the application's own. `words` say in the language of the page what a series and a
    turn of it ("": all of it) are called; without them it is said as the plan says it. Raises
    Malformed for what the address asks that there is not.
    """
    say, asked = visit.say, _asked(visit, plan)
    asked = msgspec.structs.replace(asked, institution=institution, area=area)

    async def fetch(after: str, count: int) -> list[Row]:
        found = await records.due(asked, count=count, after=after)
        return [
            Row(
                [*_cells(visit, one, link(one), words), *(cell(one) for _, cell in more)], one.place
            )
            for one in found.rows
        ]

    columns = (say("Person"), say("Born"), say("What is due"), say("Due"), say("State"))
    return Table(
        title=title,
        headings=[Heading(one) for one in (*columns, *(name for name, _ in more))],
        fetch=fetch,
        filters=_filters(
            visit, [(id_, words(id_, "") if words else told) for id_, told in records.series(plan)]
        ),
        lead=told_progress(visit, await records.due_progress(plan)),
        empty=say("Nobody is due."),
    )


def told_progress(visit: Visit, progress: Progress) -> str:
    """What to know of a list that does not hold everybody yet; empty for one that does."""
    if not progress.is_ready:
        share = f"{progress.share:.0%}"
        return visit.say("This list is being made: %(share)s is done.") % {"share": share}
    if progress.behind:
        return visit.say("Still to be worked out again, as today changes something for them: "
                         "%(n)s.") % {"n": progress.behind}  # fmt: skip
    return ""


def status_words(visit: Visit) -> dict[Status, str]:
    """The statuses of due lists in words."""
    say = visit.say
    return {
        "planned": say("not yet due"),
        "due": say("due"),
        "overdue": say("overdue"),
        "escalated": say("overdue and escalated"),
        "postponed": say("postponed"),
        "excluded": say("not to be done"),
    }


def _asked(visit: Visit, plan: str) -> Asked:
    status, series = visit.asked("status"), visit.asked("series")
    chosen = tuple(one for one in STATUSES if one == status)
    if status and not chosen:
        raise Malformed(
            Sentence("status is one of %(known)s, or left out", known=", ".join(STATUSES))
        )
    if status == "overdue":  # what was told on is overdue all the same
        chosen = _OVERDUE
    return Asked(
        plan=plan,
        statuses=chosen or _LATE,
        series=(series,) if series else (),
        since=visit.asked_day("since"),
        until=visit.asked_day("until"),
    )


def _filters(visit: Visit, series: Sequence[tuple[str, str]]) -> list[Field]:
    say = visit.say
    statuses = [("", say("what is due")), *status_words(visit).items()]
    return [
        Field("status", say("State"), "select", visit.asked("status"), statuses),
        Field("series", say("What is due"), "select", visit.asked("series"),
              [("", say("all")), *series]),
        Field("since", say("Due from"), "date", visit.asked("since")),
        Field("until", say("Due until"), "date", visit.asked("until")),
    ]  # fmt: skip


def _cells(
    visit: Visit, one: Due, link: str, words: Callable[[str, str], str] | None
) -> list[Cell]:
    told = tell_patient(decode(one.patient.body or b"{}"), visit.language, visit.today)
    item = one.item
    return [
        Cell(told.name or visit.say("without a name"), link),
        Cell(told.birth, tag=told.age),
        Cell(words(item.series, item.turn) if words else one.title),
        due_day(visit, item.due),
        Cell(
            status_words(visit)[item.status],  # type: ignore[index]  # of a line, which has these
            is_warning=item.status in _WARNED,
        ),
    ]


def due_day(visit: Visit, due: date | None) -> Cell:
    """A day, and in words how long that is from today; late is a warning in words."""
    if due is None:
        return Cell("")
    left = (due - visit.today).days
    if left == 0:
        return Cell(due.isoformat(), is_number=True, tag=visit.say("today"))
    if abs(left) == 1:
        told = visit.say("tomorrow") if left > 0 else visit.say("1 day late")
    else:
        words = visit.say("in %(n)s days") if left > 0 else visit.say("%(n)s days late")
        told = words % {"n": abs(left)}
    return Cell(due.isoformat(), is_number=True, tag=told, is_warning=left < 0)
