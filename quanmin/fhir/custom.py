"""Finds in a record what it can be searched by beside the parameters of R4: the expressions of
custom search parameters, evaluated as FHIRPath.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from functools import lru_cache
from typing import Final

from quanmin.fhir.addresses import localized
from quanmin.fhir.conversion import CONVERTERS, Converter
from quanmin.fhir.json import Json
from quanmin.fhir.path import Environment, Node, PathProblem, compile_path, named_by_reference
from quanmin.fhir.path.amounts import Amount
from quanmin.fhir.path.moments import Moment
from quanmin.fhir.table import load_table
from quanmin.fhir.units import UCUM_SYSTEM
from quanmin.fhir.values import Kind, SearchParameter, Value

# What the components of a composite find in one element.
Parts = tuple[list[Value], ...]

# As what a System value is converted, which an expression computes; ids are Strings in FHIRPath.
_AS_FHIR: Final = {
    "Boolean": "boolean",
    "String": "string",
    "Integer": "integer",
    "Long": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Quantity": "Quantity",
}


def converter(kind: Kind, type_name: str) -> Converter | None:
    """What makes values of this kind of an element of this type; None where nothing does."""
    name = _AS_FHIR.get(type_name, type_name)
    if kind == "uri" and name == "string":  # the url of an extension
        name = "uri"
    return CONVERTERS.get((kind, name))


def found_types(param: SearchParameter) -> frozenset[str]:
    """The FHIR types of the elements that a custom parameter looks at: those that its kind has
    something to search by in.
    """
    every = frozenset(load_table().types)
    try:
        found = compile_path(param.expression).types(param.type, every - {param.type})
    except PathProblem:  # a part of a composite, which begins at an element
        found = None
    types = {name for kind, name in CONVERTERS if kind == param.kind}
    return frozenset(types if found is None else {_AS_FHIR.get(one, one) for one in found} & types)


def indexed_values(
    params: Iterable[SearchParameter],
    resource: dict[str, Json],
    zone: tzinfo,
    *,
    base: str = "",
    failed: list[SearchParameter] | None = None,
) -> list[tuple[SearchParameter, list[Value]]]:
    """Those of the parameters that find an element in `resource`, with its values; after a
    composite each of its parts.

    Where an expression cannot be evaluated on a record it finds nothing there, and the parameter is
    added to `failed`.
    """
    found: list[tuple[SearchParameter, list[Value]]] = []
    for param in params:
        try:
            found += _found(param, resource, zone, base)
        except PathProblem:
            if failed is not None:
                failed.append(param)
    return found


def _found(
    param: SearchParameter, resource: dict[str, Json], zone: tzinfo, base: str
) -> Iterator[tuple[SearchParameter, list[Value]]]:
    if param.custom is not None and param.custom.parts:
        elements = _part_values(param, resource, zone, base)
        if elements:
            yield param, []
            for place, part in enumerate(param.custom.parts):
                yield part, [value for element in elements for value in element[place]]
        return
    nodes = _nodes(param.expression, resource, zone)
    values, is_there = _converted(nodes, param.kind, zone, base)
    if is_there:
        yield param, values


def part_values(
    param: SearchParameter, resource: dict[str, Json], zone: tzinfo, base: str = ""
) -> list[Parts]:
    """For each element that a composite looks at what each of its components finds there."""
    try:
        return _part_values(param, resource, zone, base)
    except PathProblem:
        return []


def _part_values(
    param: SearchParameter, resource: dict[str, Json], zone: tzinfo, base: str
) -> list[Parts]:
    parts = () if param.custom is None else param.custom.parts
    return [
        tuple(
            _converted(_nodes(part.expression, element, zone), part.kind, zone, base)[0]
            for part in parts
        )
        for element in _nodes(param.expression, resource, zone)
    ]


@lru_cache(maxsize=8)
def environment(zone: tzinfo) -> Environment:
    """What an expression of a search parameter may ask: nothing but the record itself."""
    return Environment(zone=zone, strictness="lenient", resolve=named_by_reference)


def _nodes(expression: str, on: dict[str, Json] | Node, zone: tzinfo) -> list[Node]:
    return compile_path(expression).evaluate(on, environment=environment(zone))


def _converted(
    nodes: Iterable[Node], kind: Kind, zone: tzinfo, base: str
) -> tuple[list[Value], bool]:
    """The values of nodes, and whether there is one that this kind of parameter can look at."""
    values: list[Value] = []
    is_there = False
    for node in nodes:
        convert = converter(kind, node.type.name)
        if convert is not None and node.value is not None:
            is_there = True
            convert(_as_json(node.value), values, zone)
    return (localized(values, base) if base and kind == "reference" else values), is_there


def _as_json(value: object) -> Json:
    """A computed value as an element of FHIR would have it."""
    if isinstance(value, Moment):
        return str(value)
    if isinstance(value, Amount):
        unit = value.word or value.unit
        return {"value": value.value, "unit": unit, "system": UCUM_SYSTEM, "code": unit}
    return value
