"""The pages of the processing register: all entries, one with its versions, a form, the gaps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from starlette.responses import Response

from quanmin.base.problems import Conflict, Invalid, NotFound, Problem
from quanmin.trust.lifecycle.activities import Entered, ProcessingRegister
from quanmin.trust.lifecycle.activity_rules import Activity, Assessment, activity_rules
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.sheet import sheet

READERS: Final = Access(
    frozenset({"operator", "supervisor", "security_administrator", "audit_administrator"}),
    is_of_node=True,
)
WRITERS: Final = Access(frozenset({"security_administrator"}), is_of_node=True)
_TEXTS: Final = (
    *("title", "purpose", "data", "persons", "recipients", "source", "retention", "measures"),
    *("owner", "country"),
)
_ASSESSED: Final = ("on", "by", "result", "next")


@page("/processing_register", access=READERS)
async def entries(visit: Visit, records: DeclaredRecords) -> Response:
    """All entries; those whose assessment is missing or due again are marked."""
    desk = records.desk(ProcessingRegister)
    found = [_told(visit, one) for one in await desk.entries()]
    if visit.asked("overdue") == "1":
        found = [one for one in found if one["is_overdue"]]
    gaps = [one for one in await _uses(visit, desk) if not one.activity]
    return visit.page(
        "processing_register/list.html",
        rows=found,
        gaps=len(gaps),
        is_printed=visit.asked("as") == "print",
        fields=_labels(visit),
        may_write=_may_write(visit),
    )


@page("/processing_register.csv", access=READERS)
async def entries_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """The whole register as a sheet."""
    found = await records.desk(ProcessingRegister).entries()
    labels = _labels(visit)

    async def rows() -> AsyncIterator[list[str]]:
        for one in found:
            told = _told(visit, one)
            yield [one.code, str(one.version), told["since"], told["state"],
                   *(words for _, words in told["fields"])]  # fmt: skip

    say = visit.say
    heading = [say("Entry code"), say("Version"), say("Valid since"), say("State"),
               *(label for _, label in labels)]  # fmt: skip
    return sheet("processing-register", heading, rows())


@page("/processing_register/uses", access=READERS)
async def uses(visit: Visit, records: DeclaredRecords) -> Response:
    """What of the node is part of which entry; what is part of none stands first."""
    desk = records.desk(ProcessingRegister)
    found = await _uses(visit, desk)
    if visit.asked("as") == "csv":
        return _uses_sheet(visit, [(one.kind, one.name, one.activity) for one in found])
    return visit.page(
        "processing_register/uses.html",
        rows=[(_kinds(visit).get(one.kind, one.kind), one) for one in found],
        codes=[one.code for one in await desk.entries() if one.is_in_force],
        may_write=_may_write(visit),
    )


def _uses_sheet(visit: Visit, found: Iterable[tuple[str, str, str]]) -> Response:
    async def rows() -> AsyncIterator[tuple[str, str, str]]:
        for one in found:
            yield one

    say = visit.say
    return sheet(
        "processing-uses", [say("Kind"), say("Name or code"), say("Register entry")], rows()
    )


@page("/processing_register/assign", access=WRITERS, methods=("POST",))
async def assign(visit: Visit, records: DeclaredRecords) -> Response:
    """Say of which entry something is a part."""
    sent = visit.sent
    await records.desk(ProcessingRegister).assign(
        sent.get("kind", ""), sent.get("name", ""), sent.get("activity", "")
    )
    return visit.go("/processing_register/uses")


@page("/processing_register/edit", access=WRITERS, methods=("GET", "POST"))
async def edit(visit: Visit, records: DeclaredRecords) -> Response:
    """A new entry, or the next version of one."""
    desk = records.desk(ProcessingRegister)
    if visit.request.method == "GET":
        code = visit.asked("code")
        newest = (await desk.versions(code))[0] if code else None
        return _form(visit, code, newest.version if newest else 0, newest, None)
    sent = visit.sent
    code, seen = sent.get("code", "").strip(), sent.get("seen", "")
    activity = _sent_activity(sent)
    number = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < len("99999") else 0
    in_force = not sent.get("end")
    draft = Entered(code, number, 0, "", in_force, activity)
    try:
        await desk.write(code, activity, seen=number, is_in_force=in_force)
    except (Invalid, Conflict) as problem:
        return _form(visit, code, number, draft, problem)
    return visit.go(f"/processing_register/entry/{code}")


@page("/processing_register/entry/{code}", access=READERS)
async def entry(visit: Visit, records: DeclaredRecords) -> Response:
    """One entry with all its versions."""
    desk = records.desk(ProcessingRegister)
    versions = await desk.versions(visit.path("code"))
    if not versions:
        raise NotFound("the register has no entry of this code")
    own = [one for one in await _uses(visit, desk) if one.activity == versions[0].code]
    return visit.page(
        "processing_register/entry.html",
        code=versions[0].code,
        versions=[_told(visit, one) for one in versions],
        uses=[(_kinds(visit).get(one.kind, one.kind), one.name) for one in own],
        may_write=_may_write(visit),
    )


def _form(
    visit: Visit, code: str, seen: int, entered: Entered | None, problem: Problem | None
) -> Response:
    activity = entered.activity if entered else None
    assessed = activity.assessment if activity else Assessment()
    labels = dict(_labels(visit))
    return visit.page(
        "processing_register/edit.html",
        status=200 if problem is None else problem.status,
        code=code,
        seen=seen,
        problem=problem,
        texts=[(name, labels[name], getattr(activity, name, "")) for name in _TEXTS],
        bases=[
            (one.code, _words(visit, one), bool(activity and one.code in activity.bases))
            for one in activity_rules().basis
        ],
        is_sensitive=bool(activity and activity.is_sensitive),
        assessed=[
            (name, labels[f"assessed_{name}"], getattr(assessed, name)) for name in _ASSESSED
        ],
        letters_max=activity_rules().definition.letters_max,
    )


def _sent_activity(sent: dict[str, str]) -> Activity:
    texts = {name: sent.get(name, "").strip() for name in _TEXTS}
    bases = tuple(one.code for one in activity_rules().basis if sent.get(f"basis-{one.code}"))
    assessed = {name: sent.get(f"assessed_{name}", "").strip() for name in _ASSESSED}
    return Activity(
        **texts,
        bases=bases,
        is_sensitive=bool(sent.get("sensitive")),
        assessment=Assessment(**assessed),
    )


async def _uses(visit: Visit, desk: ProcessingRegister) -> Any:
    applications = [one.name for one in visit.house.applications]
    return await desk.uses(applications, desk.purposes())


def _told(visit: Visit, one: Entered) -> dict[str, Any]:
    activity, say = one.activity, visit.say
    words = {name: str(getattr(activity, name)) for name in _TEXTS}
    words["bases"] = "; ".join(
        f"{_words(visit, basis)} ({basis.article})"
        for basis in activity_rules().basis
        if basis.code in activity.bases
    )
    words["sensitive"] = say("yes") if activity.is_sensitive else say("no")
    words |= {f"assessed_{name}": getattr(activity.assessment, name) for name in _ASSESSED}
    return {
        "code": one.code,
        "title": activity.title,
        "version": one.version,
        "since": visit.moment(one.at),
        "by": one.by,
        "state": say("in force") if one.is_in_force else say("ended"),
        "is_overdue": one.is_in_force and activity.is_overdue(visit.today),
        "fields": [(label, words[name]) for name, label in _labels(visit)],
    }


def _labels(visit: Visit) -> list[tuple[str, str]]:
    say = visit.say
    return [
        ("title", say("Title")),
        ("purpose", say("What for")),
        ("bases", say("Lawful grounds")),
        ("data", say("Kinds of data")),
        ("sensitive", say("Sensitive data")),
        ("persons", say("Whose data")),
        ("recipients", say("Recipients")),
        ("source", say("Where it comes from")),
        ("retention", say("Kept for")),
        ("measures", say("Protective measures")),
        ("country", say("Country outside China (code; empty: none)")),
        ("owner", say("Who answers for it")),
        ("assessed_on", say("Risks assessed on")),
        ("assessed_by", say("Risks assessed by")),
        ("assessed_result", say("Result of the assessment")),
        ("assessed_next", say("Next assessment due")),
    ]


def _kinds(visit: Visit) -> dict[str, str]:
    say = visit.say
    return {
        "application": say("Application"),
        "purpose": say("Purpose of use"),
        "client": say("Client"),
        "export": say("Export"),
    }


def _words(visit: Visit, basis: Any) -> str:
    return str(basis.zh if visit.language == "zh" else basis.en)


def _may_write(visit: Visit) -> bool:
    return visit.actor is not None and visit.actor.role in activity_rules().roles.writes


PAGES: tuple[Page, ...] = (entries, entries_sheet, uses, assign, edit, entry)
