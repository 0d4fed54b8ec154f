"""The messages of the cards that the visitor sees, and a refused one sent again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from starlette.responses import Response

from quanmin.base.problems import Malformed, NotFound, Sentence
from quanmin.fhir.json import Json, decode
from quanmin.trust.outgoing import OutgoingMessages, Sent, Status
from quanmin.web import Access, DeclaredRecords, Visit, page
from quanmin.web.forms import Cell, Field, read_number
from quanmin.web.route import Charge
from quanmin.web.tables import Heading, Row, Table, place_number, table
from quanmin.workflow.notifiable import WORKFLOW, receipt_of, told

STAFF: Final = Access(
    frozenset({"public_health_worker"}),
    Charge(frozenset({"infection_report", "head"}), frozenset({"public_health_worker"})),
)
_LABEL: Final = f"{WORKFLOW}|infectious_report"
_PORTION: Final = 100


@table("/direct-reporting", access=STAFF, name="direct-reporting")
async def messages(visit: Visit, records: DeclaredRecords) -> Table:
    """What was told, the newest first, of the cards that the visitor sees."""
    say, words = visit.say, _words(visit)
    asked = visit.asked("status")
    status = next((one for one in get_args(Status) if one == asked), None)
    if asked and status is None:
        raise Malformed(Sentence("a message is %(known)s", known=", ".join(words)))

    async def fetch(after: str, count: int) -> list[Row]:
        found: list[Row] = []
        before = place_number(after) if after else None
        while len(found) < count:
            listed = await _listed(records, status, before)
            cases = await _cases(records, listed)
            found += [_row(visit, one, cases[one.task], words) for one in listed
                      if one.task in cases]  # fmt: skip
            if len(listed) < _PORTION:
                break
            before = listed[-1].number
        return found[:count]

    choices = [("", say("All")), *words.items()]
    headings = (say("Disease"), say("Receipt"), say("Told"), say("State"), say("Answer"))
    return Table(
        title=say("Told to the national direct-reporting system"),
        headings=[Heading(one) for one in headings],
        fetch=fetch,
        filters=[Field("status", say("State"), "select", asked, choices)],
        empty=say("Nothing was told."),
        actions=[(say("What it has answered since"), "/direct-reporting/answers")],
    )


@table("/direct-reporting/answers", access=STAFF, name="direct-reporting-answers")
async def answers(visit: Visit, records: DeclaredRecords) -> Table:
    """What the national system has done with cards since, of those that the visitor sees."""
    say, desk = visit.say, records.desk(OutgoingMessages)
    kinds, stands = _kinds(visit), _outcomes(visit)

    async def fetch(after: str, count: int) -> list[Row]:
        found: list[Row] = []
        more: dict[str, Any] = {"before": place_number(after)} if after else {}
        while len(found) < count:
            listed = list(await desk.answered(_LABEL, count=_PORTION, **more))
            cases = await _cases(records, listed)
            for one in listed:
                if one.task in cases:
                    task, is_refused = cases[one.task], one.status == "refused"
                    cells = [
                        Cell(told(task, visit.language), f"/infectious/{one.task}"),
                        Cell(receipt_of(task)),
                        Cell(visit.moment(one.at), is_number=True),
                        Cell(kinds.get(one.kind, one.kind)),
                        Cell(stands.get(one.why or one.status, one.why), is_warning=is_refused),
                    ]
                    found.append(Row(cells, str(one.number)))
            if len(listed) < _PORTION:
                break
            more = {"before": listed[-1].number}
        return found[:count]

    headings = (say("Disease"), say("Receipt"), say("When"), say("Done there"), say("Done here"))
    return Table(
        title=say("Answered by the national direct-reporting system"),
        headings=[Heading(one) for one in headings],
        fetch=fetch,
        empty=say("Nothing was answered."),
    )


@page("/direct-reporting/{number}", access=STAFF, methods=("GET", "POST"))
async def message(visit: Visit, records: DeclaredRecords) -> Response:
    """One message, and a button that sends it again if it was refused."""
    number = read_number(visit.path("number")) or 0
    listed = await records.desk(OutgoingMessages).listed(_LABEL, None, before=number + 1, count=1)
    cases = await _cases(records, listed)
    if not listed or listed[0].number != number or listed[0].task not in cases:
        raise NotFound("there is no such message of a card that you see")
    if visit.request.method == "POST":
        await records.desk(OutgoingMessages).resend(number)
        return visit.go(f"/direct-reporting/{number}")
    one, task = listed[0], cases[listed[0].task]
    return visit.page(
        "direct_reporting/message.html",
        title=told(task, visit.language),
        receipt=receipt_of(task),
        card=f"/infectious/{one.task}",
        one=one,
        at=visit.moment(one.made_at),
        stands=_words(visit)[one.status],
    )


async def _listed(
    records: DeclaredRecords, status: Status | None, before: int | None
) -> list[Sent]:
    desk = records.desk(OutgoingMessages)
    more: dict[str, Any] = {} if before is None else {"before": before}
    return list(await desk.listed(_LABEL, status, count=_PORTION, **more))


async def _cases(records: DeclaredRecords, listed: Any) -> Mapping[str, Json]:
    """The cases of messages, as far as the visitor sees them, by id."""
    ids = sorted({one.task for one in listed})
    if not ids:
        return {}
    hits = await records.find("Task", ("_id", ",".join(ids)), count=len(ids))
    return {stored.id: decode(stored.body or b"{}") for stored in hits.matches}


def _row(visit: Visit, one: Sent, task: Json, words: Mapping[str, str]) -> Row:
    is_refused = one.status == "refused"
    cells = [
        Cell(told(task, visit.language), f"/direct-reporting/{one.number}"),
        Cell(receipt_of(task)),
        Cell(visit.moment(one.made_at), is_number=True),
        Cell(words[one.status], tag=visit.say("to be mended") if is_refused else "",
             is_warning=is_refused),
        Cell(one.said),
    ]  # fmt: skip
    return Row(cells, str(one.number))


def _kinds(visit: Visit) -> dict[str, str]:
    say = visit.say
    return {
        "confirmed": say("confirmed"),
        "returned": say("returned"),
        "revised": say("revised"),
        "void": say("declared void"),
    }


def _outcomes(visit: Visit) -> dict[str, str]:
    say = visit.say
    return {
        "taken": say("done"),
        "state": say("nothing to do: the card has gone on"),
        "same": say("nothing to do: the card says so already"),
        "unknown-kind": say("not done: an answer of a kind that is not known here"),
        "unknown-case": say("not done: there is no such card"),
        "not-as-it-should-be": say("not done: a card may not say this"),
        "taken-by-others": say("not done: others were at work on the card"),
    }


def _words(visit: Visit) -> dict[str, str]:
    say = visit.say
    return {
        "waiting": say("waits to be told"),
        "sent": say("taken"),
        "refused": say("refused"),
        "needless": say("not needed any more"),
    }


PAGES: Final[tuple[Any, ...]] = (*messages, *answers, message)
