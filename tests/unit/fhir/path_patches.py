"""How tests write FHIRPath Patches and apply them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quanmin.base.problems import Invalid, Malformed, Problem
from quanmin.fhir.patch import PATH_PATCH, read_patch

Json = Any
CONTACT = {"name": {"text": "mother"}, "gender": "female"}
NUMBERS = [{"system": "http://a", "value": str(number)} for number in range(3)]


def part(name: str, **value: Json) -> dict[str, Json]:
    return {"name": name, **value}


def step(kind: str, path: str, *parts: dict[str, Json], **numbers: int) -> dict[str, Json]:
    told = [part("type", valueCode=kind), part("path", valueString=path), *parts]
    told += [part(name, valueInteger=number) for name, number in numbers.items()]
    return {"name": "operation", "part": told}


def adding(path: str, name: str, **value: Json) -> dict[str, Json]:
    return step("add", path, part("name", valueString=name), part("value", **value))


def replacing(path: str, **value: Json) -> dict[str, Json]:
    return step("replace", path, part("value", **value))


def inserting(path: str, index: int, **value: Json) -> dict[str, Json]:
    return step("insert", path, part("value", **value), index=index)


def parameters(*steps: Json) -> bytes:
    told = {"parameter": list(steps)} if steps else {}
    return json.dumps({"resourceType": "Parameters", **told}).encode()


def apply(raw: bytes, *steps: Json, bytes_max: int = 100_000, items_max: int = 100_000) -> bytes:
    patch = read_patch(PATH_PATCH, parameters(*steps), steps_max=100, items_max=items_max)
    return patch.apply(raw, bytes_max=bytes_max)


def patched(record: dict[str, Json], *steps: Json) -> dict[str, Json]:
    """The elements of a Patient (or what `record` says) after the steps."""
    whole = {"resourceType": "Patient", "id": "1", **record}
    made: dict[str, Json] = json.loads(apply(json.dumps(whole).encode(), *steps))
    assert made.pop("id") == "1"
    assert made.pop("resourceType") == whole["resourceType"]
    return made


def refusal(record: dict[str, Json], *steps: Json) -> Problem:
    with pytest.raises(Problem) as caught:
        patched(record, *steps)
    assert isinstance(caught.value, Invalid | Malformed)
    return caught.value
