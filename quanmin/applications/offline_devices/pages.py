"""The devices of everybody, and revoking one."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from starlette.responses import Response

from quanmin.base.problems import Malformed, NotFound
from quanmin.trust.devices import Device, Devices, read_id
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell, Sent, form_page
from quanmin.web.tables import Heading, Row, Table, place_number, table

KEEPERS: Final = Access(frozenset({"security_administrator"}), is_of_node=True)
LIST: Final = "/offline-devices"


@table(LIST, access=KEEPERS, name="devices")
async def devices(visit: Visit, records: DeclaredRecords) -> Table:
    """The devices of everybody, those enrolled last first."""
    desk, say = records.desk(Devices), visit.say

    async def fetch(after: str, count: int) -> list[Row]:
        found = await desk.everybodys(**_place(after), count=count)
        return [Row(_row(visit, one), f"{one.enrolled_at}.{one.id}") for one in found]

    words = (say("Who"), say("Device"), say("Enrolled"), say("Last heard of"),
             say("Holds people until"), say("Revoked"))  # fmt: skip
    return Table(
        title=say("Offline devices"),
        lead=say("A device that is revoked is given nothing, and destroys what it holds when it"
                 " next has a connection."),
        headings=[*map(Heading, words), Heading(say("What to do"), where="page")],
        fetch=fetch,
        empty=say("Nobody takes people along on a device."),
    )  # fmt: skip


def _place(after: str) -> dict[str, tuple[int, UUID]]:
    if not after:
        return {}
    enrolled, _, id_ = after.partition(".")
    device = read_id(id_)
    if device is None:
        raise Malformed("this list has no such place: open it anew")
    return {"after": (place_number(enrolled), device)}


def _row(visit: Visit, one: Device) -> list[Cell]:
    return [
        Cell(f"{one.holder} ({one.actor})"),
        Cell(one.name),
        *(_moment(visit, at) for at in (one.enrolled_at, one.seen_at, one.until_at)),
        _moment(visit, one.revoked_at),
        Cell("") if one.revoked_at else Cell(visit.say("Revoke"), f"{LIST}/{one.id}/revocation"),
    ]


def _moment(visit: Visit, at: int | None) -> Cell:
    return Cell("" if at is None else visit.moment(at), is_number=True)


@page(f"{LIST}/{{device}}/revocation", access=KEEPERS, methods=("GET", "POST"))
async def revoke(visit: Visit, records: DeclaredRecords) -> Response:
    """Revoke a device, whosever it is."""
    say, device = visit.say, read_id(visit.path("device"))
    title, sent = say("Revoke the device"), Sent(visit)
    if device is None:
        raise NotFound("no page has this address")
    if visit.request.method == "POST":
        try:
            await records.desk(Devices).revoke(device, is_own=False)
        except NotFound:
            sent.general = say("There is no such device, or it was revoked before.")
        else:
            return visit.go(LIST)
    return form_page(
        visit,
        title,
        [],
        button=title,
        back=LIST,
        lead=say("What was filled in on it and not sent is lost. Whether somebody is signed in on"
                 " it, their account says."),
        sent=sent if sent.general else None,
    )  # fmt: skip


PAGES: Final[tuple[Page, ...]] = (*devices, revoke)
