"""Whose record it is: the source Patient that a record belongs to, which decides its bucket and its
data key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from quanmin.fhir.table import TypeDefinition
from quanmin.records.context import Context


def patient_of(
    context: Context,
    definition: TypeDefinition,
    resource: Any,
    rid: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> int | None:
    """The record key of the source Patient, None when the record is in no patient's compartment.

    A Patient is its own (`rid`). Otherwise the first reference to a Patient at the elements by
    which the R4 Patient compartment includes the type, the main one first. `mapping` says what
    references of a bundle stand for.
    """
    if definition.name == "Patient":
        return rid
    for path in _patient_paths(context, definition):
        for reference in _references(resource, path):
            local = mapping.get(reference, reference) if mapping else reference
            type_, _, id_ = local.removeprefix(context.base).partition("/")
            if type_ == "Patient" and id_:
                return context.rid_of("Patient", id_.partition("/")[0])
    return None


def _patient_paths(context: Context, definition: TypeDefinition) -> tuple[tuple[str, ...], ...]:
    known = context.patient_paths.get(definition.name)
    if known is None:
        expressions = [definition.params[name].expression for name in definition.patient_params]
        head = re.compile(rf"\b{definition.name}\.([A-Za-z.]+?)(?=\.where\(|\.as\(|\s|\)|\||$)")
        found = [tuple(path.split(".")) for text in expressions for path in head.findall(text)]
        known = context.patient_paths[definition.name] = tuple(dict.fromkeys(found))
    return known


def patient_in(
    context: Context, definition: TypeDefinition, body: bytes, mapping: Mapping[str, str]
) -> int | None:
    """`patient_of` for bytes, reading no more of them than the elements that may tell."""
    paths = _patient_paths(context, definition)
    if not paths:
        return None
    try:
        whose = _decoder(paths).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # validation will say what is wrong with it
    return patient_of(context, definition, whose, mapping=mapping)


@cache
def _decoder(paths: tuple[tuple[str, ...], ...]) -> msgspec.json.Decoder[Any]:
    # Unknown members are skipped without being built, at an eighth of the cost of decoding all.
    roots = dict.fromkeys(path[0] for path in paths)
    fields: list[tuple[str, Any, Any]] = [(root, Any, None) for root in roots]
    return msgspec.json.Decoder(msgspec.defstruct("Whose", fields))


def _references(node: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item, path)
    elif isinstance(node, msgspec.Struct):
        yield from _references(getattr(node, path[0]), path[1:])
    elif isinstance(node, dict):
        if path:
            yield from _references(node.get(path[0]), path[1:])
        else:
            reference = node.get("reference")
            if isinstance(reference, str):
                yield reference
