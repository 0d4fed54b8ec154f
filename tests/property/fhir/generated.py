"""Strategies for resources, made from the same table the program reads, and for damaging them."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import strategies as st

from quanmin.fhir.table import Element, ElementType, load_table
from quanmin.fhir.validation.fields import Member, members_of

Json = Any
DEPTH_MAX = 4
_ENCODER = msgspec.json.Encoder(decimal_format="number")

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12
).filter(str.strip)
ASCII = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
IDS = st.text(ASCII + "-.", min_size=1, max_size=12)
CODES = st.text(ASCII + "-_.|", min_size=1, max_size=8)
URIS = st.sampled_from(("http://loinc.org", "urn:oid:1.2.3", "http://例.example/ns#a", "a:b"))
DATES = st.dates().map(str)
TIMES = st.times().map(lambda time: time.replace(microsecond=0).isoformat())
ZONES = st.sampled_from(("Z", "+08:00", "-03:30", "+14:00"))
INSTANTS = st.builds("{}T{}{}".format, DATES, TIMES, ZONES)
DATE_TIMES = INSTANTS | DATES | DATES.map(lambda day: day[:7]) | DATES.map(lambda day: day[:4])
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=4) | st.integers(-9, 9)

PRIMITIVES: dict[str, st.SearchStrategy[Json]] = {
    "base64Binary": st.sampled_from(("YWJj", "YWI=", "YQ==")),
    "boolean": st.booleans(),
    "canonical": URIS,
    "code": CODES,
    "date": DATES | DATES.map(lambda day: day[:7]),
    "dateTime": DATE_TIMES,
    "decimal": DECIMALS,
    "id": IDS,
    "instant": INSTANTS,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "markdown": TEXTS,
    "oid": st.just("urn:oid:2.16.840"),
    "positiveInt": st.integers(1, 2**31 - 1),
    "string": TEXTS,
    "time": TIMES,
    "unsignedInt": st.integers(0, 2**31 - 1),
    "uri": URIS,
    "url": URIS,
    "uuid": st.uuids().map(lambda uuid: f"urn:uuid:{uuid}"),
    "xhtml": st.just('<div xmlns="http://www.w3.org/1999/xhtml"><p>好 <b>b</b></p></div>'),
}


@st.composite
def resources(draw: st.DrawFn, types: tuple[str, ...] = ()) -> dict[str, Json]:
    """A valid resource of one of the types (default: of any)."""
    name = draw(st.sampled_from(types or tuple(load_table().types)))
    return {"resourceType": name, **draw(_objects(name, (), 0))}


@st.composite
def _objects(draw: st.DrawFn, shape: str, targets: tuple[str, ...], depth: int) -> dict[str, Json]:
    by_element: dict[str, list[Member]] = {}
    for member in members_of(shape).values():
        by_element.setdefault(member.element.name, []).append(member)
    optional = [name for name, ways in by_element.items() if not ways[0].element.min]
    wanted = draw(st.sets(st.sampled_from(optional), max_size=3)) if depth < DEPTH_MAX else set()
    made: dict[str, Json] = {}
    for name, ways in by_element.items():
        element = ways[0].element
        if name == "contained" or not (element.min or name in wanted):
            continue
        member = draw(st.sampled_from(ways))
        value = draw(_values(shape, member, targets, depth))
        if value is not None:
            made[member.name] = value
    if shape == "Reference" and made.keys() >= {"type", "reference"}:
        made["type"] = str(made["reference"]).partition("/")[0]
    if made.keys() <= {"id"}:
        made[_filler(shape)] = draw(_filling(shape, targets))
    return made


def _filler(shape: str) -> str:
    """A member by which an object of this shape is not empty."""
    if "extension" in members_of(shape):
        return "extension"
    return next(name for name, member in members_of(shape).items() if member.is_primitive)


def _filling(shape: str, targets: tuple[str, ...]) -> st.SearchStrategy[Json]:
    if "extension" in members_of(shape):
        return st.just([{"url": "http://example.org/x", "valueBoolean": True}])
    return _values(shape, members_of(shape)[_filler(shape)], targets, DEPTH_MAX)


@st.composite
def _values(
    draw: st.DrawFn, shape: str, member: Member, targets: tuple[str, ...], depth: int
) -> Json:
    if member.type.code == "Resource":
        return None
    one = _items(shape, member.element, member.type, targets, depth)
    if not member.element.is_list:
        return draw(one)
    least = max(1, member.element.min)
    most = member.element.max or least + 1
    return draw(st.lists(one, min_size=least, max_size=most))


def _items(
    shape: str, element: Element, kind: ElementType, targets: tuple[str, ...], depth: int
) -> st.SearchStrategy[Json]:
    if shape == "Reference" and element.name == "reference":
        return st.builds("{}/{}".format, st.sampled_from(targets or ("Patient", "Group")), IDS)
    if shape == "Reference" and element.name == "type":
        return st.sampled_from(targets or ("Patient",))
    if element.name == "id":  # of an element: any text without spaces
        return IDS
    if element.binding:
        return _bound(element.binding, kind.code)
    if kind.code in PRIMITIVES:
        return PRIMITIVES[kind.code]
    return _objects(kind.code, kind.targets, depth + 1)


def _bound(binding: str, code: str) -> st.SearchStrategy[Json]:
    value_set = load_table().value_sets[binding]
    if value_set.pattern:
        return st.just("text/plain")
    if value_set.open:
        return st.just({"text": "open"}) if code == "CodeableConcept" else CODES
    if value_set.is_ucum:
        return st.sampled_from(("mg/dL", "kg.m-2", "Cel", "{score}", "furlong"))
    if code != "CodeableConcept":
        return st.sampled_from(value_set.codes)
    codings = [
        {"system": system, "code": one}
        for system, codes in value_set.systems.items()
        for one in codes
    ]
    return st.sampled_from(codings).map(lambda coding: {"coding": [coding]})


def write(resource: Json, *, is_pretty: bool = False) -> bytes:
    """JSON bytes; decimals keep their digits."""
    raw = _ENCODER.encode(resource)
    return msgspec.json.format(raw, indent=2) if is_pretty else raw


JUNK: st.SearchStrategy[Json] = st.sampled_from(
    (None, True, 0, -1, 1.5, "", " ", "x", "2020-02-30", "Patient/1", [], [None], {}, [[]])
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Json]:
    """A resource with one to three members replaced, removed or added anywhere in it."""
    resource = copy.deepcopy(draw(resources()))
    for _ in range(draw(st.integers(1, 3))):
        holders = list(_holders(resource))
        if not holders:
            break
        holder = draw(st.sampled_from(holders))
        if isinstance(holder, list):
            holder[draw(st.integers(0, len(holder) - 1))] = copy.deepcopy(draw(JUNK))
            continue
        key = draw(st.sampled_from([*holder, "_status", "valueString", "nonsense"]))
        if draw(st.booleans()) and key in holder:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(draw(JUNK))
    return resource


def _holders(value: Json) -> list[Json]:
    found: list[Json] = []
    if isinstance(value, dict):
        found = [value] if value else []
        for item in value.values():
            found += _holders(item)
    elif isinstance(value, list) and value:
        found = [value]
        for item in value:
            found += _holders(item)
    return found
