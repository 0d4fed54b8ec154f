"""The pages of petitions: the list of whoever looks, one petition with its steps, and a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from quanmin.applications.petitions.asking import NOBODY, filters, place_of, wanted_of
from quanmin.applications.petitions.words import (
    choices,
    source_of,
    task,
    told_kept,
    told_steps,
    word,
)
from quanmin.base.problems import Conflict, Invalid, NotFound, Problem
from quanmin.trust.lifecycle.petition_rules import petition_rules
from quanmin.trust.lifecycle.petitions import Filing, Petitions
from quanmin.trust.lifecycle.wishes import Wishes
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work, page
from quanmin.web.sheet import sheet
from quanmin.web.tables import Table, table
from quanmin.web.work_list import Task, headings, rows_of

ASKERS: Final = Access(frozenset({"resident", "guardian"}))
SIDES: Final = Access(
    frozenset(
        {
            *("resident", "guardian", "institution", "operator", "supervisor"),
            "security_administrator",
        }
    ),
    is_of_node=True,
)
_FIELDS: Final = ("kind", "about", "institution", "wrong", "should", "evidence")


@table("/petitions", access=SIDES, name="petitions")
async def petitions(visit: Visit, records: DeclaredRecords) -> Table:
    """What concerns the visitor, what is due first before all."""
    desk, rules, say = records.desk(Petitions), petition_rules(), visit.say
    wanted, role = wanted_of(visit), visit.actor.role if visit.actor else ""
    is_watcher, is_asker = role in rules.roles.watcher, role in rules.roles.asker

    async def tasks(after: str, count: int) -> list[Task]:
        found = await desk.listed(wanted=wanted, after=place_of(after), count=count)
        return [task(visit, one, is_linked=not is_watcher) for one in found]

    lead = ""
    if is_asker:
        lead = say(
            "What you have asked of those who hold your records, and what they have answered."
        )
    elif is_watcher:
        lead = say(
            "Which petitions there are and how late; what they say and of whom is not shown here."
        )
    numbers_of = (say("Numbers"), "/petitions/numbers")
    return Table(
        title=say("Petitions"),
        lead=lead,
        headings=headings(visit, say("Filed"), say("Number")),
        fetch=rows_of(visit, tasks),
        filters=filters(visit),
        empty=say("No petition is as you have asked for."),
        actions=[(say("Ask for something"), "/petitions/new"), numbers_of]
        if is_asker
        else [numbers_of],
    )


@page("/petitions/numbers", access=SIDES)
async def numbers(visit: Visit, records: DeclaredRecords) -> Response:
    """How many there are, where, and how many are late; each number leads to its rows."""
    rules = petition_rules()
    found = [
        {
            "answerer": one.answerer,
            "kind": word(visit, rules.kind, one.kind),
            "state": word(visit, rules.state, one.state),
            "number": one.number,
            "overdue": one.overdue,
            "rows": "/petitions?"
            + urlencode({"answerer": one.answerer or NOBODY, "kind": one.kind, "state": one.state}),
        }
        for one in await records.desk(Petitions).counted()
    ]
    if visit.asked("as") == "csv":
        return _numbers_sheet(visit, found)
    return visit.page("petitions/numbers.html", rows=found)


def _numbers_sheet(visit: Visit, found: list[dict[str, Any]]) -> Response:
    async def rows() -> AsyncIterator[list[str]]:
        for one in found:
            yield [one["answerer"], one["kind"], one["state"], str(one["number"]),
                   str(one["overdue"])]  # fmt: skip

    say = visit.say
    heading = [say("Institution"), say("Asks for"), say("State"), say("Number of petitions"),
               say("Late")]  # fmt: skip
    return sheet("petition-numbers", heading, rows())


@page("/petitions/new", access=ASKERS, methods=("GET", "POST"))
async def new(visit: Visit, records: DeclaredRecords) -> Response:
    """The form, and what it files."""
    desk = records.desk(Petitions)
    if visit.request.method == "GET":
        asked = {name: visit.asked(name) for name in _FIELDS}
        return await _form(visit, desk, asked, None)
    sent = {name: visit.sent.get(name, "") for name in _FIELDS}
    uses = tuple(one.code for one in petition_rules().use if visit.sent.get(f"use-{one.code}"))
    try:
        id_ = await desk.file(Filing(**sent, uses=uses))
    except (Invalid, NotFound) as problem:
        return await _form(visit, desk, sent, problem)
    return visit.go(f"/petitions/{id_}")


async def _form(
    visit: Visit, desk: Petitions, asked: dict[str, str], problem: Problem | None
) -> Response:
    rules = petition_rules()
    kind = rules.kind_of(asked["kind"])
    return visit.page(
        "petitions/new.html",
        status=200 if problem is None else problem.status,
        asked=asked,
        kind=kind,
        kind_word=word(visit, rules.kind, asked["kind"]),
        source=source_of(visit, kind) if kind else "",
        problem=problem,
        kinds=choices(visit, [one for one in rules.kind if one.about == "any" or asked["about"]]),
        uses=choices(visit, rules.use),
        registrations=await desk.registrations(),
        letters_max=rules.definition.letters_max,
        days=rules.clocks,
    )


@page("/petitions/{id}", access=SIDES)
async def petition(visit: Visit, records: DeclaredRecords) -> Response:
    """One petition with its steps, and those that may follow."""
    return await _petition(visit, records.desk(Petitions), None)


@page("/petitions/{id}/take", access=SIDES, methods=("POST",))
async def take(visit: Visit, records: DeclaredRecords) -> Response:
    """Take a step."""
    desk, sent = records.desk(Petitions), visit.sent
    try:
        after = await desk.take(
            visit.path("id"),
            sent.get("step", ""),
            sent.get("words", ""),
            institution=sent.get("institution", "").strip(),
        )
    except (Invalid, Conflict) as problem:
        return await _petition(visit, desk, problem)
    if isinstance(after, Wishes):
        return visit.page("petitions/erased.html", wishes=after)
    return visit.go(f"/petitions/{after.id}")


async def _petition(visit: Visit, desk: Petitions, problem: Problem | None) -> Response:
    opened = await desk.open(visit.path("id"))
    rules, one = petition_rules(), opened.petition
    now = visit.house.guard.now()
    state = rules.state_of(one.state)
    return visit.page(
        "petitions/petition.html",
        status=200 if problem is None else problem.status,
        problem=problem,
        petition=one,
        answerer=opened.named,
        is_asker=opened.side == "asker",
        kind=rules.kind_of(one.kind),
        kind_word=word(visit, rules.kind, one.kind),
        state_word=word(visit, rules.state, one.state),
        filed=visit.moment(one.filed),
        due=visit.moment(one.due)[:10] if one.due is not None and state.is_open else "",
        is_overdue=state.is_open and one.due is not None and one.due < now,
        taken=told_steps(visit, one),
        steps=[(step, word(visit, rules.step, step.code)) for step in opened.steps],
        kept=told_kept(visit, opened.kept),
        is_denied=opened.is_denied,
        letters_max=rules.definition.letters_max,
        sent=visit.sent.get("words", "") if problem else "",
        sent_step=visit.sent.get("step", "") if problem else "",
    )


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """What has no answer yet: for whoever asked to know, for others to answer or to watch."""
    number, late = await records.desk(Petitions).open_count(visit.house.settings.work_count_max)
    is_asker = visit.actor is not None and visit.actor.role in petition_rules().roles.asker
    words = (
        visit.say("petitions of yours under way")
        if is_asker
        else visit.say("petitions without an answer")
    )
    return [
        Work(
            words=words,
            link="/petitions?open=1",
            number=number,
            late=late,
            late_link="/petitions?open=late",
        )
    ]


PAGES: tuple[Page, ...] = (
    *petitions,
    numbers,
    new,
    petition,
    take,
)
