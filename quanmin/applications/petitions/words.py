"""What petitions are called on a page: kinds, states, steps and sides in the visitor's language."""

from __future__ import annotations

from typing import Any

from quanmin.trust.lifecycle.petition_record import Petition
from quanmin.trust.lifecycle.petition_rules import Kind, petition_rules
from quanmin.trust.lifecycle.petitions import Waiting
from quanmin.trust.lifecycle.retention_rules import Clock, Keeping, retention_rules
from quanmin.web import Visit
from quanmin.web.forms import Cell
from quanmin.web.labels import tell_type
from quanmin.web.work_list import Task


def word(visit: Visit, listed: Any, code: str) -> str:
    """The word of a definition for a code; the code itself when it has none."""
    for one in listed:
        if one.code == code:
            return str(one.zh if visit.language == "zh" else one.en)
    return code


def source_of(visit: Visit, one: Kind | Clock) -> str:
    """The law that something rests on, in the visitor's language."""
    return one.source_zh if visit.language == "zh" else one.source


def choices(visit: Visit, listed: Any) -> list[tuple[str, str]]:
    """Codes with their words, for a field to choose from."""
    return [(one.code, word(visit, listed, one.code)) for one in listed]


def task(visit: Visit, one: Waiting, *, is_linked: bool) -> Task:
    """A petition as a row of a work list; what has its answer is due no more."""
    rules, id_ = petition_rules(), one.id(visit.house.guard.store.context.prefix)
    return Task(
        what=word(visit, rules.kind, one.kind),
        link=f"/petitions/{id_}" if is_linked else "",
        due=one.due if one.is_open else None,
        state=word(visit, rules.state, one.state),
        owner=one.named,
        place="{}-{}".format(*one.place),
        more=(Cell(visit.moment(one.filed)[:10], is_number=True), Cell(id_, is_number=True)),
    )


def told_steps(visit: Visit, petition: Petition) -> list[dict[str, str]]:
    """The steps that were taken, the newest first."""
    rules = petition_rules()
    mine, theirs = visit.say("The person who asks"), visit.say("%(name)s, for the person who asks")
    return [
        {
            "when": visit.moment(one.at),
            "step": word(visit, rules.step, one.step),
            "by": theirs % {"name": one.proxy}
            if one.proxy
            else (mine if one.by == "asker" else one.by),
            "words": one.words,
        }
        for one in reversed(petition.taken)
    ]


def told_kept(visit: Visit, kept: tuple[Keeping, ...]) -> list[dict[str, str]]:
    """What the law keeps, by type and clock."""
    clocks = {one.code: one for one in retention_rules().clock}
    return [
        {
            "type": tell_type(one.type, visit.language).text,
            "count": str(one.count),
            "clock": word(visit, clocks.values(), one.clock),
            "source": source_of(visit, clocks[one.clock]),
            "until": visit.moment(one.until)[:10],
        }
        for one in sorted(kept, key=lambda one: (-one.until, one.type))
    ]
