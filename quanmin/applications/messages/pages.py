"""The pages of messages: the queue, and sending a refused one again."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from quanmin.base.problems import Conflict, NotFound
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Cell, Field, Sent, form_page, read_number
from quanmin.web.tables import Heading, Row, Table, place_number, table
from quanmin.workflow.notices import Messages, Queued
from quanmin.workflow.notices.queue import STATES, MessageState

KEEPERS: Final = Access(frozenset({"operator", "system_administrator"}), is_of_node=True)
LIST: Final = "/messages"


@table(LIST, access=KEEPERS, name="messages")
async def queue(visit: Visit, records: DeclaredRecords) -> Table:
    """Refused messages, or others as asked, the newest first."""
    desk, state, say = records.desk(Messages), _state(visit), visit.say

    async def fetch(after: str, count: int) -> list[Row]:
        before = {"before": place_number(after)} if after else {}
        found = await desk.listed(state, **before, count=count)
        return [Row(_row(visit, one), str(one.number)) for one in found]

    words = (say("Number"), say("Made"), say("Account"), say("Channel"), say("Notices"),
             say("State"), say("Attempts"), say("Reason"))  # fmt: skip
    states = [(code, _states(visit)[code]) for code in STATES]
    return Table(
        title=say("Messages"),
        headings=[*map(Heading, words), Heading(say("What to do"), where="page")],
        fetch=fetch,
        filters=[Field("state", say("State"), "select", visit.asked("state") or state, states)],
        empty=say("No message is in this state."),
    )


@page(f"{LIST}/{{number}}/again", access=KEEPERS, methods=("GET", "POST"))
async def again(visit: Visit, records: DeclaredRecords) -> Response:
    """Send a refused message again."""
    say, number = visit.say, read_number(visit.path("number")) or 0
    title, sent = say("Send the message again"), Sent(visit)
    if visit.request.method == "POST":
        try:
            await records.desk(Messages).resend(number)
        except (Conflict, NotFound):
            sent.general = say("This message was sent again before, or is refused no more.")
        else:
            return visit.go(LIST)
    return form_page(
        visit,
        title,
        [],
        button=title,
        back=LIST,
        lead=say("It is tried anew, as often as a new one."),
        sent=sent if sent.general else None,
    )


def _row(visit: Visit, one: Queued) -> list[Cell]:
    channels = {
        "sms": visit.say("Text message"),
        "mini-program": visit.say("Mini-program"),
        "mail": visit.say("Mail"),
    }
    way = f"{LIST}/{one.number}/again" if one.state == "refused" else ""
    return [
        Cell(str(one.number), is_number=True),
        Cell(visit.moment(one.made_at), is_number=True),
        Cell(one.account),
        Cell(channels[one.channel]),
        Cell(str(one.count), is_number=True),
        Cell(_states(visit)[one.state]),
        Cell(str(one.attempts), is_number=True),
        Cell(one.reason),
        Cell(visit.say("Send the message again") if way else "", way),
    ]


def _states(visit: Visit) -> dict[MessageState, str]:
    return {
        "waiting": visit.say("waiting"),
        "sent": visit.say("sent"),
        "refused": visit.say("refused"),
        "needless": visit.say("not needed any more"),
    }


def _state(visit: Visit) -> MessageState:
    asked = visit.asked("state")
    return asked if asked in STATES else "refused"


PAGES: tuple[Page, ...] = (*queue, again)
