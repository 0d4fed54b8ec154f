"""The pages of messages: the queue, and sending a refused one again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response

from quanmin.base.problems import Conflict, NotFound
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.sheet import sheet
from quanmin.workflow.notices import Messages, Queued
from quanmin.workflow.notices.queue import STATES, MessageState

KEEPERS: Final = Access(frozenset({"operator", "system_administrator"}), is_of_node=True)
_ROWS: Final = 50
_SHEET_ROWS: Final = 500
_NUMBER_LENGTH_MAX: Final = 18


@page("/messages", access=KEEPERS, methods=("GET", "POST"))
async def queue(visit: Visit, records: DeclaredRecords) -> Response:
    """Refused messages first, others as asked; by POST one is sent again."""
    desk, fault = records.desk(Messages), ""
    if visit.request.method == "POST":
        try:
            await desk.resend(_number(visit.sent.get("message", "")))
        except (Conflict, NotFound):
            fault = visit.say("This message was sent again before, or is refused no more.")
        else:
            return visit.go("/messages")
    state = _state(visit)
    if visit.asked("as") == "csv":
        return _sheet(visit, desk, state)
    before = _number(visit.asked("before"))
    found = await (
        desk.listed(state, before=before, count=_ROWS + 1)
        if before
        else desk.listed(state, count=_ROWS + 1)
    )
    shown = found[:_ROWS]
    return visit.page(
        "messages/list.html",
        status=409 if fault else 200,
        fault=fault,
        heading=_heading(visit),
        rows=[(one, _row(visit, one)) for one in shown],
        states=[(code, _states(visit)[code]) for code in STATES],
        state=state,
        more=visit.here_with(before=str(shown[-1].number)) if len(found) > _ROWS else "",
        csv=visit.here_with(**{"as": "csv", "before": ""}),
    )


def _sheet(visit: Visit, desk: Messages, state: MessageState) -> Response:
    async def rows() -> AsyncIterator[list[str]]:
        found = await desk.listed(state, count=_SHEET_ROWS)
        while found:
            for one in found:
                yield _row(visit, one)
            found = await desk.listed(state, before=found[-1].number, count=_SHEET_ROWS)

    return sheet("messages", _heading(visit), rows())


def _heading(visit: Visit) -> list[str]:
    say = visit.say
    return [say("Number"), say("Made"), say("Account"), say("Channel"), say("Notices"),
            say("State"), say("Attempts"), say("Reason")]  # fmt: skip


def _row(visit: Visit, one: Queued) -> list[str]:
    channels = {
        "sms": visit.say("Text message"),
        "mini-program": visit.say("Mini-program"),
        "mail": visit.say("Mail"),
    }
    return [
        str(one.number),
        visit.moment(one.made_at),
        one.account,
        channels[one.channel],
        str(one.count),
        _states(visit)[one.state],
        str(one.attempts),
        one.reason,
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


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _NUMBER_LENGTH_MAX
    return int(text) if is_number else 0


PAGES: tuple[Page, ...] = (queue,)
