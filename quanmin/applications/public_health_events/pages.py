"""The list of events, an event with its reports and the steps that lead on, and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.public_health_events.reporting import (
    FORMS,
    KIND,
    STAFF,
    clocks_of,
    facts_of,
    form_of,
    is_here,
    read_reports,
)
from quanmin.applications.public_health_events.rules import is_in_time
from quanmin.base.problems import Malformed, Sentence
from quanmin.fhir.dates import row_text
from quanmin.fhir.json import Json, decode
from quanmin.trust import Hits
from quanmin.web import DeclaredRecords, Visit, Work, page
from quanmin.web.cases import OpenCase, asking, open_case, read_cases
from quanmin.web.forms import Cell, Field
from quanmin.web.tables import Heading, Table, searched, table
from quanmin.web.work_list import due_cell
from quanmin.workflow.forms import answers, label, words_of
from quanmin.workflow.health_events import (
    Event,
    Standard,
    closing_days,
    hours,
    known,
    options,
    read_event,
)
from quanmin.workflow.notifiable import card_of, diseases

_CLOCKS: Final = {"reported": "review", "ongoing": "progress", "over": "closing"}


@table("/events", access=STAFF, name="public-health-events")
async def events(visit: Visit, records: DeclaredRecords) -> Table:
    """The events that the visitor's institution has reported, or that are addressed to it."""
    say, workflow, language = visit.say, records.workflow, visit.language
    state = visit.asked("state")
    if state and state not in workflow.states:
        raise Malformed(Sentence("an event is %(known)s", known=", ".join(workflow.states)))
    pairs = [*_cases(records, state), ("_include", "Task:focus")]

    async def find(cursor: str | None, count: int) -> Hits:
        return await records.find("Task", *pairs, count=count, cursor=cursor)

    def rows(hits: Hits) -> Iterator[list[Cell]]:
        said = {f"{one.type}/{one.id}": decode(one.body or b"{}") for one in hits.included}
        for task, case in read_cases(hits, workflow, records.zone):
            end = case.clocks.get(_CLOCKS.get(case.state, ""))
            due = None if end is None else round(end.timestamp()) * 1_000_000
            event = read_event([answers(said.get(card_of(task), {}))], records.zone)
            is_grave = task.get("priority") == "stat"
            yield [
                Cell(task.get("description", ""), f"/events/{task['id']}"),
                Cell(_kind(task, language)),
                Cell(_words("level", event.level, language), is_warning=is_grave),
                Cell(workflow.states[case.state].told(language)),
                due_cell(visit, due, visit.house.guard.now()),
                Cell(str(event.cases), is_number=True),
                Cell(str(event.deaths), is_number=True),
                Cell((task.get("owner") or {}).get("display", "")),
            ]

    words = (say("Event"), say("Kind"), say("Grade"), say("State"), say("Due"), say("Cases"),
             say("Deaths"), say("With"))  # fmt: skip
    states = [(code, one.told(language)) for code, one in workflow.states.items()]
    return Table(
        title=say("Public health events"),
        headings=[Heading(one) for one in words],
        fetch=searched(find, rows),
        filters=[Field("state", say("State"), "select", state, [("", say("All")), *states])],
        empty=say("No event was reported."),
        actions=[(say("Report an event"), "/events/new")],
    )


@page("/events/{id}", access=STAFF, methods=("GET", "POST"))
async def event(visit: Visit, records: DeclaredRecords) -> Response:
    """An event: where it stands, its numbers report by report, and the steps that lead on."""
    id_ = visit.path("id")
    case = await open_case(visit, records, id_)
    reports = await read_reports(records, case.case.task)
    said = [answers(one) for one in reports]
    told = read_event(said, records.zone)
    moment = (await asking(visit)).moment
    facts = {"is_here": await is_here(visit, case.case.task), **facts_of(records, told, said, {})}
    # What a report is asked for by its form is open before there is one.
    facts |= {"is_graded": True, "as_of": moment, "ended": moment.date()}
    facts["told_until"] = moment - timedelta(seconds=1)
    case = case.knowing(**facts)
    if visit.request.method == "POST":
        step = visit.sent.get("step", "")
        clocks = {"end": {"closing": moment + timedelta(days=closing_days())},
                  "resume": await clocks_of(visit, told)}  # fmt: skip
        await case.take(step, words=visit.sent.get("words", ""), clocks=clocks.get(step, {}))
        return visit.go(f"/events/{id_}")
    return visit.page(
        "public_health_events/event.html", **_shown(visit, records, case, reports, told)
    )


def _shown(
    visit: Visit, records: DeclaredRecords, case: OpenCase, reports: Sequence[Json], told: Event
) -> dict[str, Any]:
    """What the template of an event needs."""
    task, language, say = case.case.task, visit.language, visit.say
    begun = case.case.history[0].at.astimezone(records.zone)
    is_late = False
    if told.noticed:
        in_time = is_in_time(hours=hours("report"), noticed=told.noticed, reported=begun)
        is_late = not in_time.allowed
    shown = [(form_of(one), one) for one in reports]
    members = partial(options, day=visit.today)
    links = {step: f"/events/{task['id']}/{step}" for step in FORMS if step != "report"}
    return {
        "case": case,
        "title": str(task.get("description") or ""),
        "kind": _kind(task, language),
        "grade": _words("level", told.level, language),
        "owner": (task.get("owner") or {}).get("display", ""),
        "reported": f"{begun:%Y-%m-%d %H:%M}",
        "is_late": is_late,
        "limit": hours("report"),
        "standards": [(_standard(visit, one), is_reached) for one, is_reached in told.standards()],
        "links": links,
        "headings": [say("Report"), say("As of"), say("Grade"), say("Cases"), say("Severe"),
                     say("Deaths")],
        "rows": [_row(visit, form, one) for form, one in shown],
        "reports": [
            (form.title.told(language), _as_of(visit, answers(one)), [
                (label(form, link, language), text)
                for link, text in words_of(form, one, language, records.zone, members).items()
            ])
            for form, one in reversed(shown)
        ],
    }  # fmt: skip


def _row(visit: Visit, form: Any, response: Json) -> list[Cell]:
    """The numbers of a report."""
    members = partial(options, day=visit.today)
    said, zone = answers(response), visit.house.settings.zone
    words = words_of(form, response, visit.language, zone, members)
    numbers = [Cell(words.get(one, ""), is_number=True) for one in ("cases", "severe", "deaths")]
    as_of = Cell(_as_of(visit, said), is_number=True)
    return [Cell(form.title.told(visit.language)), as_of, Cell(words.get("level", "")), *numbers]


def _as_of(visit: Visit, said: dict[str, Any]) -> str:
    """The moment or day of which a report tells."""
    text = str(said.get("as-of") or said.get("ended") or said.get("noticed") or "")
    return row_text(text, visit.house.settings.zone)


def _standard(visit: Visit, one: Standard) -> str:
    """The numbers of a standard in words."""
    say, numbers = visit.say, []
    if one.cases is not None:
        words = (
            say("%(n)s or more cases in %(days)s days") if one.days else say("%(n)s or more cases")
        )
        numbers.append(words % {"n": one.cases, "days": one.days})
    if one.deaths is not None:
        numbers.append(say("%(n)s or more deaths") % {"n": one.deaths})
    return say(", or ").join(numbers)


def _kind(task: Json, language: str) -> str:
    """The kind of an event and its disease, in words."""
    held = {one.get("code", ""): one for one in (task.get("reasonCode") or {}).get("coding") or ()}
    kinds = known("kind")
    words = [kinds[code].in_language(language) for code in held if code in kinds]
    words += [diseases()[code].told(language) for code in held if code in diseases()]
    return ("：" if language == "zh" else ": ").join(words)


def _words(part: str, code: str, language: str) -> str:
    found = known(part).get(code)
    return found.in_language(language) if found else ""


def _cases(records: DeclaredRecords, state: str) -> list[tuple[str, str]]:
    """The search for events, of one state or of all."""
    workflow = records.workflow
    found = [("code", f"{workflow.head.url}|{workflow.name}")]
    return [*found, ("business-status", f"{workflow.state_system}|{state}")] if state else found


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """The events that wait at a centre, by state."""
    if (await asking(visit)).actor.place.kind != KIND:
        return []
    most, title, found = (
        visit.house.settings.work_count_max + 1,
        visit.say("Public health events"),
        [],
    )
    for state in _CLOCKS:
        hits = await records.find("Task", *_cases(records, state), count=most)
        said = f"{title}{visit.colon}{records.workflow.states[state].told(visit.language)}"
        found.append(Work(words=said, link=f"/events?state={state}", number=len(hits.matches)))
    return found


LISTS: Final = events
PAGES: Final = (event,)
