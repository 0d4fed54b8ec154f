"""Finding a person, and where the follow-up of one stands."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from quanmin.applications.mental_register.lists import PLAN, series_word
from quanmin.applications.mental_register.rules import has_visits_enough
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.due_lists import due_day, status_words
from quanmin.web.forms import Cell
from quanmin.web.mental_health import HOME, READING, Kept, is_own, read_kept, stating
from quanmin.web.person_box import person_box
from quanmin.workflow.mental import DISORDERS, coded, number, word


@page(f"{HOME}/find", access=READING, methods=("GET", "POST"))
async def find(visit: Visit, records: DeclaredRecords) -> Response:
    """The box for staff; residents and guardians go on to their own page."""
    say, records = visit.say, stating(visit, records)
    title, to = say("Severe mental disorders"), f"{HOME}/of/{{}}"
    links = [(say("Register a person here"), "/registration")]
    return await person_box(visit, records, title, to, links, is_own=is_own(visit))


@page(f"{HOME}/of/{{patient}}", access=READING)
async def show(visit: Visit, records: DeclaredRecords) -> Response:
    """Where the follow-up of a person stands: what is due, and what the visits found."""
    records, least = stating(visit, records), number("visits_a_year")
    kept = await read_kept(visit, records, visit.path("patient"))
    days, since = kept.days, kept.since
    enough = has_visits_enough(visits=days, since=since, day=visit.today, least=least)
    return visit.page(
        "mental_register/person.html",
        person=kept.person,
        is_staff=not is_own(visit),
        plan=kept.plan,
        plans=[
            (
                word("disorder", coded(one["category"], DISORDERS), visit.language),
                one.get("period", {}),
                one["status"] == "active",
            )
            for one in kept.plans
        ],
        due=await _due(visit, records, kept),
        is_few=kept.plan is not None and not enough.allowed,
        least=least,
        visits=kept.told(visit.language),
    )


async def _due(visit: Visit, records: DeclaredRecords, kept: Kept) -> list[tuple[str, Cell, str]]:
    """What is due of the person, the day, and how that stands."""
    if kept.plan is None:
        return []
    words = {str(code): told for code, told in status_words(visit).items()}
    found = await records.schedule(kept.person.id, PLAN)
    return [
        (series_word(visit, one.series), due_day(visit, one.due), words[one.status])
        for one in found.items
        if one.due is not None and one.status in words
    ]


PAGES: Final[tuple[Page, ...]] = (find, show)
