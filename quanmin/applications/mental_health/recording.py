"""Registering somebody, recording a visit, ending the follow-up: a form and a transaction each."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from quanmin.applications.mental_health.keeping import HERE, Finding, judged
from quanmin.applications.mental_health.mistakes import take_back_end
from quanmin.applications.mental_health.rules import may_record_visit, may_register, may_report
from quanmin.fhir.json import Json
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.cases import asking, begin, told_faults
from quanmin.web.filling import answered, entries_of, form_in
from quanmin.web.institutions import code_of, nearest
from quanmin.web.mental_health import HOME, STAFF, Kept, read_kept
from quanmin.web.questionnaires import questionnaire_page
from quanmin.workflow.forms import answers
from quanmin.workflow.mental import (
    PROGRAMME,
    add_finding,
    complete,
    labels,
    labels_of,
    next_of,
    number,
    standing,
)

_CENTRE: Final = "J"  # disease control (WS 218), which keeps the register of a county
_ANSWERS: Final = "urn:uuid:00000000-0000-4000-8000-000000000001"
_RISK: Final = "urn:uuid:00000000-0000-4000-8000-000000000002"
_TO_BE_HANDLED: Final = ("reported", "informed")
_PLACES: Final = {
    "no-consent": "consent",
    "diagnosed-in-the-future": "diagnosed",
    "in-the-future": "on",
    "before-registration": "on",
    "not-referred": "referred",
}


@page(f"{HOME}/of/{{patient}}/register", access=STAFF, methods=("GET", "POST"))
async def register(visit: Visit, records: DeclaredRecords) -> Response:
    """Register a person with their consent, or that of the guardian."""
    patient = visit.path("patient")
    kept = await read_kept(visit, records, patient)
    form, back = form_in(HERE, "mental-registration"), f"{HOME}/of/{patient}"
    sent, shown = await answered(visit, records, form, patient, back=back)
    if sent is None:
        return shown
    said, moment = answers(sent.filling.response()), (await asking(visit)).moment
    decision = may_register(
        registered=int(kept.plan is not None),
        consent=said["consent"]["code"],
        harm=said["harm"]["code"] == "yes",
        diagnosed=date.fromisoformat(said["diagnosed"]),
        moment=moment,
    )
    if decision.allowed:
        actor = (await asking(visit)).actor
        centre = await nearest(records, _CENTRE, actor.place.region)
        addressed = {code_of(actor), *([centre.code] if centre else [])}
        entries = _labelled(entries_of(sent), labels(addressed))
        complete(entries[1]["resource"], kept.person.told.name, said["township"].strip())
        # Of two who register at once there is one: whoever is second finds the other's.
        entries[1]["request"]["ifNoneExist"] = urlencode([
            ("patient", f"Patient/{patient}"), PROGRAMME, ("status", "active"),
        ])  # fmt: skip
        await records.transact(entries)
        return visit.go(back)
    found = told_faults(records.workflow, decision.reasons, _PLACES)
    return questionnaire_page(visit, sent.filling, back=back, found=found)


@page(f"{HOME}/of/{{patient}}/visit", access=STAFF, methods=("GET", "POST"))
async def record_visit(visit: Visit, records: DeclaredRecords) -> Response:
    """Record a visit: what it comes to stands in the registration, and what is an emergency begins
    its case, all in one transaction.
    """
    patient = visit.path("patient")
    kept = await read_kept(visit, records, patient)
    form, back = form_in(HERE, "mental-visit"), f"{HOME}/of/{patient}"
    sent, shown = await answered(visit, records, form, patient, back=back)
    if sent is None:
        return shown
    said = answers(sent.filling.response())
    finding, on = judged(said), date.fromisoformat(said["on"])
    decision = may_record_visit(
        registered=int(kept.plan is not None),
        on=on,
        since=kept.since,
        moment=(await asking(visit)).moment,
        unstable=finding.class_ == "unstable",
        referred=said.get("referred") or "",
    )
    if not decision.allowed or kept.plan is None:
        found = told_faults(records.workflow, decision.reasons, _PLACES)
        return questionnaire_page(visit, sent.filling, back=back, found=found)
    entries = _labelled(entries_of(sent), labels_of(kept.plan))
    _complete(visit, entries, finding)
    if on >= max(kept.days, default=on):
        entries.append(next_of(standing(kept.plan, str(finding.grade), finding.class_)))
    return visit.go(await _stored(visit, records, kept, entries, finding) or back)


async def _stored(
    visit: Visit, records: DeclaredRecords, kept: Kept, entries: list[Json], finding: Finding
) -> str:
    """Store a visit, with the case of an emergency where it is one and none is being handled; gives
    the page of that case, "" without one.
    """
    facts: dict[str, Any] = {
        "grade": finding.grade,
        "self_harm": finding.self_harm,
        "refer_from": number("refer_from"),
    }
    still_open = _being_handled(records, kept)
    is_reported = bool((await records.find("Task", *still_open, count=1)).matches)
    if is_reported or not may_report(**facts).allowed:
        await records.transact(entries)
        return ""
    moment = (await asking(visit)).moment
    name = {"reference": f"Patient/{kept.person.id}", "display": kept.person.told.name}
    head: dict[str, Any] = {
        "for": name,
        "focus": {"reference": _RISK},
        "priority": "urgent",
        "meta": {"security": labels_of(kept.plan or {})},
    }
    until = moment + timedelta(hours=number("inform_hours"))
    task = await begin(
        visit,
        records,
        "report",
        facts=facts,
        recorded=entries,
        head=head,
        clocks={"inform": until},
        once=still_open,
    )
    return f"{HOME}/emergencies/{task.id}"


def _being_handled(records: DeclaredRecords, kept: Kept) -> list[tuple[str, str]]:
    """By what an emergency of somebody is found to which another visit adds nothing: reported under
    this registration, and not handled yet. Once it was, whoever is told of it waits for no other.
    """
    workflow = records.workflow
    states = ",".join(f"{workflow.state_system}|{one}" for one in _TO_BE_HANDLED)
    return [
        ("code", f"{workflow.head.url}|{workflow.name}"),
        ("patient", f"Patient/{kept.person.id}"),
        ("business-status", states),
        ("authored-on", f"ge{kept.since}"),
    ]


@page(f"{HOME}/of/{{patient}}/end", access=STAFF, methods=("GET", "POST"))
async def end(visit: Visit, records: DeclaredRecords) -> Response:
    """End the follow-up, with the reason and the day; from then on nothing is due. One that has
    ended goes on where that was a mistake.
    """
    patient = visit.path("patient")
    kept = await read_kept(visit, records, patient)
    form, back = form_in(HERE, "mental-end"), f"{HOME}/of/{patient}"
    if kept.plan is None:
        return await take_back_end(visit, records, kept, back)
    sent, shown = await answered(visit, records, form, patient, back=back)
    if sent is None:
        return shown
    said = answers(sent.filling.response())
    day = date.fromisoformat(said["day"])
    reasons = [
        reason
        for reason, is_so in (
            ("in-the-future", day > visit.today),
            ("before-registration", day < kept.since),
        )
        if is_so
    ]
    if reasons:
        found = told_faults(records.workflow, reasons, dict.fromkeys(reasons, "day"))
        return questionnaire_page(visit, sent.filling, back=back, found=found)
    entries = _labelled(entries_of(sent), labels_of(kept.plan))
    period = {**kept.plan["period"], "end": said["day"]}
    entries.append(next_of({**kept.plan, "status": "completed", "period": period}))
    await records.transact(entries)
    return visit.go(back)


def _labelled(entries: list[Json], security: list[Json]) -> list[Json]:
    """Every entry with the labels, the answers among them."""
    for one in entries:
        one["resource"]["meta"] = {"security": list(security)}
    return entries


def _complete(visit: Visit, entries: list[Json], finding: Finding) -> None:
    """Name the answers and the record of a visit, and add to it its class and who made it."""
    entries[0]["fullUrl"], entries[1]["fullUrl"] = _ANSWERS, _RISK
    who = (visit.actor.sender, visit.actor.name) if visit.actor else ("", "")
    add_finding(entries[1]["resource"], finding.class_, _ANSWERS, *who)


PAGES: Final[tuple[Page, ...]] = (register, record_visit, end)
