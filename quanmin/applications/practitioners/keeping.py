"""Entering practitioners, their licences and places, and putting a licence into another state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.applications.practitioners.pages import KEEPING, LIST, body_of, name_of, state_words
from quanmin.base.problems import Problem
from quanmin.trust.registers import Registers
from quanmin.trust.registers.drafting import (
    ended_practice,
    practice_body,
    practitioner_body,
    with_licence,
    with_licence_state,
)
from quanmin.trust.registers.licensing import licence_rule
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.forms import (
    Field,
    Sent,
    choices,
    confirm_page,
    form_page,
    is_confirmed,
    word_of,
)

_PLACES_MAX: Final = 100
_BLAMED: Final = {"period": "until", "name": "name", "identifier": "number", "from": "from"}
_BLAMED_MORE: Final = {**_BLAMED, "until": "until", "number": "number", "code": "kind"}


@page(f"{LIST}/new", access=KEEPING, methods=("GET", "POST"))
async def enter(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter somebody of the staff under a staff number that nobody has."""
    title, say, button = visit.say("Enter a practitioner"), visit.say, visit.say("Enter")
    fields = [
        Field("number", say("Staff number"), is_needed=True, length_max=64),
        Field("name", say("Full name"), is_needed=True),
    ]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=LIST)
    sent = Sent(visit)
    number = sent.text("number", is_needed=True, length_max=64)
    name = sent.text("name", is_needed=True)
    if sent.is_sound:
        wanted = ("identifier", f"{licence_rule().address.staff}|{number}")
        if (await records.find("Practitioner", wanted, count=1)).matches:
            sent.faults["number"] = say("Somebody of the register has this staff number.")
        else:
            body = practitioner_body(number, name)
            with sent.blaming(_BLAMED_MORE):
                made = await records.create("Practitioner", msgspec.json.encode(body))
                return visit.go(f"{LIST}/{made.stored.id}")
    return form_page(visit, title, fields, button=button, back=LIST, sent=sent)


@page(f"{LIST}/{{id}}/licence", access=KEEPING, methods=("GET", "POST"))
async def enter_licence(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter one licence more."""
    rule, say = licence_rule(), visit.say
    scopes = [("", say("not stated")), *choices(visit, rule.scope)]
    fields = [
        Field("kind", say("Licence"), "select", choices=choices(visit, rule.kind), is_needed=True),
        Field("scope", say("Scope"), "select", choices=scopes),
        Field("scope2", say("Second scope"), "select", choices=scopes),
        Field("from", say("From (first day)"), "date", is_needed=True),
        Field("until", say("Until (last day)"), "date"),
    ]
    known = [word.code for word in rule.scope]

    def draft(sent: Sent, body: dict[str, Any]) -> dict[str, Any] | None:
        kind = sent.choice("kind", (one.code for one in rule.kind), is_needed=True)
        found = {sent.choice("scope", known), sent.choice("scope2", known)} - {""}
        first, last = sent.day("from", is_needed=True), sent.day("until")
        if not sent.is_sound or first is None:
            return None
        return with_licence(body, kind, sorted(found), first, last)

    return await _change(visit, records, _Form(say("Enter a licence"), fields, draft))


@page(f"{LIST}/{{id}}/state", access=KEEPING, methods=("GET", "POST"))
async def put_into_state(visit: Visit, records: DeclaredRecords) -> Response:
    """Put a licence into another state from a day on."""
    body = await body_of(records, "Practitioner", visit.path("id"))
    words, say = state_words(visit), visit.say
    numbers = [(str(at), _licence(visit, one)) for at, one in enumerate(_licences(body))]
    fields = [
        Field("number", say("Licence"), "select", choices=numbers, is_needed=True),
        Field("state", say("State"), "select", choices=choices(visit, words), is_needed=True),
        Field("from", say("From (first day)"), "date", visit.today.isoformat(), is_needed=True),
    ]

    def draft(sent: Sent, now: dict[str, Any]) -> dict[str, Any] | None:
        number = sent.choice("number", (code for code, _ in numbers), is_needed=True)
        state = sent.choice("state", (word.code for word in words), is_needed=True)
        first = sent.day("from", is_needed=True)
        if not sent.is_sound or first is None:
            return None
        return with_licence_state(now, int(number), state, first, records.zone)

    stops = visit.sent.get("state", "") not in {"", *licence_rule().states.in_force}
    told, day = word_of(visit, words, visit.sent.get("state")), visit.sent.get("from", "")
    sentences = (
        f"{name_of(body)}{visit.colon}{told}, {day}",
        say("From that day on they do nothing that needs this licence."),
    )
    title = say("Another state of a licence")
    return await _change(visit, records, _Form(title, fields, draft, sentences if stops else ()))


@page(f"{LIST}/{{id}}/place", access=KEEPING, methods=("GET", "POST"))
async def enter_place(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter that somebody practises at an institution."""
    id_, say = visit.path("id"), visit.say
    back, title, button = f"{LIST}/{id_}", say("Enter a place"), say("Enter")
    fields = [
        Field("institution", say("Institution (credit code)"), is_needed=True, length_max=18),
        Field("from", say("From (first day)"), "date", visit.today.isoformat(), is_needed=True),
        Field("until", say("Until (last day)"), "date"),
    ]
    lead = name_of(await body_of(records, "Practitioner", id_))
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back, lead=lead)
    sent = Sent(visit)
    code = sent.text("institution", is_needed=True, length_max=18)
    first, last = sent.day("from", is_needed=True), sent.day("until")
    place = await records.desk(Registers).institution(code) if code else None
    if code and place is None:
        sent.faults["institution"] = say("No institution of the register has this code.")
    if sent.is_sound and first is not None and place is not None:
        body = practice_body(id_, place.id, first, last)
        with sent.blaming(_BLAMED_MORE):
            await records.create("PractitionerRole", msgspec.json.encode(body))
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


@page(f"{LIST}/{{id}}/leave", access=KEEPING, methods=("GET", "POST"))
async def end_place(visit: Visit, records: DeclaredRecords) -> Response:
    """End that somebody practises at an institution."""
    id_, say = visit.path("id"), visit.say
    back, title, button = f"{LIST}/{id_}", say("End a place"), say("End")
    wanted = ("practitioner", f"Practitioner/{id_}")
    hits = await records.find("PractitionerRole", wanted, count=_PLACES_MAX)
    roles = {one.id: (one, msgspec.json.decode(one.body or b"{}")) for one in hits.matches}
    numbers = [
        (role, await _place(records, body))
        for role, (_, body) in roles.items()
        if not (body.get("period") or {}).get("end") and body.get("active", True)
    ]
    fields = [
        Field("role", say("Institution"), "select", choices=numbers, is_needed=True),
        Field("until", say("Until (last day)"), "date", visit.today.isoformat(), is_needed=True),
    ]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back)
    sent = Sent(visit)
    role = sent.choice("role", (code for code, _ in numbers), is_needed=True)
    last = sent.day("until", is_needed=True)
    if sent.is_sound and last is not None:
        if not is_confirmed(visit):
            after = say("After that day they do nothing there that needs a licence of that place.")
            told = f"{dict(numbers)[role]}{visit.colon}{last.isoformat()}"
            return confirm_page(visit, title, [told, after], back=back)
        stored, body = roles[role]
        with sent.blaming(_BLAMED_MORE):
            draft = ended_practice(body, last, records.zone)
            await records.update(
                "PractitionerRole", role, msgspec.json.encode(draft), if_match=stored.version
            )
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


class _Form(msgspec.Struct, frozen=True):
    """A form that changes a Practitioner: `draft` gives what it is then, None when something is
    wrong; `asked` is what is asked before, when the change stops them.
    """

    title: str
    fields: list[Field]
    draft: Callable[[Sent, dict[str, Any]], dict[str, Any] | None]
    asked: tuple[str, ...] = ()


async def _change(visit: Visit, records: DeclaredRecords, form: _Form) -> Response:
    id_ = visit.path("id")
    back, button = f"{LIST}/{id_}", visit.say("Save")
    stored = await records.read("Practitioner", id_)
    body: dict[str, Any] = msgspec.json.decode(stored.body or b"{}")
    if visit.request.method == "GET":
        return form_page(
            visit, form.title, form.fields, button=button, back=back, lead=name_of(body)
        )
    sent = Sent(visit)
    with sent.blaming(_BLAMED_MORE):
        drafted = form.draft(sent, body)
        if drafted is not None and form.asked and not is_confirmed(visit):
            return confirm_page(visit, form.title, form.asked, back=back)
        if drafted is not None:
            raw = msgspec.json.encode(drafted)
            await records.update("Practitioner", id_, raw, if_match=stored.version)
            return visit.go(back)
    return form_page(visit, form.title, form.fields, button=button, back=back, sent=sent)


def _licences(body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body.get("qualification") or []
    return found


def _licence(visit: Visit, qualification: dict[str, Any]) -> str:
    """A licence in words, with its days."""
    codings = (qualification.get("code") or {}).get("coding") or [{}]
    period = qualification.get("period") or {}
    kind = word_of(visit, licence_rule().kind, codings[0].get("code"))
    return f"{kind} {period.get('start', '')} → {period.get('end', '')}"


async def _place(records: DeclaredRecords, role: dict[str, Any]) -> str:
    reference = (role.get("organization") or {}).get("reference", "")
    try:
        return str((await body_of(records, "Organization", reference.partition("/")[2]))["name"])
    except (Problem, KeyError):
        return str(reference)


PAGES: Final[tuple[Page, ...]] = (enter, enter_licence, put_into_state, enter_place, end_place)
