"""What a list of petitions is asked for by its address."""

from __future__ import annotations

from typing import Final

from quanmin.applications.petitions.words import choices
from quanmin.base.problems import Malformed
from quanmin.trust.lifecycle.petition_rules import petition_rules
from quanmin.trust.lifecycle.petitions import Wanted
from quanmin.web import Visit
from quanmin.web.forms import Field

NOBODY: Final = "-"
"""In place of an institution's code: those that none answers."""


def filters(visit: Visit) -> list[Field]:
    """The fields by which it is narrowed."""
    rules, say, asked = petition_rules(), visit.say, visit.asked
    some = ("", say("any"))
    kinds, states = choices(visit, rules.kind), choices(visit, rules.state)
    show = [("", say("all")), ("1", say("only those without an answer")), ("late", say("overdue"))]
    return [
        Field("kind", say("Asks for"), "select", asked("kind"), [some, *kinds]),
        Field("state", say("State"), "select", asked("state"), [some, *states]),
        Field(
            "answerer",
            say("Code of the institution"),
            value=asked("answerer"),
            hint=say("A hyphen alone: those that no institution answers."),
        ),
        Field("open", say("Show"), "select", asked("open"), show),
    ]


def wanted_of(visit: Visit) -> Wanted:
    """Which petitions the address asks for."""
    answerer = visit.asked("answerer").strip()
    return Wanted(
        kind=visit.asked("kind") or None,
        state=visit.asked("state") or None,
        answerer="" if answerer == NOBODY else answerer or None,
        only_open=visit.asked("open") == "1",
        only_late=visit.asked("open") == "late",
    )


def place_of(text: str) -> tuple[int, int] | None:
    """After which petition the list goes on; None for the beginning. Raises Malformed."""
    if not text:
        return None
    due, _, number = text.partition("-")
    try:
        place = int(due), int(number)
    except ValueError as error:
        raise Malformed("this is no place in the list: begin from its first page") from error
    if not all(abs(number) < 1 << 63 for number in place):
        raise Malformed("this is no place in the list: begin from its first page")
    return place
