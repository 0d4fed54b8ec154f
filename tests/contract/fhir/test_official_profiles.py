"""The profiles that HL7 published with R4, and its own examples held to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
from profiling import BASE
from shared import members

from quanmin.base.problems import Issue
from quanmin.fhir.json import decode
from quanmin.fhir.profiles import (
    Definition,
    Knowledge,
    Profile,
    check_record,
    claims_of,
    compile_profile,
    read_definition,
)

ARCHIVE = "hl7.fhir.r4.examples-4.0.1.tar.xz"

# Extensions that R4 uses in other places than their own definitions allow, looked at by hand: the
# type of an id stands on ElementDefinition.type and not on its code, normative-version on all kinds
# of artifacts, regex on ElementDefinition.type, comments on concepts of a CodeSystem as well.
MISPLACED = {
    "structuredefinition-fhir-type",
    "structuredefinition-normative-version",
    "regex",
    "valueset-concept-comments",
}

# Which examples keep which profile, by what HL7 says they are examples of.
KEPT = {
    "bp": ("blood-pressure", "blood-pressure-cancel", "blood-pressure-dar"),
    "bodyheight": ("body-height", "body-length"),
    "bodytemp": ("body-temperature",),
    "bodyweight": ("example",),
    "bmi": ("bmi", "bmi-using-related"),
    "headcircum": ("head-circumference",),
    "heartrate": ("heart-rate",),
    "oxygensat": ("satO2",),
    "resprate": ("respiratory-rate",),
    "vitalspanel": ("vitals-panel",),
}
PAIRS = [(name, example) for name, examples in KEPT.items() for example in examples]


@lru_cache(maxsize=1)
def files() -> dict[str, bytes]:
    return {name.rpartition("/")[2]: raw for name, raw in members(ARCHIVE)}


@lru_cache(maxsize=1)
def definitions() -> dict[str, Definition]:
    found = {}
    for name, raw in files().items():
        if name.startswith("StructureDefinition-"):
            definition = read_definition(raw)
            if definition.is_profile:
                found[definition.url] = definition
    return found


@lru_cache(maxsize=1024)
def compiled(url: str) -> Profile:
    definition = definitions()[url]
    base = compiled(definition.base) if definition.base else None
    return compile_profile(definition, base)


@lru_cache(maxsize=1)
def profiles() -> dict[str, Profile | str | None]:
    return {url: compiled(url) for url in definitions()}


def errors(resource: dict[str, Any], *urls: str) -> list[Issue]:
    """The errors of a record; codes and records that are not at hand are unknown."""
    knowledge = Knowledge(dict(profiles()))
    issues: list[Issue] = []
    for _ in range(9):
        issues = check_record(resource, knowledge, profiles=urls)
        if knowledge.is_enough:
            break
        knowledge.profiles |= dict.fromkeys(knowledge.wanted_profiles)
        knowledge.members |= dict.fromkeys(knowledge.wanted_members)
        knowledge.targets |= dict.fromkeys(knowledge.wanted_targets)
        knowledge.wanted_profiles.clear()
        knowledge.wanted_members.clear()
        knowledge.wanted_targets.clear()
    assert knowledge.is_enough
    return [issue for issue in issues if issue.severity == "error"]


def test_every_profile_of_r4_can_be_compiled() -> None:
    assert len(definitions()) > 430
    assert len(profiles()) == len(definitions())


def test_every_example_of_r4_keeps_the_profiles_it_claims() -> None:
    claiming, broken = 0, []
    for name, raw in files().items():
        if b'"profile"' not in raw:
            continue
        resource = decode(raw)
        if not claims_of(resource):
            continue
        claiming += 1
        broken += [
            f"{name}: {issue.text}"
            for issue in errors(resource)
            if not any(f"{BASE}{word} may stand in" in issue.text for word in MISPLACED)
        ]
    assert claiming > 1900
    assert broken == []


@pytest.mark.parametrize(("name", "example"), PAIRS)
def test_the_examples_of_vital_signs_keep_their_own_profile(name: str, example: str) -> None:
    resource = decode(files()[f"Observation-{example}.json"])
    assert errors(resource, BASE + name) == []
    others = {"bodyweight", "heartrate", "resprate"} - {name}
    assert all(errors(resource, BASE + other) for other in others)


@pytest.mark.parametrize(("name", "example"), PAIRS)
def test_a_required_element_taken_out_is_missed(name: str, example: str) -> None:
    """What is required is read off the snapshot by paths alone, without our compiler."""
    taken = 0
    for path in required(name):
        resource = decode(files()[f"Observation-{example}.json"])
        if not take_out(resource, path.split(".")[1:]):
            continue
        taken += 1
        assert errors(resource, BASE + name), path
    assert taken >= 3


@pytest.mark.parametrize(("name", "example"), PAIRS)
def test_a_fixed_code_changed_is_noticed(name: str, example: str) -> None:
    fixed = {
        each["fixedCode"]
        for each in snapshot(name)
        if "fixedCode" in each and each.get("min", 0) > 0
    }
    original = decode(files()[f"Observation-{example}.json"])
    changed = 0
    for place in codings(original):
        if place["code"] in fixed:
            resource = copy.deepcopy(original)
            for coding in codings(resource):
                if coding == place:
                    coding["code"] = "0-0"
            changed += 1
            assert errors(resource, BASE + name), place
    assert changed >= 1


def snapshot(name: str) -> list[dict[str, Any]]:
    raw = json.loads(files()[f"StructureDefinition-{name}.json"])
    elements: list[dict[str, Any]] = raw["snapshot"]["element"]
    return elements


def required(name: str) -> set[str]:
    """Paths that must be there, in some slice or in all; those R4 requires itself left out."""
    ours = {
        each["path"]
        for each in snapshot(name)
        if each.get("min", 0) > 0 and each.get("base", {}).get("min", 0) == 0
    }
    return {path.replace("[x]", "") for path in ours if "." in path}


def take_out(value: Any, steps: list[str]) -> bool:
    """Whether anything stood at the path, and is gone now."""
    if isinstance(value, list):
        return any(take_out(each, steps) for each in value)
    if not isinstance(value, dict):
        return False
    names = [key for key in value if key == steps[0] or _is_choice(key, steps[0])]
    if len(steps) > 1:
        return any(take_out(value[key], steps[1:]) for key in names)
    for key in names:
        del value[key]
    return bool(names)


def _is_choice(key: str, step: str) -> bool:
    return step in {"value", "effective"} and key.startswith(step) and key[len(step)].isupper()


def codings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from codings(each)
    elif isinstance(value, dict):
        if isinstance(value.get("code"), str):
            yield value
        for key, each in value.items():
            # Of the units of reference ranges these profiles say nothing.
            if key != "referenceRange":
                yield from codings(each)
