"""The pages of tenants: all of them, one, and its institutions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response

from quanmin.applications.tenants.rows import agreement_row, application_rows, states, tenant_row
from quanmin.base.problems import Invalid
from quanmin.trust.registers.tenants import Member
from quanmin.trust.tenancy import Tenancy
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell, Field
from quanmin.web.sheet import sheet
from quanmin.web.tables import Heading, Table, asked_order, known, table

KEEPERS: Final = Access(frozenset({"operator", "system_administrator"}), is_of_node=True)
_ROWS: Final = 50
_SHEET_ROWS: Final = 500


@table("/tenants", access=KEEPERS, name="tenants")
async def tenants(visit: Visit, records: DeclaredRecords) -> Table:
    """All tenants, of a state or of any."""
    say, asked, headings = visit.say, visit.asked("state"), _headings(visit)
    order = asked_order(visit, headings, "code")
    # A node has as many tenants as its city has counties: they are known whole, and sorted here.
    desk = records.desk(Tenancy)
    found = batch = await desk.list(count=_SHEET_ROWS)
    while len(batch) == _SHEET_ROWS:
        batch = await desk.list(after=batch[-1][0].code, count=_SHEET_ROWS)
        found = [*found, *batch]
    told = [tenant_row(visit, *one) for one in found if asked in {"", one[1]}]
    rows = [
        [
            Cell(one["name"], f"/tenants/{one['code']}"),
            Cell(one["code"]),
            Cell(one["division"], is_number=True),
            *(Cell(one["parent"]), Cell(one["state"])),
            *(Cell(one["since"], is_number=True), Cell(one["until"], is_number=True)),
        ]
        for one in told
    ]
    first = say("This node is not divided among tenants. The first is declared on its machine:")
    return Table(
        title=say("Tenants"),
        lead=say("The agencies of this node. What one's institutions send, another's do not see."),
        headings=headings,
        fetch=known(rows, headings, order),
        filters=[
            Field(
                "state", say("State"), "select", asked, [("", say("any")), *states(visit).items()]
            )
        ],
        order=order,
        empty="" if found else f"{first} quanmin tenants declare",
    )


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    return [
        *(Heading(say("Name of the agency"), "name"), Heading(say("Code"), "code")),
        *(Heading(say("Division"), "division"), Heading(say("Part of"), "parent")),
        Heading(say("State"), "state"),
        *(Heading(say("From"), "from"), Heading(say("Until"), "until")),
    ]


@page("/tenants/{code}", access=KEEPERS)
async def tenant(visit: Visit, records: DeclaredRecords) -> Response:
    """One tenant: its applications, its agreements, its institutions."""
    return await _tenant(visit, records.desk(Tenancy), "")


@page("/tenants/{code}/switch", access=KEEPERS, methods=("POST",))
async def switch(visit: Visit, records: DeclaredRecords) -> Response:
    """Switch an application on or off, from now on."""
    desk, code = records.desk(Tenancy), visit.path("code")
    is_on = visit.sent.get("to") == "on"
    try:
        await desk.switch(code, visit.sent.get("application", "").strip(), is_on=is_on)
    except Invalid as problem:
        return await _tenant(visit, desk, visit.say(problem.text))
    return visit.go(f"/tenants/{code}#applications")


async def _tenant(visit: Visit, desk: Tenancy, problem: str) -> Response:
    whole = await desk.one(visit.path("code"))
    after = visit.asked("after") or None
    found = await desk.members(whole.tenant.code, after=after, count=_ROWS + 1)
    more = visit.here_with(after=found[_ROWS - 1].sender) if len(found) > _ROWS else None
    return visit.page(
        "tenants/tenant.html",
        status=422 if problem else 200,
        one=tenant_row(visit, whole.tenant, whole.state),
        applications=application_rows(visit, whole.switched),
        agreements=[agreement_row(visit, one) for one in whole.agreements],
        members=[_member(visit, one) for one in found[:_ROWS]],
        more=more,
        problem=problem,
    )


@page("/tenants/{code}/members.csv", access=KEEPERS)
async def members_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """Who is of the tenant, as a sheet."""
    desk, code = records.desk(Tenancy), visit.path("code")
    await desk.one(code)
    first = await desk.members(code, count=_SHEET_ROWS)

    async def rows() -> AsyncIterator[list[str]]:
        batch = first
        while batch:
            for one in batch:
                yield list(_member(visit, one).values())
            batch = await desk.members(code, after=batch[-1].sender, count=_SHEET_ROWS)

    say = visit.say
    heading = [
        say("Sender"),
        say("Name of the institution"),
        say("Division"),
        say("Of this tenant by"),
    ]
    return sheet(f"tenant-{code}", heading, rows())


def _member(visit: Visit, one: Member) -> dict[str, str]:
    by = visit.say("a decision") if one.is_decided else visit.say("its division")
    return {"sender": one.sender, "name": one.name, "region": one.region, "by": by}


PAGES: tuple[Page, ...] = (*tenants, tenant, switch, members_sheet)
