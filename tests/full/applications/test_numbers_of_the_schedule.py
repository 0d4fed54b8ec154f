"""Each number of the national schedule has an example that notices when it is one more or less."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from planning import activities, shipped_text
from schedules import is_dated, is_held

from quanmin.base.problems import Problem
from quanmin.workflow.plans import Plan, compile_plan

EXAMPLES = tomllib.loads(
    files("quanmin")
    .joinpath("applications", "immunization", "examples", "schedule.toml")
    .read_text("utf-8")
)
# What another number of the schedule says as well, so that no day tells it alone: a dose that is
# 28 days after one at birth is at 28 days of age; injected live vaccines are 28 days apart anyway;
# a year after meningococcal A, which is given before two, nobody is three yet.
TOLD_TWICE = {
    *((f"{turn} least-age", by) for by in (1, -1)
      for turn in ("hepb-low-weight-3", "polio-3", "dtap-3")),
    *((f"{turn} least-age", -1)
      for turn in ("hepb-2", "hepb-exposed-2", "hepb-low-weight-2", "polio-2", "dtap-2",
                   "je-inactivated-2", "hpv-2")),
    ("mmr-2 offsetDuration", -1),
    ("mpsv-ac-1 offsetDuration", -1),
    ("mpsv-ac-2 timingAge", -1),
    ("je-inactivated-2 timingDuration", -1),
    ("hpv-2 timingDuration", -1),
}  # fmt: skip


def numbers(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where whole numbers with a unit stand."""
    if isinstance(node, dict):
        if isinstance(node.get("value"), int) and "code" in node:
            yield path
        for name, held in node.items():
            yield from numbers(held, (*path, name))
    elif isinstance(node, list):
        for place, held in enumerate(node):
            yield from numbers(held, (*path, place))


def named(definition: Any, path: tuple[Any, ...]) -> str:
    """The turn and the kind of a number."""
    node, turn, kind = definition, "", str(path[-1])
    for part in path:
        node = node[part]
        if isinstance(node, dict):
            turn = node["id"] if isinstance(node.get("id"), str) else turn
            url = str(node.get("url", ""))
            kind = url.rpartition("plan-")[2] if "plan-" in url else kind
    return f"{turn} {kind}"


def is_noticed(plan: Plan) -> bool:
    return not (
        all(is_held(plan, one) for one in EXAMPLES["dose"])
        and all(is_dated(plan, one) for one in EXAMPLES["late"])
    )


def test_each_number_of_the_schedule_is_held_by_an_example() -> None:
    definition, parts = json.loads(shipped_text("immunization-2026.json")), activities()
    assert not is_noticed(compile_plan(definition, parts))
    unnoticed = set()
    for path in numbers(definition):
        for by in (1, -1):
            changed = copy.deepcopy(definition)
            node = changed
            for part in path:
                node = node[part]
            node["value"] += by
            try:
                plan = compile_plan(changed, parts)
            except Problem:  # no schedule at all
                continue
            # When it is told of who is late says a unit test, for all series.
            if "escalation" not in named(definition, path) and not is_noticed(plan):
                unnoticed.add((named(definition, path), by))
    assert unnoticed == TOLD_TWICE
