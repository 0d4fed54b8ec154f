"""Each number of the norms of chronic, mental and infectious diseases has a quick test that notices
when it is one more or less (a tenth, where it has one).
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from planning import activities, shipped_text

from quanmin.base.problems import Problem
from quanmin.fhir.json import decode
from quanmin.workflow import chronic, mental
from quanmin.workflow.plans import compile_plan

UNIT = Path(__file__).parents[2] / "unit"
APPLICATIONS = Path(chronic.__file__).parents[1] / "applications"
TENTH = Decimal("0.1")
# Nobody is younger than the first target.
SAME = ["pressure target 0 age -1"]
Place = tuple[Any, Any]


def module_of(name: str) -> ModuleType:
    """A module of quick tests, without a runner."""
    spec = importlib.util.spec_from_file_location(f"quick_{Path(name).stem}", UNIT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calls_of(module: ModuleType) -> Iterator[Callable[[], None]]:
    """Its tests, each with each of its parameters; none of these modules has a fixture."""
    for name, test in vars(module).items():
        if not name.startswith("test_"):
            continue
        choices = []
        for mark in getattr(test, "pytestmark", ()):
            names, values = mark.args[:2]
            named = [one.strip() for one in names.split(",")] if isinstance(names, str) else names
            rows = [value if len(named) > 1 else (value,) for value in values]
            choices.append([dict(zip(named, row, strict=True)) for row in rows])
        for several in itertools.product(*choices):
            yield partial(test, **{key: value for one in several for key, value in one.items()})


def is_noticed(module: ModuleType) -> bool:
    """Whether one of its tests fails."""
    for call in calls_of(module):
        try:
            call()
        except (AssertionError, ValueError, Problem):
            return True
    return False


def numbers(node: Any, named: str = "") -> Iterator[tuple[str, Place]]:
    """Where numbers stand, with what they are called."""
    within = node.items() if isinstance(node, dict) else enumerate(node)
    for key, held in within:
        name = f"{named} {key}".strip()
        if isinstance(held, dict | list):
            yield from numbers(held, name)
        elif isinstance(held, int | float | Decimal) and not isinstance(held, bool):
            yield name, (node, key)


@contextmanager
def changed(place: Place, by: int) -> Iterator[None]:
    node, key = place
    kept = node[key]
    node[key] = kept + (by if isinstance(kept, int) else by * type(kept)(TENTH))
    try:
        yield
    finally:
        node[key] = kept


NOTIFIABLE: Any = importlib.import_module("quanmin.workflow.notifiable.diseases")
NORMS: list[tuple[str, Callable[[], Any]]] = [
    ("applications/test_chronic_examples", chronic.limits),
    ("applications/test_mental_examples", lambda: mental.norm()["numbers"]),
    (
        "workflow/test_notifiable",
        lambda: {
            name: held
            for name, held in NOTIFIABLE._raw("norm.toml").items()
            if isinstance(held, dict)
        },
    ),
]


@pytest.mark.parametrize(("tests", "norm"), NORMS, ids=[name for name, _ in NORMS])
def test_each_number_of_a_norm_is_held_by_a_quick_test(tests: str, norm: Callable[[], Any]) -> None:
    module = module_of(tests)
    assert not is_noticed(module)
    unnoticed = []
    for name, place in numbers(norm()):
        for by in (1, -1):
            with changed(place, by):
                if not is_noticed(module):
                    unnoticed.append(f"{name} {by:+}")
    assert unnoticed == [one for one in SAME if one in unnoticed]


PLANS = [
    ("workflow/test_hypertension_intervals", "hypertension-2017"),
    ("applications/test_diabetes_intervals", "diabetes-2017"),
    ("applications/test_mental_examples", "mental-2017"),
]


def plan_of(name: str) -> dict[str, Any]:
    own = APPLICATIONS / "mental_register" / "definitions" / f"{name}.json"
    whole: dict[str, Any] = decode(
        own.read_bytes() if own.is_file() else shipped_text(f"{name}.json")
    )
    return whole


def durations(node: Any, named: str = "") -> Iterator[tuple[str, Place]]:
    """Where whole numbers with a unit stand, with the turn that they are of."""
    if isinstance(node, dict):
        named = node["id"] if isinstance(node.get("id"), str) else named
        if isinstance(node.get("value"), int) and "code" in node:
            yield f"{named} {node['value']} {node['code']}", (node, "value")
    for held in node.values() if isinstance(node, dict) else node:
        if isinstance(held, dict | list):
            yield from durations(held, named)


@pytest.mark.parametrize(("tests", "name"), PLANS, ids=[name for _, name in PLANS])
def test_each_interval_of_a_plan_is_held_by_a_quick_test(tests: str, name: str) -> None:
    module, definition, parts = module_of(tests), copy.deepcopy(plan_of(name)), activities()
    assert not is_noticed(module)
    unnoticed = []
    for called, place in durations(definition):
        for by in (1, -1):
            with changed(place, by):
                try:
                    vars(module)["PLAN"] = compile_plan(definition, parts)
                except Problem:  # no plan at all
                    continue
                if not is_noticed(module):
                    unnoticed.append(f"{called} {by:+}")
    assert unnoticed == []
