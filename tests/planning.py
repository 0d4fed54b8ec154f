"""PlanDefinitions for tests of plans, written as briefly as their meaning allows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from importlib import resources
from typing import Any

import msgspec

from quanmin.fhir.json import decode
from quanmin.workflow.plans import (
    Event,
    Facts,
    Item,
    Plan,
    State,
    compile_plan,
    due_items,
    population_of,
    standings,
)

BASE = "https://quanmin.example/fhir/StructureDefinition/plan-"
UCUM = "http://unitsofmeasure.org"


def quantity(text: str) -> dict[str, Any]:
    count, unit = text.split()
    return {"value": int(count), "unit": unit, "system": UCUM, "code": unit}


def says(name: str, text: Any) -> dict[str, Any]:
    """An extension: its kind of value is told by its form."""
    url = (
        name
        if name in {"id", "after", "span", "sameDay", "series", "state", "effect", "to"}
        else ""
    )
    url = url or f"{BASE}{name}"
    if isinstance(text, bool):
        return {"url": url, "valueBoolean": text}
    if text[0].isdigit():
        return {"url": url, "valueDuration": quantity(text)}
    return {"url": url, "valueCode": text}


def holds(name: str, *inside: dict[str, Any]) -> dict[str, Any]:
    return {"url": f"{BASE}{name}", "extension": list(inside)}


def hindered(state: str, effect: str) -> dict[str, Any]:
    return holds("contraindication", says("state", state), says("effect", effect))


def escalates(after: str, to: str) -> dict[str, Any]:
    return holds("escalation", says("after", after), says("to", to))


def apart(id_: str, after: Iterable[str], span: str, series: str, *, same_day: bool) -> Any:
    codes = [says("after", code) for code in after]
    more = [says("span", span), says("sameDay", same_day), says("series", series)]
    return holds("apart", says("id", id_), *codes, *more)


def when(text: str) -> list[dict[str, Any]]:
    expression = {"language": "text/fhirpath", "expression": text}
    return [{"kind": "applicability", "expression": expression}]


def action(id_: str, *extensions: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = {"id": id_, "title": id_, **more}
    return {**made, "extension": list(extensions)} if extensions else made


def turn(id_: str, due: str, *extensions: dict[str, Any], after: str = "", **more: Any) -> Any:
    """`due` is an age, or with a plus so long after the turn before. `after` is "turn: span", and
    several with a semicolon between them.
    """
    name = "timingDuration" if due.startswith(("+", "0")) else "timingAge"
    made = action(id_, *extensions, **{name: quantity(due.lstrip("+"))}, **more)
    if after:
        made["relatedAction"] = [related(*one.split(": ")) for one in after.split("; ")]
    return made


def related(id_: str, span: str) -> dict[str, Any]:
    return {"actionId": id_, "relationship": "after", "offsetDuration": quantity(span)}


def series(id_: str, counts: str, parts: list[Any], *extensions: Any, **more: Any) -> Any:
    codes = [says("counts", code) for code in counts.split()]
    return action(id_, *codes, *extensions, action=parts, **more)


def visits(id_: str, counts: str, cases: list[Any], *extensions: Any, **more: Any) -> Any:
    return series(id_, counts, cases, *extensions, selectionBehavior="at-most-one", **more)


def case(id_: str, of: str, span: str, condition: str = "", **more: Any) -> dict[str, Any]:
    made = action(id_, relatedAction=[related(of, span)], **more)
    return {**made, "condition": when(condition)} if condition else made


def alternatives(id_: str, *members: Any) -> dict[str, Any]:
    return action(id_, selectionBehavior="exactly-one", action=list(members))


def definition(*actions: Any, apart_rules: Iterable[Any] = (), **more: Any) -> dict[str, Any]:
    rules = list(apart_rules)
    made = {
        "resourceType": "PlanDefinition",
        "url": "https://quanmin.example/fhir/PlanDefinition/test",
        "version": "1",
        "title": "A plan of a test",
        "status": "draft",
        "publisher": "the test",
        "relatedArtifact": [{"type": "derived-from", "display": "the test"}],
        "action": list(actions),
        **more,
    }
    return {**made, "extension": rules} if rules else made


def plan(*actions: Any, **more: Any) -> Plan:
    return compile_plan(definition(*actions, **more))


def shipped_text(name: str) -> bytes:
    return (resources.files("quanmin") / "definitions" / "plans" / name).read_bytes()


def activities() -> list[dict[str, Any]]:
    return [entry["resource"] for entry in decode(shipped_text("activities.json"))["entry"]]


def shipped(name: str) -> Plan:
    """A plan of the program's own."""
    return compile_plan(decode(shipped_text(f"{name}.json")), activities())


def day(text: str) -> date:
    return date.fromisoformat(text)


def facts(born: str, *events: str, **more: Any) -> Facts:
    """Events are "code day" or "code day result"; `states` are "code since until", "-" is open."""
    happened = []
    for text in events:
        code, on, *detail = text.split()
        happened.append(Event(day(on), code, *detail))
    held = []
    for text in more.pop("states", ()):
        code, since, until = text.split()
        held.append(State(code, *(None if one == "-" else day(one) for one in (since, until))))
    groups = frozenset(more.pop("groups", ()))
    return Facts(born=day(born), events=tuple(happened), states=tuple(held), groups=groups, **more)


def item_of(of: Plan, series_id: str, someone: Facts, today: str) -> Item:
    """Where somebody stands in a series; in columns it is the same."""
    found = due_items(of, someone, day(today))
    columns = standings(of, population_of([someone]), day(today))
    assert [one.item(0) for one in columns] == [
        msgspec.structs.replace(one, reasons=()) for one in found
    ]
    (item,) = (one for one in found if one.series == series_id)
    return item
