"""What the pages of tenants show, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from quanmin.trust.registers.entry import OPEN_END, OPEN_START
from quanmin.trust.registers.tenant_rule import tenant_rule
from quanmin.trust.registers.tenants import Agreement, Switched, Tenant
from quanmin.web import Visit


def states(visit: Visit) -> dict[str, str]:
    """The states of a tenant, with their words."""
    say = visit.say
    return {"to-come": say("To come"), "in-force": say("In force"), "ended": say("Ended")}


def tenant_row(visit: Visit, one: Tenant, state: str) -> dict[str, str]:
    """A line of the list."""
    return {
        "code": one.code,
        "name": one.name_zh if visit.language == "zh" else one.name_en,
        "division": one.division,
        "parent": one.parent or "",
        "state": states(visit)[state],
        "since": day(visit, one.since),
        "until": day(visit, one.until, is_end=True),
    }


def application_rows(visit: Visit, switched: Sequence[Switched]) -> list[dict[str, Any]]:
    """The applications of the node, then whatever else was decided of: clients, by their code."""
    rule = tenant_rule().applications
    decided = {one.application: one for one in switched}
    titles = {one.name: one.title.told(visit.language) for one in visit.house.applications}
    rows = []
    for code in [*titles, *sorted(decided.keys() - titles.keys())]:
        one = decided.get(code)
        rows.append(
            {
                "code": code,
                "title": titles.get(code, code),
                "is_on": code in rule.always_on or (rule.default_on if one is None else one.is_on),
                "is_fixed": code in rule.always_on,
                "since": "" if one is None else day(visit, one.since),
            }
        )
    return rows


def agreement_row(visit: Visit, one: Agreement) -> dict[str, str]:
    """A line of the agreements."""
    every = visit.say("every tenant")
    return {
        "giver": one.giver or every,
        "taker": one.taker or every,
        "purposes": " ".join(one.purposes),
        "basis": one.basis,
        "since": day(visit, one.since),
        "until": day(visit, one.until, is_end=True),
    }


def day(visit: Visit, moment: int, *, is_end: bool = False) -> str:
    """A moment as its day, the last one of a period that it ends; nothing for an open end."""
    if moment in {OPEN_START, OPEN_END}:
        return ""
    when = datetime.fromtimestamp(moment / 1_000_000, visit.house.settings.zone)
    return f"{when - timedelta(microseconds=1 if is_end else 0):%Y-%m-%d}"
