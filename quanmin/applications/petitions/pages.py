"""The pages of petitions: the list of whoever looks, one petition with its steps, and a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.petitions.words import choices, row, told_kept, told_steps, word
from quanmin.base.problems import Conflict, Invalid, Malformed, NotFound, Problem
from quanmin.trust.lifecycle.petition_rules import petition_rules
from quanmin.trust.lifecycle.petitions import Filing, Petitions, Wanted
from quanmin.web import Access, DeclaredRecords, Page, Visit, Work, page
from quanmin.web.sheet import sheet

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
_ROWS: Final = 50
_SHEET_ROWS: Final = 500
_FIELDS: Final = ("kind", "about", "institution", "wrong", "should", "evidence")


@page("/petitions", access=SIDES)
async def petitions(visit: Visit, records: DeclaredRecords) -> Response:
    """What concerns the visitor, what is late first."""
    desk, rules = records.desk(Petitions), petition_rules()
    found = await desk.listed(wanted=_wanted(visit), after=_after(visit), count=_ROWS + 1)
    now = visit.house.guard.now()
    more = None
    if len(found) > _ROWS:
        more = visit.here_with(after="-".join(map(str, found[_ROWS - 1].place)))
    role = visit.actor.role if visit.actor else ""
    return visit.page(
        "petitions/list.html",
        rows=[row(visit, one, now) for one in found[:_ROWS]],
        more=more,
        csv=visit.here_with(after="").replace("/petitions?", "/petitions.csv?", 1),
        asked={name: visit.asked(name) for name in ("kind", "state", "answerer", "open")},
        kinds=choices(visit, rules.kind),
        states=choices(visit, rules.state),
        is_asker=role in rules.roles.asker,
        is_watcher=role in rules.roles.watcher,
    )


@page("/petitions.csv", access=SIDES)
async def petitions_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """All of the list as a sheet."""
    desk, wanted = records.desk(Petitions), _wanted(visit)
    first = await desk.listed(wanted=wanted, count=_SHEET_ROWS)
    now = visit.house.guard.now()
    say = visit.say

    async def rows() -> AsyncIterator[list[str]]:
        batch = first
        while batch:
            for one in batch:
                told = row(visit, one, now)
                late = say("overdue") if told["is_overdue"] else ""
                yield [told["id"], told["kind"], told["state"], told["answerer"], told["filed"],
                       told["due"], late]  # fmt: skip
            batch = await desk.listed(wanted=wanted, after=batch[-1].place, count=_SHEET_ROWS)

    heading = [say("Number"), say("Asks for"), say("State"), say("Institution"), say("Filed"),
               say("Due"), say("Late")]  # fmt: skip
    return sheet("petitions", heading, rows())


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
            "rows": f"/petitions?answerer={one.answerer}&kind={one.kind}&state={one.state}",
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
    return visit.go("/petitions" if after is None else f"/petitions/{after.id}")


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
        letters_max=rules.definition.letters_max,
        sent=visit.sent.get("words", "") if problem else "",
        sent_step=visit.sent.get("step", "") if problem else "",
    )


def _wanted(visit: Visit) -> Wanted:
    return Wanted(
        kind=visit.asked("kind") or None,
        state=visit.asked("state") or None,
        answerer=visit.asked("answerer") or None,
        only_open=visit.asked("open") == "1",
    )


def _after(visit: Visit) -> tuple[int, int] | None:
    text = visit.asked("after")
    if not text:
        return None
    due, _, task = text.partition("-")
    try:
        place = int(due), int(task)
    except ValueError as error:
        raise Malformed("this is no place in the list: begin from its first page") from error
    if not all(abs(number) < 1 << 63 for number in place):
        raise Malformed("this is no place in the list: begin from its first page")
    return place


async def work(visit: Visit, records: DeclaredRecords) -> list[Work]:
    """What has no answer yet: for whoever asked to know, for others to answer or to watch."""
    number, late = await records.desk(Petitions).open_count(visit.house.settings.work_count_max)
    is_asker = visit.actor is not None and visit.actor.role in petition_rules().roles.asker
    words = (
        visit.say("petitions of yours under way")
        if is_asker
        else visit.say("petitions without an answer")
    )
    return [Work(words=words, link="/petitions?open=1", number=number, late=late)]


PAGES: tuple[Page, ...] = (
    petitions,
    petitions_sheet,
    numbers,
    new,
    petition,
    take,
)
