"""What the pages of the processing register show, in words."""

from __future__ import annotations

from typing import Any, Final

from quanmin.trust.lifecycle.activities import Entered, ProcessingRegister
from quanmin.trust.lifecycle.activity_rules import activity_rules
from quanmin.web import Visit

TEXTS: Final = (
    *("title", "purpose", "data", "persons", "recipients", "source", "retention", "measures"),
    *("risks", "owner", "country"),
)
ASSESSED: Final = ("on", "by", "result", "next")


async def found_uses(visit: Visit, desk: ProcessingRegister) -> Any:
    """Everything of the node that is, or is to be, part of an entry; gaps first."""
    applications = [one.name for one in visit.house.applications]
    return await desk.uses(applications, desk.purposes())


def told_entry(visit: Visit, one: Entered) -> dict[str, Any]:
    """An entry in words."""
    activity, say = one.activity, visit.say
    words = {name: str(getattr(activity, name)) for name in TEXTS}
    words["bases"] = visit.semicolon.join(
        f"{basis_words(visit, basis)} ({basis.article})"
        for basis in activity_rules().basis
        if basis.code in activity.bases
    )
    words["sensitive"] = say("yes") if activity.is_sensitive else say("no")
    words |= {f"assessed_{name}": getattr(activity.assessment, name) for name in ASSESSED}
    return {
        "code": one.code,
        "title": activity.title,
        "version": one.version,
        "since": visit.moment(one.at),
        "by": one.by,
        "is_in_force": one.is_in_force,
        "state": say("in force") if one.is_in_force else say("ended"),
        "is_overdue": one.is_in_force and activity.is_overdue(visit.today),
        "fields": [(label, words[name]) for name, label in labels(visit)],
    }


def labels(visit: Visit) -> list[tuple[str, str]]:
    """What the fields of an entry are called, by their names."""
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
        ("risks", say("Risks to be weighed")),
        ("country", say("Country outside China (code; empty: none)")),
        ("owner", say("Who answers for it")),
        ("assessed_on", say("Risks assessed on")),
        ("assessed_by", say("Risks assessed by")),
        ("assessed_result", say("Result of the assessment")),
        ("assessed_next", say("Next assessment due")),
    ]


def kinds(visit: Visit) -> dict[str, str]:
    """What the kinds of things are called that are part of entries."""
    say = visit.say
    return {
        "application": say("Application"),
        "purpose": say("Purpose of use"),
        "client": say("Client"),
        "export": say("Export"),
    }


def basis_words(visit: Visit, basis: Any) -> str:
    """What a lawful ground is called."""
    return str(basis.zh if visit.language == "zh" else basis.en)


def may_write(visit: Visit) -> bool:
    """Whether the visitor keeps the register."""
    return visit.actor is not None and visit.actor.role in activity_rules().roles.writes
