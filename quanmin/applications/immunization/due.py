"""Who is due, and who is late, among those whom the institution has registered."""

from __future__ import annotations

from typing import Final

from quanmin.applications.immunization.children import STAFF
from quanmin.trust.due import Asked
from quanmin.web import DeclaredRecords, Page, Visit, Work
from quanmin.web.cases import asking
from quanmin.web.due_lists import due_table
from quanmin.web.tables import Table, table
from quanmin.workflow.vaccination import word

DUE: Final = "/vaccination/due"
PLAN: Final = "immunization"
_CENTRE: Final = "J"  # disease control (WS 218), which is told of who stays late


@table(DUE, access=STAFF, name="vaccination-due")
async def due(visit: Visit, records: DeclaredRecords) -> Table:
    """Who is to be vaccinated; with `status=overdue` who has missed it."""

    def said(series: str, turn: str) -> str:
        words = word("series", series, visit.language)
        return f"{words} {turn.rpartition('-')[2]}" if turn else words

    return await due_table(
        visit,
        records,
        PLAN,
        visit.say("Who is due"),
        lambda one: f"/vaccination/of/{one.patient.id}",
        institution=await _registrar(visit),
        words=said,
    )


async def _registrar(visit: Visit) -> str:
    """Whose registrations somebody looks after: a vaccination point those of its own, a centre
    ("") all whom it sees.
    """
    actor = (await asking(visit)).actor
    return "" if actor.place.kind == _CENTRE else actor.sender


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Doses that are late."""
    if visit.actor is None or not visit.standing or not STAFF.opens_to(visit.actor, visit.standing):
        return []
    most = visit.house.settings.work_count_max + 1
    registrar = await _registrar(visit)
    asked = Asked(plan=PLAN, statuses=("overdue", "escalated"), institution=registrar)
    found = await records.due_statuses(asked, most=most)
    words = visit.say("doses that are late")
    return [Work(words=words, link=f"{DUE}?status=overdue", number=len(found))]


PAGES: Final[tuple[Page, ...]] = due
