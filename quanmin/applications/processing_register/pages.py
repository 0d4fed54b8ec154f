"""The pages of the processing register that change it, and one entry with its versions."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from quanmin.applications.processing_register import lists
from quanmin.applications.processing_register.lists import LIST, READERS, USES
from quanmin.applications.processing_register.telling import (
    ASSESSED,
    TEXTS,
    basis_words,
    found_uses,
    kinds,
    labels,
    may_write,
    told_entry,
)
from quanmin.base.problems import Conflict, Invalid, NotFound, Problem
from quanmin.trust.lifecycle.activities import Entered, ProcessingRegister
from quanmin.trust.lifecycle.activity_rules import Activity, Assessment, activity_rules
from quanmin.web import Access, DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Field, Sent, form_page

WRITERS: Final = Access(frozenset({"security_administrator"}), is_of_node=True)


@page(f"{LIST}/assign", access=WRITERS, methods=("GET", "POST"))
async def assign(visit: Visit, records: DeclaredRecords) -> Response:
    """Say of which entry something is a part."""
    desk, say = records.desk(ProcessingRegister), visit.say
    codes = [(one.code, one.activity.title) for one in await desk.entries() if one.is_in_force]
    fields = [Field("activity", say("Register entry"), "select", choices=codes, is_needed=True)]
    kind, name = visit.asked("kind"), visit.asked("name")
    title, button, sent = say("What is part of which entry"), say("Assign"), None
    lead = f"{kinds(visit).get(kind, kind)}{visit.colon}{name}"
    if visit.request.method == "POST":
        sent = Sent(visit)
        with sent.blaming({}, NotFound):
            await desk.assign(kind, name, sent.choice("activity", dict(codes), is_needed=True))
        if sent.is_sound:
            return visit.go(USES)
    return form_page(visit, title, fields, button=button, back=USES, lead=lead, sent=sent)


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
    own = [one for one in await found_uses(visit, desk) if one.activity == versions[0].code]
    return visit.page(
        "processing_register/entry.html",
        code=versions[0].code,
        versions=[told_entry(visit, one) for one in versions],
        uses=[(kinds(visit).get(one.kind, one.kind), one.name) for one in own],
        may_write=may_write(visit),
    )


def _form(
    visit: Visit, code: str, seen: int, entered: Entered | None, problem: Problem | None
) -> Response:
    activity = entered.activity if entered else None
    assessed = activity.assessment if activity else Assessment()
    said = dict(labels(visit))
    return visit.page(
        "processing_register/edit.html",
        status=200 if problem is None else problem.status,
        code=code,
        seen=seen,
        problem=problem,
        texts=[(name, said[name], getattr(activity, name, "")) for name in TEXTS],
        bases=[
            (one.code, basis_words(visit, one), bool(activity and one.code in activity.bases))
            for one in activity_rules().basis
        ],
        is_sensitive=bool(activity and activity.is_sensitive),
        assessed=[(name, said[f"assessed_{name}"], getattr(assessed, name)) for name in ASSESSED],
        letters_max=activity_rules().definition.letters_max,
    )


def _sent_activity(sent: dict[str, str]) -> Activity:
    texts = {name: sent.get(name, "").strip() for name in TEXTS}
    bases = tuple(one.code for one in activity_rules().basis if sent.get(f"basis-{one.code}"))
    assessed = {name: sent.get(f"assessed_{name}", "").strip() for name in ASSESSED}
    return Activity(
        **texts,
        bases=bases,
        is_sensitive=bool(sent.get("sensitive")),
        assessment=Assessment(**assessed),
    )


PAGES: tuple[Page, ...] = (*lists.PAGES, assign, edit, entry)
