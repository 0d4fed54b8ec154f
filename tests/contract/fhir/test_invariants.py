"""The rules of R4 over all official examples: those that break one are known, and why."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from shared import members as archived

from quanmin.fhir.invariants import broken, invariants
from quanmin.fhir.json import decode
from quanmin.fhir.path import PathProblem, compile_path
from quanmin.fhir.path.types import UNKNOWN, fhir_type
from quanmin.fhir.table import load_table
from quanmin.fhir.validation.fast import is_clean

BROKEN = Path(__file__).parent / "broken_invariants.json"


def test_every_rule_of_the_release_compiles() -> None:
    assert len(invariants()) == 241
    assert all(compile_path(rule.expression) for rule in invariants())


def test_every_rule_but_one_of_hl7_names_only_what_its_type_has() -> None:
    wrong = {}
    for rule in invariants():
        if fhir_type(rule.place) is not UNKNOWN:
            try:
                compile_path(rule.expression).check(rule.place)
            except PathProblem as problem:
                wrong[rule.key] = problem.text
    # R4 gave the rule about names to a type that has a title only.
    assert wrong.keys() == {"cid-0"}
    assert "has no element name" in wrong["cid-0"]


def test_a_broken_rule_is_found_where_it_is_broken() -> None:
    patient = {
        "resourceType": "Patient",
        "contact": [{"name": {"text": "a"}}, {"gender": "male"}],
        "identifier": [{"period": {"start": "2020-01-02", "end": "2020-01-01"}}],
        "telecom": [{"value": "1"}],
    }
    found = {(rule.key, node.location) for rule, node in broken(patient)}
    assert found == {
        ("dom-6", "Patient"),
        ("pat-1", "Patient.contact[1]"),
        ("per-1", "Patient.identifier[0].period"),
        ("cpt-2", "Patient.telecom[0]"),
    }
    errors = broken(patient, severities=frozenset({"error"}), without=frozenset({"per-1"}))
    assert {rule.key for rule, _ in errors} == {"pat-1", "cpt-2"}


def test_what_must_be_distinct_is_told_though_the_rule_asks_for_more_before_it() -> None:
    """bdl-7, sdf-1, sdf-16 and sdf-17 begin with something else."""
    url, ids = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", ["Patient", "Patient"]
    entry = {"fullUrl": url, "resource": {"resourceType": "Basic"}}
    elements = {"element": [{"id": id_, "path": "Patient"} for id_ in ids]}
    definition = {"resourceType": "StructureDefinition", "differential": elements}
    whole = {**definition, "derivation": "specialization", "snapshot": elements}

    def places(resource: dict[str, Any]) -> set[tuple[str, str]]:
        return {(rule.key, node.location) for rule, node in broken(resource)}

    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [entry, entry]}
    assert ("bdl-7", "Bundle") in places(bundle)
    second = "StructureDefinition.differential.element[1].id"
    assert ("sdf-17", second) in places(definition)
    assert {("sdf-1", second.replace("differential", "snapshot").replace(".id", ".path"))} < places(
        whole
    )
    assert ("sdf-16", second.replace("differential", "snapshot")) in places(whole)


def test_a_rule_for_one_place_is_kept_there_and_nowhere_else() -> None:
    home = {"telecom": [{"system": "phone", "value": "1", "use": "home"}], "name": "a"}
    organization = {"resourceType": "Organization", **home}
    practitioner = {"resourceType": "Practitioner", "telecom": home["telecom"]}
    assert [rule.key for rule, _ in broken(organization, without=frozenset({"dom-6"}))] == ["org-3"]
    assert list(broken(practitioner, without=frozenset({"dom-6"}))) == []


class Judged(NamedTuple):
    """What is found in official examples: errors by file, warnings by rule, and how many pass."""

    errors: dict[str, list[str]]
    warnings: Counter[str]
    clean: int
    ruled: int


def judged(every: int) -> Judged:
    """The judgement on each `every`-th example; both halves of validation have to agree on it."""
    errors: dict[str, list[str]] = {}
    warnings: Counter[str] = Counter()
    clean, ruled = 0, 0
    for number, (path, raw) in enumerate(archived("hl7.fhir.r4.examples-4.0.1.tar.xz")):
        resource = decode(raw) if number % every == 0 else {}
        if resource.get("resourceType") not in load_table().types:
            continue
        is_ruled = is_clean(resource["resourceType"], raw)
        clean += is_clean(resource["resourceType"], raw, is_ruled=False)
        ruled += is_ruled
        for rule, node in broken(resource):
            assert not is_ruled or rule.severity == "warning", f"{path}: {rule.key} was passed fast"
            if rule.severity == "error":
                errors.setdefault(Path(path).name, []).append(f"{rule.key} {node.location}")
            else:
                warnings[rule.key] += 1
    return Judged(errors, warnings, clean, ruled)


def listed() -> dict[str, list[str]]:
    """The errors that are known, by file, without their reasons."""
    files = json.loads(BROKEN.read_text("utf-8"))["errors"]
    return {file: [line for lines in why.values() for line in lines] for file, why in files.items()}


@pytest.mark.shared
def test_no_official_example_breaks_a_rule_that_is_not_listed_with_a_reason() -> None:
    found = judged(every=8)
    assert found.errors.items() <= listed().items()
    assert found.warnings["dom-6"] > 100
    # The others are bundles and definitions, whose rules compare whole lists.
    assert found.clean > found.ruled > 350
