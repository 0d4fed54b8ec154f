"""Who is due at an institution, by disease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from quanmin.web import Asked, DeclaredRecords, Visit, Work
from quanmin.web.chronic import HOME, STAFF, asked_disease, diseases, is_staff
from quanmin.web.due_lists import due_table
from quanmin.web.forms import Field
from quanmin.web.tables import Table, table
from quanmin.workflow.chronic import word

_DUE: Final = f"{HOME}/due"


@table(_DUE, access=STAFF, name="chronic-due")
async def due(visit: Visit, records: DeclaredRecords) -> Table:
    """Who of the visitor's institution is due for a visit, a test or an examination."""
    disease, language = asked_disease(visit), visit.language
    sender = visit.actor.sender if visit.actor else ""

    def words(series: str, turn: str) -> str:
        name = word("series", series, language)
        said = word("turn", turn, language) if turn else ""
        return f"{name} · {said}" if said and said != turn else name

    made = await due_table(
        visit,
        records,
        f"chronic_people.{disease}",
        visit.say("Who is due"),
        lambda one: f"{HOME}/of/{one.patient.id}",
        institution=sender,
        words=words,
    )
    chosen = Field("disease", visit.say("Disease"), "select", disease, diseases(visit))
    return _with(made, [chosen, *made.filters])


def _with(made: Table, filters: Sequence[Field]) -> Table:
    return Table(
        title=made.title,
        headings=made.headings,
        fetch=made.fetch,
        filters=filters,
        lead=made.lead,
        empty=made.empty,
    )


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Whose visit is due, for those who are charged with it."""
    if not is_staff(visit):
        return []
    found, title = [], visit.say("Visits that are due")
    sender = visit.actor.sender if visit.actor else ""
    most = visit.house.settings.work_count_max + 1
    for disease, name in diseases(visit):
        series = f"{disease}-follow-up"
        asked = Asked(plan=f"chronic_people.{disease}", series=(series,), institution=sender)
        statuses = await records.due_statuses(asked, most=most)
        late = sum(status != "due" for status in statuses)
        link = f"{_DUE}?{urlencode({'disease': disease, 'series': series})}"
        words = f"{title}{visit.colon}{name}"
        found.append(Work(words=words, link=link, number=len(statuses), late=late))
    return found


PAGES: Final = due
