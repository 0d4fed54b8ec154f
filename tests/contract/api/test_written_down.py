"""The page about the door and its definition files say what the door does and what HL7 says."""

from __future__ import annotations

import json
import tomllib

import build_summary_elements
from shared import ROOT, archive, members

from quanmin.api.callers import load_purposes
from quanmin.api.interactions import INTERACTIONS

PAGE = ROOT / "docs" / "reference" / "api.md"


def test_the_page_lists_every_interaction_and_no_other() -> None:
    rows = [line.split("|") for line in PAGE.read_text("utf-8").splitlines() if "|" in line]
    listed = {
        (row[1].strip(), "" if "the base" in row[2] else row[2].strip().strip("`"))
        for row in rows
        if row[1].strip() in {"GET", "POST", "PUT", "PATCH", "DELETE"}
    }
    assert listed == {(one.method, one.shape) for one in INTERACTIONS}


def test_the_purposes_are_those_of_hl7() -> None:
    found = {
        name: body
        for name, body in members("hl7.fhir.r4.expansions.tar.xz")
        if name.endswith("ValueSet-v3-PurposeOfUse.json")
    }
    (body,) = found.values()
    known: set[str] = set()
    waiting = json.loads(body)["expansion"]["contains"]
    while waiting:
        concept = waiting.pop()
        known.add(concept["code"])
        waiting.extend(concept.get("contains", ()))
    assert load_purposes().codes <= known


def test_the_summary_elements_are_those_of_the_definitions() -> None:
    official = build_summary_elements.read_summaries(archive("hl7.fhir.r4.examples-4.0.1.tar.xz"))
    assert tomllib.loads(build_summary_elements.OUT.read_text("utf-8"))["elements"] == official
