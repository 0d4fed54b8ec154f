"""The box in which staff name a person by their identity number, and go on to what an application
has about them; residents and guardians go on to their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from starlette.responses import Response

from quanmin.fhir.identity_number import rule
from quanmin.trust import Stored
from quanmin.web.records import DeclaredRecords
from quanmin.web.visit import Visit
from quanmin.web.work import Work, ask_all

IDENTITY: Final = rule().number.systems[0]
"""The usual system of identity numbers (GB 11643)."""
_FOUND_MAX: Final = 50


async def registrations(
    visit: Visit, records: DeclaredRecords, number: str
) -> tuple[list[Stored], list[Stored]]:
    """The registrations under an identity number: at the visitor's own institution, and all."""
    if not (number.isascii() and number.isalnum()):
        return [], []
    asked = ("identifier", f"{IDENTITY}|{number}")
    found = list((await records.find("Patient", asked, count=_FOUND_MAX)).matches)
    senders = await records.senders(found)
    sender = visit.actor.sender if visit.actor else ""
    return [one for one in found if senders[one.facts.sender].code == sender], found


async def person_box(
    visit: Visit,
    records: DeclaredRecords,
    title: str,
    to: str,
    links: Sequence[tuple[str, str]] = (),
    *,
    is_own: bool,
) -> Response:
    """The page of the box, with links (words, path) and what waits in the application below it; or
    on to the path `to`, `{}` in it for the Patient that was named, at the visitor's own institution
    if there is one.
    """
    is_asked, number = visit.request.method == "POST", visit.sent.get("term", "").strip().upper()
    if is_own:
        found = list((await records.find("Patient", count=1)).matches)
    elif is_asked:
        here, every = await registrations(visit, records, number)
        found = here or every
    else:
        found = []
    if found:
        return visit.go(to.format(found[0].id))
    return visit.page(
        "kit/person_box.html",
        status=422 if is_asked else 200,
        title=title,
        links=links,
        is_asked=is_asked,
        is_own=is_own,
        work=[] if is_own else await _work(visit, records),
        cap=visit.house.settings.work_count_max,
    )


async def _work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """What waits in the application of the page; nothing where it does not say so in time."""
    own = visit.application
    if own is None or own.work is None:
        return []
    asking = [(own.name, partial(own.work, visit, records))]
    seconds_max = visit.house.settings.work_seconds_max
    return [
        one for told in await ask_all(asking, seconds_max=seconds_max) for one in told.work or ()
    ]
