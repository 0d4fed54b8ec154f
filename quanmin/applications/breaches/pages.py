"""The pages of incidents: all of them, a new one, one with its steps, its report and its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import Conflict, Forbidden, Invalid, Issue, NotFound, Problem, Sentence
from quanmin.trust.lifecycle.incidents import Incident, Incidents, Numbers, Scope, incident_rules
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work, page
from quanmin.web.forms import Cell, Field, read_number
from quanmin.web.labels import tell_type
from quanmin.web.sheet import sheet
from quanmin.web.tables import Heading, Table, asked_order, known, table

KEEPERS: Final = Access(frozenset({"security_administrator"}), is_of_node=True)
_LISTS: Final = ("actors", "clients", "senders")


@table("/breaches", access=KEEPERS, name="incidents")
async def incidents(visit: Visit, records: DeclaredRecords) -> Table:
    """All incidents, what is late marked."""
    say, asked = visit.say, visit.asked("state")
    headings = [
        Heading(say("What it is"), "title"),
        Heading(say("Number"), where="sheet"),
        *(Heading(say("State"), "state"), Heading(say("Opened"), "opened")),
        Heading(say("Authority to be told by"), "report"),
        Heading(say("Persons to be told by"), "tell"),
    ]
    order = asked_order(visit, headings)
    rows = [
        _cells(visit, _row(visit, one))
        for one in await records.desk(Incidents).all()
        if not asked or (asked == "closed") == bool(one.closed_at)
    ]
    states = [("", say("any")), ("open", say("open")), ("closed", say("closed"))]
    return Table(
        title=say("Incidents"),
        headings=headings,
        fetch=known(rows, headings, order),
        filters=[Field("state", say("State"), "select", asked, states)],
        order=order,
        empty=say("There has been no such incident."),
        actions=[(say("Open an incident"), "/breaches/new")],
    )


def _cells(visit: Visit, one: dict[str, Any]) -> list[Cell]:
    clocks = (
        ("report_due", "is_reported", "report_late"),
        ("tell_due", "is_told", "tell_late"),
    )
    return [
        Cell(one["title"], f"/breaches/{one['number']}"),
        Cell(str(one["number"]), is_number=True),
        Cell(one["state"]),
        Cell(one["opened"], is_number=True),
        *(
            Cell(
                one[due],
                is_number=True,
                tag=visit.say("done") if one[done] else visit.say("late") if one[late] else "",
                is_warning=one[late] and not one[done],
            )
            for due, done, late in clocks
        ),
    ]


@page("/breaches/new", access=KEEPERS, methods=("GET", "POST"))
async def new(visit: Visit, records: DeclaredRecords) -> Response:
    """The form, and what it opens."""
    if visit.request.method == "GET":
        return _form(visit, {}, None)
    sent = visit.sent
    try:
        parts = {one.code: sent.get(one.code, "") for one in incident_rules().part}
        scope = Scope(
            _moment(visit, sent.get("since", ""), "since"),
            _moment(visit, sent.get("until", ""), "until"),
            *(tuple(sent.get(name, "").split()) for name in _LISTS),
        )
        number = await records.desk(Incidents).open(sent.get("title", ""), parts, scope)
    except Invalid as problem:
        return _form(visit, sent, problem)
    return visit.go(f"/breaches/{number}")


def _form(visit: Visit, sent: dict[str, str], problem: Problem | None) -> Response:
    return visit.page(
        "breaches/new.html",
        status=200 if problem is None else problem.status,
        sent=sent,
        problem=problem,
        parts=[(one.code, _word(visit, one)) for one in incident_rules().part],
        letters_max=incident_rules().definition.letters_max,
    )


@page("/breaches/{number}", access=KEEPERS)
async def incident(visit: Visit, records: DeclaredRecords) -> Response:
    """One incident: what it concerns in numbers, what was done, what may be done."""
    return await _incident(visit, records.desk(Incidents), None, "breaches/incident.html")


@page("/breaches/{number}/report", access=KEEPERS)
async def report(visit: Visit, records: DeclaredRecords) -> Response:
    """The same as a report, to be printed or kept as PDF."""
    return await _incident(visit, records.desk(Incidents), None, "breaches/report.html")


@page("/breaches/{number}/take", access=KEEPERS, methods=("POST",))
async def take(visit: Visit, records: DeclaredRecords) -> Response:
    """Take a step."""
    desk, number = records.desk(Incidents), _number(visit)
    try:
        await desk.take(number, visit.sent.get("step", ""), visit.sent.get("words", ""))
    except (Invalid, Conflict, Forbidden) as problem:
        return await _incident(visit, desk, problem, "breaches/incident.html")
    return visit.go(f"/breaches/{number}")


@page("/breaches/{number}/entries.csv", access=KEEPERS)
async def entries(visit: Visit, records: DeclaredRecords) -> Response:
    """The entries of the log that were counted, without whose records they touched."""
    desk, number = records.desk(Incidents), _number(visit)
    await desk.one(number)
    batches = desk.entries(number)

    async def rows() -> AsyncIterator[list[str]]:
        async for batch in batches:
            for one in batch:
                yield [f"log-{one.lane}-{one.n}", visit.moment(one.at), one.actor, one.role,
                       one.purpose, one.action, one.type or "", one.outcome,
                       str(one.hits)]  # fmt: skip

    say = visit.say
    heading = [say("Log entry"), say("When"), say("Who"), say("Role"), say("Purpose of use"),
               say("Action"), say("Kind of record"), say("Outcome"),
               say("Records")]  # fmt: skip
    return sheet("incident-entries", heading, rows())


async def _incident(
    visit: Visit, desk: Incidents, problem: Problem | None, template: str
) -> Response:
    number = _number(visit)
    one, numbers, taken = await desk.one(number)
    rules = incident_rules()
    words = {step.code: _word(visit, step) for step in rules.step}
    return visit.page(
        template,
        status=200 if problem is None else problem.status,
        problem=problem,
        one=_row(visit, one),
        scope=[(_list_label(visit, name), getattr(one.scope, name)) for name in _LISTS],
        since=visit.moment(one.scope.since),
        until=visit.moment(one.scope.until),
        parts=[(_word(visit, part), one.parts.get(part.code, "")) for part in rules.part],
        numbers=numbers,
        is_counted=one.counted_at is not None,
        told_accounts=one.told_accounts,
        kinds=_kinds(visit, numbers),
        taken=[(visit.moment(t.at), t.by, words.get(t.step, t.step), t.words) for t in taken],
        steps=[
            (code, said)
            for code, said in words.items()
            if (numbers.stopped if code == "release" else not one.closed_at)
        ],
        letters_max=rules.definition.letters_max,
        notice_max=rules.definition.notice_letters_max,
        sent=visit.sent if problem else {},
    )


def _kinds(visit: Visit, numbers: Numbers) -> list[tuple[str, str, int, int]]:
    return [
        (tell_type(type_, visit.language).text if type_ else "", action, entries_, records_)
        for type_, action, entries_, records_ in numbers.kinds
    ]


def _row(visit: Visit, one: Incident) -> dict[str, Any]:
    now, say = visit.house.guard.now(), visit.say
    return {
        "number": one.incident,
        "title": one.title,
        "opened": visit.moment(one.opened_at),
        "opened_by": one.opened_by,
        "state": say("closed") if one.closed_at else say("open"),
        "report_due": visit.moment(one.due("report")),
        "is_reported": one.reported_at is not None,
        "report_late": one.is_late("report", now),
        "tell_due": visit.moment(one.due("tell")),
        "is_told": one.told_at is not None,
        "tell_late": one.is_late("tell", now),
        "goes_on": one.counted_at is not None and one.scope.until > one.counted_at,
    }


def _list_label(visit: Visit, name: str) -> str:
    say = visit.say
    return {"actors": say("Actors"), "clients": say("Clients"), "senders": say("Institutions")}[
        name
    ]


def _word(visit: Visit, one: Any) -> str:
    return str(one.zh if visit.language == "zh" else one.en)


def _number(visit: Visit) -> int:
    number = read_number(visit.path("number"))
    if number is None:
        raise NotFound("there is no incident of this number")
    return number


def _moment(visit: Visit, text: str, name: str) -> int:
    """A day and time of the node's zone, in microseconds."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        words = Sentence("write a moment as 2026-01-31 08:00")
        raise Invalid(words, issues=(Issue("error", "value", words, name),)) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=visit.house.settings.zone)
    return int(when.timestamp()) * 1_000_000


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """Incidents that are open, and whose clocks have run out."""
    number, late = await records.desk(Incidents).open_count(visit.house.settings.work_count_max)
    words, link = visit.say("incidents under way"), "/breaches?state=open"
    return [Work(words=words, link=link, number=number, late=late)]


PAGES: tuple[Page, ...] = (*incidents, new, report, entries, take, incident)
