"""FHIRPath against another library, over every search parameter of R4 and the official test data.

fhirpathpy shares no code with the node. It resolves no references and takes `as` for one item
only, so that those parts are rewritten for it as the oracle of the searches does.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from functools import lru_cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models
from shared import members

from quanmin.fhir.json import decode
from quanmin.fhir.path import Environment, compile_path, named_by_reference
from quanmin.fhir.table import load_table

ENVIRONMENT = Environment(strictness="lenient", resolve=named_by_reference)
EXAMPLES_OF_A_TYPE = 3
EXAMPLE_BYTES_MAX = 50_000
_RESOLVED = re.compile(r"\.where\(\s*resolve\(\) is (\w+)\s*\)")
_AS = re.compile(r"\(([\w.]+) as (\w+)\)")
# A canonical is a uri (R4 datatypes.html), which the other library does not know.
_SUBTYPED = re.compile(r"as uri\)$")
_TYPED = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}(?:/_history/[^/]+)?$")

pytestmark = pytest.mark.shared


@lru_cache(maxsize=1)
def records() -> list[dict[str, Any]]:
    """The records of the test data, and some official examples of each type."""
    found = []
    for _, raw in members("fhir.test.data.r4.tar.xz"):
        resource = decode(raw.removeprefix(b"\xef\xbb\xbf"))
        entries = resource.get("entry") if resource.get("resourceType") == "Bundle" else None
        found += [entry["resource"] for entry in entries or [] if "resource" in entry]
        found.append(resource)
    taken: Counter[str] = Counter()
    for _, raw in members("hl7.fhir.r4.examples-4.0.1.tar.xz"):
        resource = decode(raw) if len(raw) < EXAMPLE_BYTES_MAX else {}
        name = resource.get("resourceType", "")
        taken[name] += 1
        if taken[name] <= EXAMPLES_OF_A_TYPE:
            found.append(resource)
    return [one for one in found if one.get("resourceType") in load_table().types]


def theirs(part: str, resource: dict[str, Any]) -> list[Any]:
    wanted = _RESOLVED.search(part)
    plain = _AS.sub(r"\1.ofType(\2)", _RESOLVED.sub("", part)).replace(".as(", ".ofType(")
    found = _compiled(plain)(resource)
    if wanted is None:
        return list(found)
    return [one for one in found if _names(one, wanted[1], resource)]


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Any:
    return fhirpathpy.compile(expression, models["r4"])


def _names(reference: dict[str, Any], type_name: str, resource: dict[str, Any]) -> bool:
    text = reference.get("reference", "")
    if text.startswith("#"):
        held = {"#" + one.get("id", ""): one for one in resource.get("contained", [])}
        return text in held and bool(held[text]["resourceType"] == type_name)
    found = _TYPED.search(text)
    return found is not None and found[1] == type_name


def _written(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


@pytest.mark.slow
def test_both_find_the_same_by_every_search_parameter() -> None:
    compared, different = 0, {}
    found_by: set[tuple[str, str]] = set()
    for resource in records():
        name = resource["resourceType"]
        for param in load_table().types[name].params.values():
            for part in filter(None, map(str.strip, param.expression.split(" | "))):
                if _SUBTYPED.search(part):
                    continue
                mine = compile_path(part).values(resource, environment=ENVIRONMENT)
                other = [one for one in theirs(part, resource) if one is not None]
                compared += 1
                found_by.update({(name, param.name)} if mine else ())
                if sorted(map(_written, mine)) != sorted(map(_written, other)):
                    different[f"{part} on {name}/{resource.get('id')}"] = (mine, other)
    assert different == {}
    assert compared > 10_000
    assert len(found_by) > 1_000


def test_decimals_keep_their_digits_where_the_other_takes_floats() -> None:
    observation = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.10")}}
    assert str(compile_path("value.value").values(observation)[0]) == "1.10"
    assert compile_path("value.value * 3 = 3.3").values(observation) == [True]
