"""Builds the compact FHIR R4 table from the official definitions.

    python tools/build_fhir_table.py EXAMPLES_ARCHIVE EXPANSIONS_ARCHIVE [OUT_FOLDER]

EXAMPLES_ARCHIVE is the official package hl7.fhir.r4.examples 4.0.1 (it holds every
StructureDefinition, SearchParameter, CompartmentDefinition and OperationDefinition of the release
as published), EXPANSIONS_ARCHIVE is hl7.fhir.r4.expansions 4.0.1. Both are CC0. Other
redistributions of the definitions change them: one widely used npm package backports elements of
later releases into EvidenceVariable, ResearchStudy, Binary and Meta, so it is not the source here.

The output is deterministic: the same archives give the same bytes.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

import zstandard

RELEASE = "4.0.1"
STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = STRUCTURE + "structuredefinition-fhir-type"
COMMON_PARAMS = ("_id", "_lastUpdated", "_profile", "_security", "_source", "_tag")

# Code systems without end are checked by their form (R4 lets a format be a bare `xml` or `json`
# too) and by the grammar of UCUM; what the release does not expand is left open (LOINC).
PATTERNS = {"http://hl7.org/fhir/ValueSet/mimetypes": r"[^\s/;]+(/[^\s/;]+(\s*;.*)?)?"}
UNITS = "http://hl7.org/fhir/ValueSet/ucum-units"
LEFT_TO_TERMINOLOGY = frozenset({"http://loinc.org/vs/LL379-9"})

# Definitions that the release carries beside its registry: parameters over extensions whose
# expressions are placeholders, and two examples of how to write a SearchParameter.
NOT_IN_REGISTRY = re.compile(r"-extensions-|-genetic-|/example(-|$)|/filter$|/Resource-query$")

Json = dict[str, Any]


def read_archive(path: Path, prefixes: tuple[str, ...]) -> list[Json]:
    """Every resource whose file name starts with one of `prefixes`, in order of name."""
    found: dict[str, Json] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            if not name.startswith(prefixes) or not name.endswith(".json"):
                continue
            content = archive.extractfile(member)
            if content is not None:
                found[name] = json.load(content)
    return [found[name] for name in sorted(found)]


def type_code(element_type: Json) -> str:
    """The FHIR type of an element; snapshots write primitive bases as FHIRPath system types."""
    code: str = element_type["code"]
    if not code.startswith("http"):
        return code
    for extension in element_type.get("extension", []):
        if extension["url"] == FHIR_TYPE:
            return str(extension["valueUrl"])
    raise ValueError(code)


def element_types(element: Json, path: str, *, has_children: bool) -> list[list[Any]]:
    """[type, [reference targets]] for each type; inner elements are named by their own path."""
    if "contentReference" in element:
        return [[element["contentReference"].removeprefix("#"), []]]
    if has_children:
        return [[path, []]]
    if path.count(".") == 1 and path.endswith(".id") and path[0].isupper():
        return [["", []]]  # settled by the caller: `id` in resources, `string` in data types
    result = []
    for element_type in element["type"]:
        targets = [
            target.removeprefix(STRUCTURE) for target in element_type.get("targetProfile", [])
        ]
        anything = "Resource" in targets or type_code(element_type) not in {
            "Reference",
            "canonical",
        }
        result.append([type_code(element_type), [] if anything else sorted(set(targets))])
    return result


def shapes_of(definition: Json) -> dict[str, list[list[Any]]]:
    """[name, min, max, choice, types, binding] of each element of the type and its inner types."""
    elements = definition["snapshot"]["element"]
    inner = {element["path"].rpartition(".")[0] for element in elements}
    shapes: dict[str, list[list[Any]]] = {definition["id"]: []}
    for element in elements[1:]:
        path = element["path"]
        owner, _, name = path.rpartition(".")
        binding = element.get("binding", {})
        is_required = binding.get("strength") == "required"
        types = element_types(element, path, has_children=path in inner)
        if types == [["", []]]:
            types = [["id" if definition["kind"] == "resource" else "string", []]]
        shapes.setdefault(owner, []).append(
            [
                name.removesuffix("[x]"),
                element["min"],
                0 if element["max"] == "*" else int(element["max"]),
                name.endswith("[x]"),
                types,
                binding["valueSet"].partition("|")[0] if is_required else None,
            ]
        )
    return shapes


def concepts(contains: list[Json]) -> list[tuple[str, str]]:
    """Every selectable (system, code) of an expansion, nested ones included."""
    result = []
    for entry in contains:
        if "code" in entry and not entry.get("abstract"):
            result.append((entry["system"], entry["code"]))
        result.extend(concepts(entry.get("contains", [])))
    return result


def value_sets(shapes: dict[str, list[list[Any]]], expansions: dict[str, Json]) -> dict[str, Json]:
    """What each required binding allows: codes by system, a form, or that it stays open."""
    used = {element[5] for elements in shapes.values() for element in elements if element[5]}
    return {url: allowed(url, expansions) for url in sorted(used)}


def allowed(url: str, expansions: dict[str, Json]) -> Json:
    """What a value set allows. Raises ValueError where the release expands it in part only."""
    if url in PATTERNS:
        return {"pattern": PATTERNS[url]}
    if url == UNITS:
        return {"is_ucum": True}
    if url in LEFT_TO_TERMINOLOGY:
        return {"open": True}
    expansion = expansions[url]["expansion"]
    if "extension" in expansion:
        raise ValueError(f"{url} is expanded in part only: {expansion['extension']}")
    systems: dict[str, list[str]] = {}
    for system, code in concepts(expansion["contains"]):
        systems.setdefault(system, []).append(code)
    return {"systems": {name: sorted(systems[name]) for name in sorted(systems)}}


def extensible(definitions: list[Json], expansions: dict[str, Json]) -> Json:
    """The value set of each element that another code may extend, and what those sets allow.

    Elements of type uri are left out: R4 itself goes beyond their sets, for types of FHIRPath. So
    are value sets that the release does not expand.
    """
    places: dict[str, str] = {}
    for definition in definitions:
        for element in definition["snapshot"]["element"]:
            binding = element.get("binding", {})
            url = binding.get("valueSet", "").partition("|")[0]
            is_uri = [kind["code"] for kind in element.get("type", [])] == ["uri"]
            if binding.get("strength") == "extensible" and url in expansions and not is_uri:
                places[element["path"].removesuffix("[x]")] = url
    return {
        "places": dict(sorted(places.items())),
        "value_sets": {url: allowed(url, expansions) for url in sorted({*places.values()})},
    }


class Paths:
    """Follows element paths through the shapes, to learn what type a search parameter finds."""

    def __init__(self, shapes: dict[str, list[list[Any]]], sets: dict[str, Json]) -> None:
        self.shapes = {
            name: {element[0]: element for element in elements} for name, elements in shapes.items()
        }
        self.sets = sets

    def implied_system(self, expression: str) -> str | None:
        """The one code system of a `code` element with a required binding, or None."""
        system: str | None = None
        for part in expression.split("|"):
            element = self._element(part.strip())
            if element is None or [kind for kind, _ in element[4]] != ["code"] or not element[5]:
                return None
            systems = list(self.sets[element[5]].get("systems", {}))
            if len(systems) != 1 or system not in {None, systems[0]}:
                return None
            system = systems[0]
        return system

    def targets(self, expression: str, stated: set[str]) -> list[str]:
        """The types a reference parameter can point at: what it states and its elements allow."""
        allowed: set[str] = set()
        for part in expression.split("|"):
            resolved = re.fullmatch(r"([A-Za-z.]+)\.where\(resolve\(\) is (\w+)\)", part.strip())
            if resolved:
                allowed.add(resolved[2])
                continue
            element = self._element(part.strip())
            if element is None or any(not targets for _, targets in element[4]):
                return sorted(stated)
            allowed.update(target for _, targets in element[4] for target in targets)
        return sorted(stated & allowed or stated)

    def _element(self, path: str) -> list[Any] | None:
        if not re.fullmatch(r"[A-Za-z.]+", path):
            return None
        names = path.split(".")
        owner, element = names[0], None
        for name in names[1:]:
            element = self.shapes.get(owner, {}).get(name)
            if element is None:
                return None
            owner = element[4][0][0]
        return element


def expression_for(base: str, parameter: Json) -> str:
    """The parts of a parameter's expression that concern `base`, each beginning with its name."""
    parts = [part.strip() for part in parameter["expression"].split("|")]
    mine = [part for part in parts if re.match(rf"\(?{base}\b", part)]
    if not mine and parameter["base"] == [base]:
        # One parameter of the release (InsurancePlan name) leaves the type's name out.
        mine = [f"{base}.{part}" for part in parts]
    return " | ".join(mine)


def parameters(
    resources: list[str], definitions: list[Json], paths: Paths
) -> dict[str, list[list[Any]]]:
    """[name, kind, expression, targets, implied system, components] for each type, by name."""
    listed = [
        definition
        for definition in definitions
        if "base" in definition and not NOT_IN_REGISTRY.search(definition["url"])
    ]
    by_url = {definition["url"]: definition["code"] for definition in listed}
    result: dict[str, list[list[Any]]] = {}
    for name in resources:
        rows = []
        for definition in listed:
            bases = definition["base"]
            if name not in bases and definition["code"] not in COMMON_PARAMS:
                continue
            base = name if name in bases else "Resource"
            expression = re.sub(r"\bResource\b", name, expression_for(base, definition))
            is_token = definition["type"] == "token"
            components = [
                [by_url[part["definition"]], part["expression"]]
                for part in definition.get("component", [])
            ]
            targets = paths.targets(expression, set(definition.get("target", [])))
            system = paths.implied_system(expression) if is_token else None
            rows.append(
                [definition["code"], definition["type"], expression, targets, system, components]
            )
        result[name] = sorted(rows)
    return result


def compartments(definitions: list[Json]) -> dict[str, dict[str, list[str]]]:
    """Compartment type -> member type -> the parameters that make it a member."""
    return {
        definition["code"]: {
            resource["code"]: resource["param"]
            for resource in definition["resource"]
            if resource.get("param")
        }
        for definition in definitions
        if definition["id"] != "example"
    }


def operations(definitions: list[Json]) -> list[list[Any]]:
    """[code, types, system, type, instance, changes state] for each operation of the release."""
    return sorted(
        [
            definition["code"],
            sorted(definition.get("resource", [])),
            definition["system"],
            definition["type"],
            definition["instance"],
            definition.get("affectsState", False),
        ]
        for definition in definitions
        if definition["url"].startswith("http://hl7.org/fhir/OperationDefinition/")
        and not definition["id"].startswith("example")
    )


def invariants(definitions: list[Json]) -> list[list[str]]:
    """[path, key, severity, human text, expression] of each rule, where it is stated."""
    rows = {
        (element["path"], rule["key"]): [
            element["path"],
            rule["key"],
            rule["severity"],
            rule["human"],
            rule.get("expression", ""),
        ]
        for definition in definitions
        for element in definition["snapshot"]["element"]
        for rule in element.get("constraint", [])
        if rule.get("source", STRUCTURE + definition["id"]) == STRUCTURE + definition["id"]
    }
    return [rows[key] for key in sorted(rows)]


def build(examples: Path, expansions: Path) -> dict[str, bytes]:
    """File name -> content of everything the program reads of R4."""
    structures = [
        definition
        for definition in read_archive(examples, ("StructureDefinition-",))
        if definition["kind"] != "logical"
        and definition.get("derivation") != "constraint"
        and definition["fhirVersion"] == RELEASE
        and definition["url"] == STRUCTURE + definition["id"]
    ]
    kept = [d for d in structures if not (d["abstract"] and d["id"] != "Element")]
    resources = sorted(d["id"] for d in kept if d["kind"] == "resource")
    shapes: dict[str, list[list[Any]]] = {}
    for definition in kept:
        if definition["kind"] != "primitive-type":
            shapes.update(shapes_of(definition))
    expanded = {each["url"]: each for each in read_archive(expansions, ("ValueSet-",))}
    sets = value_sets(shapes, expanded)
    params = parameters(
        resources, read_archive(examples, ("SearchParameter-",)), Paths(shapes, sets)
    )
    table = {
        "release": RELEASE,
        "primitives": sorted(d["id"] for d in kept if d["kind"] == "primitive-type"),
        "shapes": dict(sorted(shapes.items())),
        "value_sets": sets,
        "resources": {
            name: {"number": number, "params": params[name]}
            for number, name in enumerate(resources, 1)
        },
        "compartments": compartments(read_archive(examples, ("CompartmentDefinition-",))),
        "operations": operations(read_archive(examples, ("OperationDefinition-",))),
    }
    return {
        "table.json.zst": pack(table),
        "invariants.json.zst": pack(invariants(structures)),
        "extensible_bindings.json.zst": pack(extensible(kept, expanded)),
    }


def pack(content: object) -> bytes:
    """Compact JSON under zstd at its highest level."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return zstandard.ZstdCompressor(level=22).compress(text.encode())


def main(arguments: list[str]) -> None:
    """Write the table into the folder named, or into the project's definitions."""
    here = Path(__file__).resolve().parent.parent / "quanmin" / "definitions" / "fhir_r4"
    out = Path(arguments[2]) if len(arguments) > 2 else here
    for name, content in build(Path(arguments[0]), Path(arguments[1])).items():
        (out / name).write_bytes(content)
        print(f"{out / name}: {len(content)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
