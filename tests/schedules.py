"""What examples of the schedule of vaccination claim, asked of a plan."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from planning import facts

from quanmin.workflow.plans import Event, Facts, Item, Plan, due_items, would_count
from quanmin.workflow.stock import products

DAY = timedelta(days=1)


def known(example: dict[str, Any]) -> Facts:
    """The person of an example."""
    told = [one.split() for one in example.get("before", [])]
    events = [f"{products()[code].plan} {on}" for code, on in told]
    more = {name: example[name] for name in ("sex", "groups", "states") if name in example}
    return facts(example["born"].isoformat(), *events, **more)


def is_held(plan: Plan, example: dict[str, Any]) -> bool:
    """Whether a dose counts from its first day to its last, and not on a day with a reason."""
    someone, code = known(example), products()[example["product"]].plan

    def counts(on: date) -> bool:
        places = would_count(plan, someone, Event(on, code))
        return any(one.turn and example.get("turn", one.turn) == one.turn for one in places)

    claims = []
    if "first" in example:
        first: date = example["first"]
        claims += [counts(first), first == someone.born or not counts(first - DAY)]
    if "last" in example:
        claims += [counts(example["last"]), not counts(example["last"] + DAY)]
    if "on" in example:
        claims.append(not counts(example["on"]))
    return all(claims)


def is_dated(plan: Plan, example: dict[str, Any]) -> bool:
    """Whether a dose is due from its day on and late from its day on."""
    someone = known(example)

    def item(on: date) -> Item:
        return next(one for one in due_items(plan, someone, on) if one.series == example["series"])

    due, overdue = example["due"], example["overdue"]
    return (
        (item(due).due, item(due).overdue) == (due, overdue)
        and [item(on).status for on in (due - DAY, due)] == ["planned", "due"]
        and [item(on).status for on in (overdue - DAY, overdue)] == ["due", "overdue"]
    )
