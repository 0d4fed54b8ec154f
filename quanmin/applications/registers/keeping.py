"""Entering institutions, changing them, and putting them into another state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.responses import Response

from quanmin.applications.registers.pages import KEEPERS, KEEPING, headings, told_row
from quanmin.base.problems import NotFound
from quanmin.trust.registers import Institution
from quanmin.trust.registers.definitions import acting_states, institution_rule
from quanmin.trust.registers.drafting import institution_body, with_state
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.forms import (
    Field,
    Sent,
    choices,
    confirm_page,
    form_page,
    is_confirmed,
    plain,
    word_of,
)
from quanmin.web.sheet import sheet

_LIST: Final = "/registers/institutions"
_BLAMED: Final = {"identifier": "credit_code", "name": "name", "type": "kind", "extension": "from"}


@page(f"{_LIST}/new", access=KEEPING, methods=("GET", "POST"))
async def enter(visit: Visit, records: DeclaredRecords) -> Response:
    """Enter an institution."""
    title, button = visit.say("Enter an institution"), visit.say("Enter")
    fields = _fields(visit, is_new=True)
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=_LIST)
    sent = Sent(visit)
    values = _values(sent, is_new=True)
    parent = await _parent(visit, records, sent, values)
    if sent.is_sound:
        with sent.blaming(_BLAMED):
            await records.create(
                "Organization", msgspec.json.encode(institution_body(values, parent))
            )
            return visit.go(f"{_LIST}/{values['credit_code'].upper()}")
    return form_page(visit, title, fields, button=button, back=_LIST, sent=sent)


@page(f"{_LIST}/{{code}}/change", access=KEEPING, methods=("GET", "POST"))
async def change(visit: Visit, records: DeclaredRecords) -> Response:
    """Change what an institution is called and is."""
    now = (await _history(visit, records))[-1]
    back, title = f"{_LIST}/{now.code}", visit.say("Change the institution")
    fields = _fields(visit, now, await _code_of(records, now.parent), is_new=False)
    button = visit.say("Save")
    if visit.request.method == "GET":
        lead = visit.say("What is changed holds from now on; the history keeps what was.")
        return form_page(visit, title, fields, button=button, back=back, lead=lead)
    sent = Sent(visit)
    values = _values(sent, is_new=False)
    parent = await _parent(visit, records, sent, values)
    if parent is not None and parent == now.id:
        sent.faults["parent"] = visit.say("An institution is no part of itself.")
    if sent.is_sound:
        stored, body = await _stored(records, now.id)
        with sent.blaming(_BLAMED):
            draft = institution_body(values, parent, body)
            await records.update(
                "Organization", now.id, msgspec.json.encode(draft), if_match=stored.version
            )
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


@page(f"{_LIST}/{{code}}/state", access=KEEPING, methods=("GET", "POST"))
async def put_into_state(visit: Visit, records: DeclaredRecords) -> Response:
    """Put an institution into another state from a day on."""
    history = await _history(visit, records)
    now, rule = history[-1], institution_rule()
    back, title = f"{_LIST}/{now.code}", visit.say("Another state of the institution")
    button = visit.say("Save")
    fields = [
        Field("state", visit.say("State"), "select", now.state, choices(visit, rule.state)),
        Field("from", visit.say("From (first day)"), "date", visit.today.isoformat()),
    ]
    if visit.request.method == "GET":
        return form_page(visit, title, fields, button=button, back=back, lead=now.name)
    sent = Sent(visit)
    state = sent.choice("state", (one.code for one in rule.state), is_needed=True)
    first = sent.day("from", is_needed=True)
    if sent.is_sound and first is not None:
        if state not in acting_states() and not is_confirmed(visit):
            told = word_of(visit, rule.state, state)
            sentences = [
                f"{now.name}{visit.colon}{told}, {first.isoformat()}",
                visit.say(
                    "From that day on nobody acts for this institution, on pages or systems."
                ),
            ]
            return confirm_page(visit, title, sentences, back=back)
        stored, body = await _stored(records, now.id)
        draft = with_state(body, history, state, first, visit.house.settings.zone)
        with sent.blaming(_BLAMED):
            await records.update(
                "Organization", now.id, msgspec.json.encode(draft), if_match=stored.version
            )
            return visit.go(back)
    return form_page(visit, title, fields, button=button, back=back, sent=sent)


@page(f"{_LIST}/{{code}}/sheet.csv", access=KEEPERS)
async def history_sheet(visit: Visit, records: DeclaredRecords) -> Response:
    """All states of an institution as a sheet."""
    history = await _history(visit, records)

    async def rows() -> AsyncIterator[list[str]]:
        for row in plain(told_row(visit, one, is_linked=False) for one in history):
            yield row

    return sheet("institution", [one.words for one in headings(visit)], rows())


def _fields(
    visit: Visit, now: Institution | None = None, parent: str = "", *, is_new: bool
) -> list[Field]:
    rule, say = institution_rule(), visit.say
    none = [("", say("not stated"))]
    codes = [
        Field("credit_code", say("Unified social credit code"), is_needed=True, length_max=18),
        Field(
            "sender",
            say("Sender code"),
            hint=say("Under which its actors write; empty: the credit code. It never changes."),
            length_max=64,
        ),
    ]
    return [
        *(codes if is_new else ()),
        Field("name", say("Name"), value=now.name if now else "", is_needed=True),
        *(
            Field(
                name,
                label,
                "select",
                getattr(now, name) or "" if now else "",
                [*none, *choices(visit, words)],
            )
            for name, label, words in (
                ("kind", say("Kind"), rule.kind),
                ("level", say("Level"), rule.level),
                ("grade", say("Grade"), rule.grade),
            )
        ),
        Field("region", say("Division"), value=now.region if now else "", length_max=12),
        Field("parent", say("Part of (credit code)"), value=parent, length_max=18),
    ]


def _values(sent: Sent, *, is_new: bool) -> dict[str, str]:
    rule = institution_rule()
    codes = {"kind": rule.kind, "level": rule.level, "grade": rule.grade}
    return {
        "credit_code": sent.text("credit_code", is_needed=is_new, length_max=18),
        "sender": sent.text("sender", length_max=64),
        "name": sent.text("name", is_needed=True),
        "region": sent.text("region", length_max=12),
        "parent": sent.text("parent", length_max=18),
        **{name: sent.choice(name, (word.code for word in words)) for name, words in codes.items()},
    }


async def _parent(
    visit: Visit, records: DeclaredRecords, sent: Sent, values: dict[str, str]
) -> str | None:
    """The id of the institution that this is a part of."""
    if not values["parent"]:
        return None
    found = await records.institution_history(values["parent"].upper())
    if not found:
        sent.faults["parent"] = visit.say("No institution of the register has this code.")
        return None
    return found[-1].id


async def _code_of(records: DeclaredRecords, id_: str | None) -> str:
    found = await records.institution_history(id_) if id_ else []
    return found[-1].code if found else ""


async def _history(visit: Visit, records: DeclaredRecords) -> list[Institution]:
    history = await records.institution_history(visit.path("code"))
    if not history:
        raise NotFound("no institution of the register has this code")
    return list(history)


async def _stored(records: DeclaredRecords, id_: str) -> tuple[Any, dict[str, Any]]:
    stored = await records.read("Organization", id_)
    return stored, msgspec.json.decode(stored.body or b"{}")


PAGES: Final[tuple[Page, ...]] = (enter, change, put_into_state, history_sheet)
