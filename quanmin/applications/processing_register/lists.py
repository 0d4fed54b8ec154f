"""The lists of the processing register: all entries, to print too, and what is part of which."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from quanmin.applications.processing_register.telling import (
    found_uses,
    kinds,
    labels,
    may_write,
    told_entry,
)
from quanmin.trust.lifecycle.activities import ProcessingRegister
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell, Field
from quanmin.web.tables import Heading, Table, asked_order, known, table

READERS: Final = Access(
    frozenset({"operator", "supervisor", "security_administrator", "audit_administrator"}),
    is_of_node=True,
)
LIST: Final = "/processing_register"
USES: Final = f"{LIST}/uses"


@table(LIST, access=READERS, name="processing-register")
async def entries(visit: Visit, records: DeclaredRecords) -> Table:
    """All entries; those whose assessment is missing or due again are marked."""
    desk, say, asked = records.desk(ProcessingRegister), visit.say, visit.asked("state")
    headings = _headings(visit)
    order = asked_order(visit, headings)
    told = [told_entry(visit, one) for one in await desk.entries()]
    gaps = sum(not one.activity for one in await found_uses(visit, desk))
    lacking = say("Things of this node that are part of no entry:")
    choices = (("", say("any")), ("in-force", say("in force")), ("ended", say("ended")),
               ("overdue", say("Assessments that are due")))  # fmt: skip
    actions = [
        (say("What is part of which entry"), USES),
        (say("To print"), f"{LIST}/print"),
    ]
    if may_write(visit):
        actions.insert(0, (say("New entry"), f"{LIST}/edit"))
    return Table(
        title=say("Processing register"),
        warning=f"{lacking} {gaps}" if gaps else "",
        headings=headings,
        fetch=known([_row(visit, one) for one in told if asked in _states(one)], headings, order),
        filters=[Field("state", say("State"), "select", asked, choices)],
        order=order,
        empty=say("No entry is to be shown."),
        actions=actions,
    )


@page(f"{LIST}/print", access=READERS)
async def printed(visit: Visit, records: DeclaredRecords) -> Response:
    """The whole register, to be printed or kept as PDF."""
    found = await records.desk(ProcessingRegister).entries()
    rows = [told_entry(visit, one) for one in found]
    return visit.page("processing_register/print.html", rows=rows)


@table(USES, access=READERS, name="processing-uses")
async def uses(visit: Visit, records: DeclaredRecords) -> Table:
    """What of the node is part of which entry; what is part of none stands first."""
    say, may_assign = visit.say, may_write(visit)
    headings = [
        *(Heading(say("Kind"), "kind"), Heading(say("Name or code"), "name")),
        Heading(say("Register entry"), "entry"),
        Heading(say("Change"), where="page"),
    ]
    order = asked_order(visit, headings)
    rows = []
    for one in await found_uses(visit, records.desk(ProcessingRegister)):
        way = f"{LIST}/assign?{urlencode({'kind': one.kind, 'name': one.name})}"
        entry = f"{LIST}/entry/{one.activity}"
        lacks = Cell("", tag=say("none"), is_warning=True)
        rows.append(
            [
                Cell(kinds(visit).get(one.kind, one.kind)),
                Cell(one.name),
                Cell(one.activity, entry) if one.activity else lacks,
                Cell(say("Assign"), way) if may_assign and not one.activity else Cell(""),
            ]
        )
    return Table(
        title=say("What is part of which entry"),
        lead=say("Everything that works with personal data is part of an entry of the register."),
        headings=headings,
        fetch=known(rows, headings, order),
        order=order,
        actions=[(say("To the register"), LIST)],
    )


def _headings(visit: Visit) -> list[Heading]:
    say = visit.say
    return [
        *(Heading(say("Title"), "title"), Heading(say("Entry code"), where="sheet")),
        *(Heading(say("State"), "state"), Heading(say("Version"), "version")),
        Heading(say("Valid since"), "since"),
        *(Heading(label, where="sheet") for _, label in labels(visit)[1:]),
    ]


def _row(visit: Visit, one: dict[str, Any]) -> list[Cell]:
    due = visit.say("assessment due") if one["is_overdue"] else ""
    return [
        Cell(one["title"], f"{LIST}/entry/{one['code']}"),
        Cell(one["code"]),
        Cell(one["state"], tag=due, is_warning=bool(due)),
        Cell(str(one["version"]), is_number=True),
        Cell(one["since"], is_number=True),
        *(Cell(words) for _, words in one["fields"][1:]),
    ]


def _states(one: dict[str, Any]) -> set[str]:
    """By which choices of the filter an entry is found."""
    state = "in-force" if one["is_in_force"] else "ended"
    return {"", state, *(["overdue"] if one["is_overdue"] else [])}


PAGES: Final[tuple[Page, ...]] = (*entries, printed, *uses)
