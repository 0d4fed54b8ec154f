"""Who may see my record, by which rule; and who has looked at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from quanmin.applications.my_record_access.choices import (
    rules_told,
    say_action,
    say_types,
)
from quanmin.applications.my_record_access.consents import tell_consent
from quanmin.base.problems import Malformed
from quanmin.fhir.json import decode
from quanmin.trust.deciding.consent_lines import organizations_of
from quanmin.trust.deciding.reasons import sentences
from quanmin.trust.record_access import Looked, RecordAccess, Slice, Treating, Wanted
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.institutions import institution_names, tell_sender
from quanmin.web.labels import tell_purpose, tell_role
from quanmin.web.sheet import sheet

ASKERS: Final = Access(frozenset({"resident", "guardian"}))
_CONSENTS: Final = 100
_ROWS: Final = 50
_SHEET_ROWS: Final = 500
_DAY: Final = timedelta(days=1)
# How the log says that something was done; all else says why it was not.
_DONE: Final = frozenset({"ok", "begun", "ended", "justified", "unjustified"})


@page("/my-record-access", access=ASKERS)
async def who_may(visit: Visit, records: DeclaredRecords) -> Response:
    """Who may see the record: by law, by a treatment that is under way, by consent."""
    consents, more = await _consents(visit, records)
    treating = await records.desk(RecordAccess).treating()
    return visit.page(
        "my_record_access/who_may.html",
        treating=[(one, visit.moment(one.until)[:10], _closed(visit, one)) for one in treating],
        consents=consents,
        more=more,
        rules=rules_told(visit),
    )


@page("/my-record-access.csv", access=ASKERS)
async def who_may_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The same as a sheet."""
    treating = await records.desk(RecordAccess).treating()
    found, cursor = [], None
    while True:
        batch, cursor = await _consents(visit, records, cursor)
        found += batch
        if cursor is None:
            break
    say, and_ = visit.say, visit.semicolon

    async def rows() -> AsyncIterator[list[str]]:
        for one in treating:
            yield [say("treats you"), one.name, "", "", visit.moment(one.since)[:10],
                   visit.moment(one.until)[:10], _closed(visit, one)]  # fmt: skip
        for consent in found:
            for line in consent["lines"]:
                yield [line["words"], and_.join(line["whom"]), and_.join(line["what"]),
                       and_.join(line["purposes"]), line["since"] or consent["given"],
                       line["until"], consent["state"]]  # fmt: skip

    heading = [say("What"), say("To whom"), say("Which records"), say("What for"), say("From"),
               say("Until"), say("State")]  # fmt: skip
    return sheet("who-sees-my-record", heading, rows())


def _closed(visit: Visit, one: Treating) -> str:
    words = {"part": visit.say("you have closed a part"), "all": visit.say("you have closed it")}
    return words.get(one.closed, "")


async def _consents(
    visit: Visit, records: DeclaredRecords, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """The person's consents in words, the newest first, and where to go on."""
    cursor = cursor or (
        visit.kept("who-may", visit.asked("from"))["cursor"] if visit.asked("from") else None
    )
    pairs = (("scope", "patient-privacy"), ("_sort", "-_lastUpdated"))
    hits = await records.find("Consent", *pairs, count=_CONSENTS, cursor=cursor)
    bodies = [(stored.id, decode(stored.body or b"{}")) for stored in hits.matches]
    ids: set[str] = set()
    for _, body in bodies:
        ids |= organizations_of(body)
    names = await institution_names(records, ids)
    return [tell_consent(visit, id_, body, names) for id_, body in bodies], hits.next


@page("/my-record-access/looked", access=ASKERS)
async def who_looked(visit: Visit, records: DeclaredRecords) -> Response:
    """Every access to the record, the newest first."""
    wanted, fault = _wanted(visit)
    after = visit.kept("who-looked", visit.asked("from"))["after"] if visit.asked("from") else None
    found = Slice((), None)
    if not fault:
        found = await records.desk(RecordAccess).looked(wanted, count=_ROWS, after=after)
    rows, more = [_row(visit, one) for one in found.rows], None
    if found.next is not None:
        more = visit.here_with(**{"from": visit.keep("who-looked", {"after": found.next})})
    return visit.page(
        "my_record_access/looked.html",
        status=Malformed.status if fault else 200,
        rows=rows,
        more=more,
        fault=fault,
        csv=visit.here_with(**{"from": ""}).replace("/looked?", "/looked.csv?", 1),
        asked={name: visit.asked(name) for name in ("since", "until", "institution", "own")},
        institutions=sorted({(one["code"], one["institution"]) for one in rows if one["code"]}),
    )


@page("/my-record-access/looked.csv", access=ASKERS)
async def who_looked_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """All of it as a sheet."""
    desk, (wanted, fault) = records.desk(RecordAccess), _wanted(visit)
    if fault:
        raise Malformed(fault)
    first = await desk.looked(wanted, count=_SHEET_ROWS)

    async def rows() -> AsyncIterator[list[str]]:
        batch = first
        while True:
            for one in batch.rows:
                told = _row(visit, one)
                yield [told["when"], told["institution"], told["role"], told["action"],
                       visit.semicolon.join(told["what"]), told["purpose"], " ".join(told["rules"]),
                       told["emergency"], told["id"], told["refused"], told["own"]]  # fmt: skip
            if batch.next is None:
                return
            batch = await desk.looked(wanted, count=_SHEET_ROWS, after=batch.next)

    say = visit.say
    heading = [say("When"), say("Institution"), say("In the role"), say("What was done"),
               say("Which records"), say("What for"), say("By which rule"), say("Emergency"),
               say("Number"), say("Refused"), say("Yourself")]  # fmt: skip
    return sheet("who-looked", heading, rows())


def _wanted(visit: Visit) -> tuple[Wanted, str]:
    """What is asked for, and what is wrong with it: who meant to narrow it must not take all of it
    for the answer.
    """
    since, until, institution, own = map(visit.asked, ("since", "until", "institution", "own"))
    try:
        first = visit.midnight(date.fromisoformat(since)) if since else None
        before = visit.midnight(date.fromisoformat(until) + _DAY) if until else None
    except (ValueError, OverflowError):
        return Wanted(), visit.say("A day is written as 2026-01-31.")
    if own not in {"", "1"}:
        return Wanted(), visit.say("Choose one of the list.")
    return Wanted(first, before, institution or None, own == "1"), ""


def _row(visit: Visit, one: Looked) -> dict[str, Any]:
    emergency = ""
    if one.emergency is not None:
        states = {
            "waiting": visit.say("it waits for its review"),
            "justified": visit.say("a reviewer has found it justified"),
            "unjustified": visit.say("a reviewer has found it unjustified"),
        }
        emergency = f"{one.emergency.reason}{visit.semicolon}{states.get(one.emergency.state, '')}"
    return {
        "id": one.id,
        "code": one.code,
        "when": visit.moment(one.at),
        "institution": tell_sender(visit, one.code, one.institution),
        "role": tell_role(one.role, visit.language),
        "action": say_action(visit, one.action),
        "what": [f"{say_types(visit, (type_,))[0]} {number}" for type_, number in one.types],
        "purpose": tell_purpose(one.purpose, visit.language),
        "rules": sentences(" ".join(one.rules), visit.language, visit.rules),
        "emergency": emergency,
        "refused": "" if one.outcome in _DONE else visit.say("refused"),
        "own": visit.say("yourself") if one.is_own else "",
    }


PAGES: tuple[Page, ...] = (who_may, who_may_sheet, who_looked, who_looked_sheet)
