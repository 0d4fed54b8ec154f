"""Giving a consent, refusing, and taking either back: chosen, read once more, then done."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, timedelta
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.applications.my_record_access.choices import choices, say_kind, say_types
from quanmin.applications.my_record_access.consents import tell_consent
from quanmin.applications.my_record_access.pages import ASKERS
from quanmin.base.problems import Conflict, NotFound
from quanmin.fhir.json import decode
from quanmin.trust.consent_writing import Chosen, write_consents
from quanmin.trust.deciding.consent_lines import organizations_of
from quanmin.trust.record_access import kinds_apart
from quanmin.trust.registers import Institution, Wanted
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.institutions import institution_names
from quanmin.web.labels import tell_purpose

HOME: Final = "/my-record-access"
_FOUND: Final = 20
_YEAR: Final = timedelta(days=366)


@page(f"{HOME}/give", access=ASKERS, methods=("GET", "POST"))
async def give(visit: Visit, records: DeclaredRecords) -> Response:
    """Give a consent to one institution."""
    return await _choose(visit, records, "permit")


@page(f"{HOME}/refuse", access=ASKERS, methods=("GET", "POST"))
async def refuse(visit: Visit, records: DeclaredRecords) -> Response:
    """Refuse one institution or all others."""
    return await _choose(visit, records, "deny")


async def _choose(visit: Visit, records: DeclaredRecords, effect: str) -> Response:
    if visit.request.method == "GET":
        return await _form(visit, records, effect, visit.asked("institution"), [])
    if visit.sent.get("chosen"):
        said = msgspec.convert(visit.kept("consent", visit.sent["chosen"]), Chosen)
        return await _carry_out(visit, records, said)
    institution = visit.sent.get("institution", "")
    chosen, faults = await _chosen(visit, records, effect, institution)
    if faults:
        return await _form(visit, records, effect, institution, faults)
    return visit.page(
        "my_record_access/confirm.html",
        effect=effect,
        institution=chosen.institution[1] if chosen.institution else "",
        purpose=tell_purpose(chosen.purpose, visit.language) if chosen.purpose else "",
        what=say_types(visit, chosen.types),
        ordinary=chosen.is_ordinary,
        kinds=[say_kind(visit, one) for one in chosen.kinds],
        onward=chosen.is_onward,
        until=chosen.until,
        chosen=visit.keep("consent", msgspec.to_builtins(chosen)),
        address=f"{HOME}/{'give' if effect == 'permit' else 'refuse'}",
    )


async def _form(
    visit: Visit, records: DeclaredRecords, effect: str, institution: str, faults: list[str]
) -> Response:
    text = visit.asked("text").strip()[:100]
    found: list[Institution] = []
    if text and not institution:
        wanted = Wanted(state="active", text=text)
        found = list(await records.institutions(None, wanted, count=_FOUND + 1))
    one = await _institution(records, institution) if institution != "all" else None
    rule = choices()
    return visit.page(
        "my_record_access/choose.html",
        status=422 if faults else 200,
        effect=effect,
        address=f"{HOME}/{'give' if effect == 'permit' else 'refuse'}",
        text=text,
        found=found[:_FOUND],
        are_more=len(found) > _FOUND,
        institution=institution if institution == "all" or one else "",
        name=one.name if one else "",
        faults=faults,
        sent=defaultdict(str, visit.sent),
        purposes=[(code, tell_purpose(code, visit.language)) for code in rule.purposes],
        categories=[
            (each.name, each.zh if visit.language == "zh" else each.en) for each in rule.category
        ],
        kinds=[(each["code"], each[visit.language]) for each in kinds_apart()],
        last_day=(visit.today + _YEAR * rule.years_max).isoformat(),
    )


async def _institution(records: DeclaredRecords, code: str) -> Institution | None:
    if not code:
        return None
    history = await records.institution_history(code)
    return history[-1] if history else None


async def _chosen(
    visit: Visit, records: DeclaredRecords, effect: str, institution: str
) -> tuple[Chosen, list[str]]:
    """What the form says, and what is wrong with it."""
    sent, rule, say = visit.sent, choices(), visit.say
    faults: list[str] = []
    is_all = effect == "deny" and institution == "all"
    one = None if is_all else await _institution(records, institution)
    if one is None and not is_all:
        faults.append(say("Choose an institution of the register."))
    purpose = sent.get("purpose", "")
    if purpose not in rule.purposes and not (effect == "deny" and not purpose):
        faults.append(say("Choose what it is for."))
    kinds = [each["code"] for each in kinds_apart() if sent.get(f"kind-{each['code']}")]
    wanted = [each for each in rule.category if sent.get(f"category-{each.name}")]
    scope = sent.get("scope", "")
    if effect == "permit":
        if scope not in {"all", "some", "none"} or (scope == "some") is not bool(wanted):
            faults.append(say("Choose all records, or some kinds of them, or none of these."))
        if scope == "none" and not kinds:
            faults.append(say("Choose which records you open."))
        faults += _faulty_end(visit, sent.get("until", ""))
    return Chosen(
        effect,
        None if one is None else (one.id, one.name),
        purpose,
        effect == "deny" or scope in {"all", "some"},
        tuple(type_ for each in wanted for type_ in each.types) if scope == "some" else (),
        tuple(kinds),
        bool(sent.get("onward")),
        sent.get("until", "") if effect == "permit" else "",
    ), faults


def _faulty_end(visit: Visit, text: str) -> list[str]:
    try:
        end = date.fromisoformat(text)
    except ValueError:
        return [visit.say("Say until which day; it is written as 2026-01-31.")]
    latest = visit.today + _YEAR * choices().years_max
    if not visit.today <= end <= latest:
        return [visit.say("The last day is today or later, and not years beyond what is offered.")]
    return []


async def _carry_out(visit: Visit, records: DeclaredRecords, chosen: Chosen) -> Response:
    patients = await records.find("Patient", count=1)
    if not patients.matches:
        raise NotFound("no institution of this node has registered you")
    now = visit.house.guard.now()
    bodies = write_consents(
        chosen,
        patient=patients.matches[0].id,
        at=visit.house.guard.store.context.instant(now),
        is_guardian=visit.actor is not None and visit.actor.role == "guardian",
    )
    # What is chosen together holds together: none of it may stand without the rest.
    await records.create_all("Consent", bodies)
    return visit.go(HOME)


@page(f"{HOME}/consents/{{id}}/end", access=ASKERS, methods=("GET", "POST"))
async def end(visit: Visit, records: DeclaredRecords) -> Response:
    """Take a consent or a refusal back."""
    stored = await records.read("Consent", visit.path("id"))
    consent: dict[str, Any] = decode(stored.body or b"{}")
    names = await institution_names(records, organizations_of(consent))
    told = tell_consent(visit, stored.id, consent, names)
    if not told["can_end"]:
        raise Conflict("this has been taken back already, or has no effect")
    if visit.request.method == "GET":
        return visit.page("my_record_access/end.html", consent=told)
    # Taking back what it permits would close it; a refusal goes with its exceptions.
    is_mixed = told["is_refusal"] and told["has_permit"]
    status = "entered-in-error" if is_mixed else "inactive"
    body = json.dumps({**consent, "status": status}, ensure_ascii=False, default=str).encode()
    await records.update("Consent", stored.id, body, if_match=stored.version)
    return visit.go(HOME)


PAGES: tuple[Page, ...] = (give, refuse, end)
