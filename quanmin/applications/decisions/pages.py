"""The pages that explain decisions: ask why, the rules in force, the matrix of sensitivity."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.decisions.listing import matrix_rows, rule_rows
from quanmin.base.problems import Invalid, Problem
from quanmin.trust.deciding.purposes import purposes
from quanmin.trust.deciding.wording import Told, Wording, names
from quanmin.trust.decisions import Asked, Decisions, Explained
from quanmin.trust.registers.definitions import roles
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.sheet import sheet

READERS: Final = Access(frozenset({"operator", "security_administrator", "audit_administrator"}))
ASKERS: Final = Access(frozenset({"operator", "security_administrator"}), is_of_node=True)
_SUBJECTS: Final = 20
_WHO: Final = ("actor", "role", "self")
_FIELDS: Final = (
    *("who", "actor", "institution", "role", "client", "application", "record", "purpose"),
    "moment",
)


@page("/decisions", access=READERS)
async def ask(visit: Visit, records: DeclaredRecords) -> Response:
    """The question, and who can be asked about."""
    term = visit.asked("find").strip()
    found = None
    if term and ASKERS.admits(visit.actor.role if visit.actor else None):
        found = await records.desk(Decisions).subjects(term, _SUBJECTS)
    state = {"who": "actor", "actor": visit.asked("actor"), "purpose": purposes().default}
    return _form(visit, state, term=term, found=found)


@page("/decisions/answer", access=ASKERS, methods=("POST",), is_taken_once=False)
async def answer(visit: Visit, records: DeclaredRecords) -> Response:
    """Whether and why; what was asked never stands in an address."""
    state = _state(visit)
    try:
        explained = await records.desk(Decisions).explain(_asked(visit, state))
    except Problem as problem:
        if problem.status >= 500:
            raise
        again = visit.keep("decision", state)
        return _form(visit, state, problem=problem, again=again, status=problem.status)
    wording = _wording(visit, explained)
    told = [wording.step(step) for step in explained.answer.steps]
    return _form(
        visit,
        state,
        told=told,
        answer=wording.answer(explained.answer),
        obstacles=[line for one in explained.answer.obstacles for line in wording.finding(one)],
        changes=[line for one in explained.answer.changes for line in wording.finding(one)],
        remarks=_remarks(visit, wording, explained),
        again=visit.keep("decision", state),
    )


@page("/decisions/answer.csv", access=ASKERS, methods=("POST",), is_taken_once=False)
async def answer_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The rules of an answer as a sheet."""
    state = _state(visit)
    explained = await records.desk(Decisions).explain(_asked(visit, state))
    wording = _wording(visit, explained)
    say = visit.say
    heading = [say("Rule"), say("Version"), say("What became of it"), say("Why"), say("Sentence"),
               say("Source"), say("In force since")]  # fmt: skip
    told = [wording.step(step) for step in explained.answer.steps]
    return sheet("decision", heading, _rows(_cells(one) for one in told))


@page("/decisions/rules", access=READERS)
async def rules(visit: Visit, _records: DeclaredRecords) -> Response:
    """The rules in force, each with its source."""
    heading, rows = rule_rows(visit.rules, visit.say, visit.language)
    return visit.page("decisions/list.html", title=visit.say("Rules of access in force"),
                      heading=heading, rows=rows, csv="/decisions/rules.csv", notes=())  # fmt: skip


@page("/decisions/rules.csv", access=READERS)
async def rules_sheet(visit: Visit, _records: DeclaredRecords) -> Response:
    """The same as a sheet."""
    heading, rows = rule_rows(visit.rules, visit.say, visit.language)
    return sheet("rules", heading, _rows(rows))


@page("/decisions/matrix", access=READERS)
async def matrix(visit: Visit, _records: DeclaredRecords) -> Response:
    """Up to which level each role sees, by scenario."""
    heading, rows, notes = matrix_rows(visit.say, visit.language)
    title = visit.say("Sensitivity: level, role, scenario")
    return visit.page("decisions/list.html", title=title, heading=heading, rows=rows,
                      csv="/decisions/matrix.csv", notes=notes)  # fmt: skip


@page("/decisions/matrix.csv", access=READERS)
async def matrix_sheet(visit: Visit, _records: DeclaredRecords) -> Response:
    """The same as a sheet."""
    heading, rows, _ = matrix_rows(visit.say, visit.language)
    return sheet("matrix", heading, _rows(rows))


async def _rows(rows: Iterable[list[str]]) -> AsyncIterator[list[str]]:
    for row in rows:
        yield row


def _cells(told: Told) -> list[str]:
    return [told.id, told.version, told.outcome, " ".join(told.why), told.sentence, told.source,
            told.effective]  # fmt: skip


def _form(visit: Visit, state: dict[str, Any], *, status: int = 200, **more: Any) -> Response:
    usual = {"term": "", "found": None, "told": None, "answer": "", "obstacles": (), "changes": (),
             "remarks": (), "again": None, "problem": None}  # fmt: skip
    words = names(visit.language)
    language = visit.language
    return visit.page(
        "decisions/ask.html",
        status=status,
        asked={name: str(state.get(name, "")) for name in _FIELDS},
        may_ask=ASKERS.admits(visit.actor.role if visit.actor else None),
        purposes=[(code, f"{words[code]} ({code})") for code in purposes().codes],
        roles=[(one.code, one.zh if language == "zh" else one.en) for one in roles().values()],
        applications=[
            (one.name, one.title.told(language))
            for one in visit.house.applications
            if one.name in {rule.application for rule in visit.rules}
        ],
        **{**usual, **more},
    )


def _state(visit: Visit) -> dict[str, Any]:
    if visit.sent.get("state"):
        return visit.kept("decision", visit.sent["state"])
    return {name: visit.sent.get(name, "").strip() for name in _FIELDS}


def _asked(visit: Visit, state: dict[str, Any]) -> Asked:
    who = state["who"] if state["who"] in _WHO else "actor"
    if who == "actor" and not state["actor"]:
        raise Invalid("say who: the code of an account, or an institution and a role")
    return Asked(
        record=state["record"],
        purpose=state["purpose"],
        actor=state["actor"] if who == "actor" else "",
        institution=state["institution"] if who == "role" else "",
        role=state["role"] if who == "role" else "",
        is_self=who == "self",
        client=state["client"],
        application=state["application"],
        moment=_moment(visit, state["moment"]),
    )


def _moment(visit: Visit, text: str) -> int | None:
    if not text:
        return None
    try:
        there = datetime.fromisoformat(text)
        if there.tzinfo is None:
            there = there.replace(tzinfo=visit.house.settings.zone)
        return int(there.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        raise Invalid("the moment is written as 2026-01-31T08:30") from None


def _wording(visit: Visit, explained: Explained) -> Wording:
    return Wording(
        visit.language,
        name_sender=lambda number: explained.senders.get(number, f"#{number}"),
        name_source=lambda rid: explained.sources.get(rid, ""),
        tell_moment=visit.moment,
    )


def _remarks(visit: Visit, wording: Wording, explained: Explained) -> list[str]:
    found = []
    if explained.is_past:
        found.append(wording.remark("past", moment=visit.moment(explained.moment)))
    if explained.is_deleted:
        found.append(wording.remark("deleted"))
    return found


PAGES: tuple[Page, ...] = (
    ask,
    answer,
    answer_sheet,
    rules,
    rules_sheet,
    matrix,
    matrix_sheet,
)
