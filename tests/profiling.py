"""Makes profiles out of a few elements, and tells what a record does not keep of them."""

from __future__ import annotations

import json
from typing import Any

from quanmin.fhir.json import decode
from quanmin.fhir.profiles import (
    Knowledge,
    Profile,
    check_record,
    compile_profile,
    read_definition,
)

BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "https://example.org/StructureDefinition/profile"

Element = dict[str, Any]


def element(path: str, slice_name: str = "", **more: Any) -> Element:
    """An ElementDefinition; its id is left for the compiler to find, unless it is given."""
    made: Element = {"path": path, **more}
    if slice_name:
        made["sliceName"] = slice_name
    return made


def definition(
    *elements: Element, type_: str = "", url: str = URL, part: str = "snapshot", **more: Any
) -> dict[str, Any]:
    """A StructureDefinition of these elements."""
    name = type_ or elements[0]["path"].partition(".")[0]
    root = [] if elements and elements[0]["path"] == name else [{"path": name}]
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "name": "Profile",
        "status": "active",
        "kind": "resource" if name[0].isupper() else "complex-type",
        "abstract": False,
        "type": name,
        "baseDefinition": BASE + name,
        "derivation": "constraint",
        part: {"element": [*root, *elements]},
        **more,
    }


def storable(*elements: Element, **more: Any) -> dict[str, Any]:
    """A StructureDefinition that keeps the invariants of R4 as well, so that a node takes it."""
    made = definition(*elements, **more)
    for part in ("snapshot", "differential"):
        open_at: dict[str, str] = {}
        for each in made.get(part, {}).get("element", ()):
            path = each["path"]
            holder, _, name = path.rpartition(".")
            step = f"{name}:{each['sliceName']}" if "sliceName" in each else name
            own = f"{open_at[holder]}.{step}" if holder in open_at else step
            open_at = {known: id_ for known, id_ in open_at.items() if len(known) < len(path)}
            open_at[path] = each.setdefault("id", own)
            if part == "snapshot":
                each |= {"definition": "x", "min": each.get("min", 0), "max": each.get("max", "*")}
                each["base"] = {"path": path, "min": 0, "max": "*"}
    return made


def profile(*elements: Element, base: Profile | None = None, **more: Any) -> Profile:
    """The compiled profile of these elements."""
    raw = json.dumps(definition(*elements, **more)).encode()
    return compile_profile(read_definition(raw), base)


def told(
    resource: dict[str, Any],
    of: Profile,
    *others: Profile,
    members: dict[tuple[str, str | None, str], bool | None] | None = None,
    targets: dict[str, Any] | None = None,
    is_brief: bool = False,
) -> list[tuple[str, str, str]]:
    """(severity, code, place) of each issue of a record against a profile."""
    known: dict[str, Profile | str | None] = {each.url: each for each in (of, *others)}
    knowledge = Knowledge(known)
    knowledge.members |= members or {}
    knowledge.targets |= targets or {}
    issues = check_record(
        decode(json.dumps(resource).encode()),
        knowledge,
        profiles=[of.url],
        is_brief=is_brief,
    )
    return [(issue.severity, issue.code, issue.expression) for issue in issues]


def faults(resource: dict[str, Any], of: Profile, *others: Profile, **more: Any) -> list[str]:
    """The places of the errors."""
    return [
        place for severity, _, place in told(resource, of, *others, **more) if severity == "error"
    ]


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "t"}, **more}


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **more}


def coded(*codes: str, system: str = "urn:s") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}
