"""Finds in a record what it can be searched by.

The expressions of a type's search parameters are compiled once into a plan by root element: a
record costs only what it has, and parameters that look at the same element share one conversion.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import lru_cache
from typing import Any

import msgspec

from quanmin.fhir.addresses import localized
from quanmin.fhir.conversion import CONVERTERS, Converter
from quanmin.fhir.custom import Parts, part_values
from quanmin.fhir.expressions import Field, Path, Step, Where, read
from quanmin.fhir.json import Json
from quanmin.fhir.table import load_table
from quanmin.fhir.values import Kind, Link, SearchParameter, Token, Value

# Visits the elements at the end of a path; returns whether there was one.
_Visit = Callable[[Json, list[Value], tzinfo], bool]


class _Use(msgspec.Struct, frozen=True):
    """A parameter that takes a path's values; of references only those to `resolved`, if set."""

    bit: int
    resolved: str | None


class _Extraction(msgspec.Struct, frozen=True):
    visit: _Visit
    uses: tuple[_Use, ...]


class _Presence(msgspec.Struct, frozen=True):
    """A parameter that says whether one of these members is there and not false."""

    bit: int
    names: tuple[str, ...]


class _Plan(msgspec.Struct, frozen=True):
    params: tuple[SearchParameter, ...]
    by_root: dict[str, tuple[_Extraction, ...]]
    presences: tuple[_Presence, ...]


def index_values(
    type_name: str,
    resource: dict[str, Json],
    zone: tzinfo,
    without: frozenset[str] = frozenset(),
    *,
    base: str = "",
) -> list[tuple[SearchParameter, list[Value]]]:
    """Every search parameter of the type that has an element in `resource`, with its values.

    A parameter whose elements hold nothing comparable (a code with text only) comes with an empty
    list: it is not `:missing`. What has no zone is read in `zone`. Links to contained resources are
    left out, composite parameters and those named in `without` too. `base` is this node's own
    address, "" when it has none. Never raises on a valid resource.
    """
    plan = _plan(type_name, without)
    found: dict[int, list[Value]] = {}
    by_root = plan.by_root
    for name, element in resource.items():
        for extraction in by_root.get(name, ()):
            values: list[Value] = []
            if not extraction.visit(element, values, zone):
                continue
            for use in extraction.uses:
                mine = values if use.resolved is None else _resolved(values, use.resolved)
                if mine or use.resolved is None:
                    before = found.get(use.bit)
                    found[use.bit] = before + mine if before else mine
    for presence in plan.presences:
        is_there = any(resource.get(name) not in (None, False) for name in presence.names)
        found[presence.bit] = [Token(None, "true" if is_there else "false", alone=True)]
    params = plan.params
    if base:
        for bit, values in found.items():
            if params[bit].kind == "reference":
                found[bit] = localized(values, base)
    return [(params[bit], values) for bit, values in found.items()]


def composite_values(
    param: SearchParameter, resource: dict[str, Json], zone: tzinfo, base: str = ""
) -> list[Parts]:
    """For each element that a composite looks at what each of its components finds there."""
    if param.custom is not None:
        return part_values(param, resource, zone, base)
    found: list[Parts] = []
    for roots, visits in _composite(param.type, param.name):
        elements: list[Any] = []
        roots(resource, elements, zone)
        for element in elements:
            parts: list[list[Value]] = []
            for is_outside, several in visits:
                values: list[Value] = []
                for visit in several:
                    visit(resource if is_outside else element, values, zone)
                parts.append(localized(values, base) if base else values)
            found.append(tuple(parts))
    return found


# Finds the elements; for each component whether it looks at the whole resource, and how it looks.
_Composite = tuple[_Visit, tuple[tuple[bool, tuple[_Visit, ...]], ...]]
_OUTSIDE = "%resource."


@lru_cache(maxsize=512)
def _composite(type_name: str, name: str) -> tuple[_Composite, ...]:
    table = load_table()
    params = table.types[type_name].params
    found = []
    for root in read(params[name].expression, type_name, table):
        visits = []
        for component, expression in params[name].components:
            is_outside = expression.startswith(_OUTSIDE)
            start = type_name if is_outside else root.type
            paths = read(expression.removeprefix(_OUTSIDE), start, table)
            kinds = ((path, CONVERTERS.get((params[component].kind, path.type))) for path in paths)
            several = (_visit(path.steps, convert) for path, convert in kinds if convert)
            visits.append((is_outside, tuple(several)))
        found.append((_visit(root.steps, _as_it_is), tuple(visits)))
    return tuple(found)


def _as_it_is(element: Json, out: list[Any], _: tzinfo) -> None:
    out.append(element)


def _resolved(values: list[Value], type_name: str) -> list[Value]:
    return [value for value in values if isinstance(value, Link) and value.type == type_name]


@lru_cache(maxsize=512)
def _plan(type_name: str, without: frozenset[str]) -> _Plan:
    definition = load_table().types[type_name]
    uses: dict[tuple[tuple[Step, ...], str, Kind], list[_Use]] = {}
    presences = []
    for param in definition.params.values():
        if param.kind == "composite" or param.name in without:
            continue
        paths = read(param.expression, type_name, load_table())
        if paths[0].shape == "presence":
            presences.append(_Presence(param.bit, tuple(_root(path) for path in paths)))
            continue
        for path in paths:
            use = _Use(param.bit, path.resolved)
            uses.setdefault((path.steps, path.type, param.kind), []).append(use)
    by_root: dict[str, list[_Extraction]] = {}
    for (steps, fhir_type, kind), users in uses.items():
        visit = _visit(steps[1:], CONVERTERS[kind, fhir_type])
        by_root.setdefault(_name(steps[0]), []).append(_Extraction(visit, tuple(users)))
    return _Plan(
        tuple(definition.params.values()),
        {name: tuple(extractions) for name, extractions in by_root.items()},
        tuple(presences),
    )


def _root(path: Path) -> str:
    return _name(path.steps[0])


def _name(step: Step) -> str:
    if isinstance(step, Field):
        return step.name
    raise TypeError(step)


def _visit(steps: tuple[Step, ...], convert: Converter) -> _Visit:
    """A closure that takes the value of the member before `steps` to its ends."""
    if not steps:
        return _ending(convert)
    step, after = steps[0], _visit(steps[1:], convert)
    if isinstance(step, Field):
        return _member(step.name, after)
    if isinstance(step, Where):
        return _matching(step.name, step.value, after)
    return _item(step.at, after)


def _ending(convert: Converter) -> _Visit:
    def visit(value: Json, out: list[Value], zone: tzinfo) -> bool:
        if type(value) is list:
            for item in value:
                convert(item, out, zone)
            return True
        convert(value, out, zone)
        return value is not None

    return visit


def _member(name: str, after: _Visit) -> _Visit:
    def visit(value: Json, out: list[Value], zone: tzinfo) -> bool:
        if type(value) is dict:
            child = value.get(name)
            return child is not None and after(child, out, zone)
        seen = False
        if type(value) is list:
            for item in value:
                if type(item) is dict and name in item:
                    seen = after(item[name], out, zone) or seen
        return seen

    return visit


def _matching(name: str, text: str, after: _Visit) -> _Visit:
    def visit(value: Json, out: list[Value], zone: tzinfo) -> bool:
        items = value if type(value) is list else [value]
        kept = [item for item in items if type(item) is dict and item.get(name) == text]
        return bool(kept) and after(kept, out, zone)

    return visit


def _item(at: int, after: _Visit) -> _Visit:
    def visit(value: Json, out: list[Value], zone: tzinfo) -> bool:
        return type(value) is list and at < len(value) and after(value[at], out, zone)

    return visit
