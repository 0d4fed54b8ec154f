"""Examples of an application's rules: what is given, what must come of it, as data.

[[example]]
title = "The second dose ten days after the first"
rule = "may_give"
given = { vaccine = "HepB", previous = 2026-01-10, on = 2026-01-20 }
then = { allowed = false, reasons = ["interval-too-short"] }
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from quanmin.workflow.states.loading import FILE
from quanmin.workflow.states.model import Rule, Words, Workflow, workflow_rule


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule must answer; the reasons are those of a yes as well, where it has some."""

    allowed: bool
    reasons: tuple[str, ...] = ()


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case of a rule; `given` are the facts that it asks for, by name."""

    title: str
    rule: str
    given: dict[str, Any]
    then: Outcome


def faults_of_examples(
    folder: Path, rules: Mapping[str, Rule], workflow: Workflow | None = None
) -> list[str]:
    """What is wrong with the examples in an application's folder: one that does not hold or cannot
    be read, a rule without an example of a yes and one of a no, a reason for a no without words.
    """
    faults: list[str] = []
    answers: dict[str, set[bool]] = {name: set() for name in rules}
    reasons: dict[str, Words] = dict(workflow_rule().words)
    reasons.update(workflow.reasons if workflow is not None else {})
    for path in sorted((folder / "examples").glob("*.toml")):
        raw = tomllib.loads(path.read_text("utf-8")).get("example", [])
        for number, one in enumerate(raw, start=1):
            place = f"{folder.name}/examples/{path.name}, example {number}"
            try:
                example = msgspec.convert(one, Example)
            except msgspec.ValidationError as error:
                faults.append(f"{place}: {error}")
                continue
            faults += [f"{place} ({example.title}): {fault}" for fault in _missed(example, rules)]
            answers.get(example.rule, set()).add(example.then.allowed)
            if workflow is not None and not example.then.allowed:
                faults += [
                    f"{place}: {FILE} has no words for the reason {reason}"
                    for reason in example.then.reasons
                    if reason not in reasons and f"{reason.partition(':')[0]}:" not in reasons
                ]
    for name, given in answers.items():
        faults += [
            f"{folder.name}/rules.py: {name} has no example of a {word}"
            for is_yes, word in ((True, "yes"), (False, "no"))
            if is_yes not in given
        ]
    return faults


def _missed(example: Example, rules: Mapping[str, Rule]) -> list[str]:
    if example.rule not in rules:
        return [f"there is no rule {example.rule}"]
    try:
        decision = rules[example.rule](**example.given)
    except TypeError as error:  # facts that the rule does not ask for, or lacks
        return [str(error)]
    if (decision.allowed, decision.reasons) == (example.then.allowed, example.then.reasons):
        return []
    return [f"it is {decision.allowed} for {list(decision.reasons)}"]
