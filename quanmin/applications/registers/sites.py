"""Where an institution gives its services: its sites, from when to when."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.applications.registers.pages import KEEPERS, KEEPING
from quanmin.base.problems import NotFound
from quanmin.trust import Stored
from quanmin.trust.registers import Institution
from quanmin.trust.registers.drafting import ended_site, site_body, site_period
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.forms import (
    Cell,
    Field,
    Sent,
    asked_day,
    confirm_page,
    form_page,
    is_confirmed,
)
from quanmin.web.tables import Heading, Table, asked_order, known, table

_SITES: Final = "/registers/institutions/{code}/sites"
_SITES_AT_ONCE: Final = 500


@table(_SITES, access=KEEPERS, name="sites")
async def sites(visit: Visit, records: DeclaredRecords) -> Table:
    """The sites of an institution on a day."""
    now = await _institution(visit, records)
    here = f"/registers/institutions/{now.code}/sites"
    day, fault = asked_day(visit)
    is_keeper = visit.actor is not None and KEEPING.admits(visit.actor.role)
    actions = [(visit.say("To the institution"), f"/registers/institutions/{now.code}")]
    if is_keeper:
        actions.insert(0, (visit.say("Enter a site"), f"{here}/new"))
    headings = _headings(visit)
    order = asked_order(visit, headings)
    rows = await _rows(visit, records, now, day or visit.today, is_keeper=is_keeper)
    return Table(
        title=visit.say("Sites"),
        lead=now.name,
        headings=headings,
        fetch=known(rows, headings, order),
        order=order,
        filters=[Field("day", visit.say("As of the day (empty: now)"), "date", visit.asked("day"))],
        fault=fault,
        empty=visit.say("On this day it has no site: ask as of another one."),
        actions=actions,
    )


@page(f"{_SITES}/new", access=KEEPING, methods=("GET", "POST"))
async def enter_site(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter a site."""
    now = await _institution(visit, records)
    back, title = f"/registers/institutions/{now.code}/sites", visit.say("Enter a site")
    say, button = visit.say, visit.say("Enter")
    fields = [
        Field("name", say("Name"), is_needed=True),
        Field("address", say("Address"), is_needed=True),
        Field("from", say("From (first day)"), "date", visit.today.isoformat(), is_needed=True),
    ]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back, lead=now.name)
    sent = Sent(visit)
    name = sent.text("name", is_needed=True)
    address = sent.text("address", is_needed=True)
    first = sent.day("from", is_needed=True)
    if sent.is_sound and first is not None:
        body = site_body(now.id, name, address, first)
        with sent.blaming({"name": "name", "address": "address"}):
            await records.create("Location", msgspec.json.encode(body))
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


@page(f"{_SITES}/{{id}}/end", access=KEEPING, methods=("GET", "POST"))
async def end_site(visit: Visit, records: DeclaredRecords) -> Response:
    """End a site after a day."""
    now = await _institution(visit, records)
    back = f"/registers/institutions/{now.code}/sites"
    stored = await records.read("Location", visit.path("id"))
    body: dict[str, Any] = msgspec.json.decode(stored.body or b"{}")
    if body.get("managingOrganization", {}).get("reference") != f"Organization/{now.id}":
        raise NotFound("this institution has no such site")
    title, button = visit.say("End the site"), visit.say("End")
    fields = [Field("until", visit.say("Until (last day)"), "date", visit.today.isoformat())]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back, lead=body.get("name", ""))
    sent = Sent(visit)
    last = sent.day("until", is_needed=True)
    if sent.is_sound and last is not None:
        if not is_confirmed(visit):
            said = f"{body.get('name', '')}{visit.colon}{last.isoformat()}"
            after = visit.say("After that day it is no site of the institution any more.")
            return confirm_page(visit, title, [said, after], back=back)
        with sent.blaming({"until": "until"}):
            draft = ended_site(body, last)
            await records.update(
                "Location", stored.id, msgspec.json.encode(draft), if_match=stored.version
            )
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


async def _institution(visit: Visit, records: DeclaredRecords) -> Institution:
    history = await records.institution_history(visit.path("code"))
    if not history:
        raise NotFound("no institution of the register has this code")
    return history[-1]


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    return [
        *(Heading(say("Name"), "name"), Heading(say("Address"), "address")),
        *(Heading(say("From"), "from"), Heading(say("Until"), "until")),
        Heading(say("Change"), where="page"),
    ]


async def _rows(
    visit: Visit, records: DeclaredRecords, now: Institution, on: date, *, is_keeper: bool
) -> list[list[Cell]]:
    day, rows = on.isoformat(), []
    for stored in await _all(records, now):
        body: dict[str, Any] = msgspec.json.decode(stored.body or b"{}")
        first, last = site_period(body)
        if (last and last < day) or first > day or (body.get("status") != "active" and not last):
            continue
        end = f"/registers/institutions/{now.code}/sites/{stored.id}/end"
        rows.append(
            [
                Cell(body.get("name", "")),
                Cell((body.get("address") or {}).get("text", "")),
                Cell(first, is_number=True),
                Cell(last, is_number=True),
                *([Cell(visit.say("End the site"), end)] if is_keeper and not last else [Cell("")]),
            ]
        )
    return rows


async def _all(records: DeclaredRecords, now: Institution) -> list[Stored]:
    """All that ever were its sites; how many at once is asked for makes no difference."""
    wanted, found = ("organization", f"Organization/{now.id}"), list[Stored]()
    cursor: str | None = None
    while True:
        hits = await records.find("Location", wanted, count=_SITES_AT_ONCE, cursor=cursor)
        found += hits.matches
        if (cursor := hits.next) is None:
            return found


PAGES: Final[tuple[Page, ...]] = (*sites, enter_site, end_site)
