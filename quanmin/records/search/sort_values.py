"""What a record is sorted by: for each key of `_sort` the value that counts, and how two records
stand to each other.

R4 search.html 3.1.1.5.1: of several values the one counts that comes first in the direction asked
for, so the least ascending and the greatest descending. A record without a value comes last in
either direction, whatever it is sorted by. Records that are equal in all keys stand by their record
keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from quanmin.base.collation import collation_key
from quanmin.fhir.matching import UCUM
from quanmin.fhir.query import SortKey
from quanmin.fhir.units import canonical
from quanmin.fhir.values import Link, Number, Quantity, Text, Token, Uri, Value, When
from quanmin.records.index import OPEN_LOW
from quanmin.records.model import Stored
from quanmin.records.search.deciding import Values
from quanmin.records.words import Grade, grade_of

SortValue = tuple[Any, ...] | None
"""Texts and numbers to be compared one after the other; None stands for no value."""

# Addresses and codes may be of any length; a place in an order stands in links.
_LENGTH_MAX = 256


class Ranked(msgspec.Struct, frozen=True):
    """A record with the values it is sorted by, one for each key."""

    values: tuple[SortValue, ...]
    rid: int
    stored: Stored


def ranked(stored: Stored, values: Values, sort: Sequence[SortKey]) -> Ranked:
    """The record with what counts of its values for the keys of its type."""
    found = tuple(_that_counts(stored, values, key) for key in sort)
    return Ranked(found, stored.rid, stored)


def in_order(several: list[Ranked], sort: Sequence[SortKey]) -> list[Ranked]:
    """The records in the order of the keys."""
    ordered = sorted(several, key=lambda one: one.rid)
    for place in range(len(sort) - 1, -1, -1):
        with_value = [one for one in ordered if one.values[place] is not None]
        without = [one for one in ordered if one.values[place] is None]
        with_value.sort(key=lambda one: one.values[place] or (), reverse=sort[place].descending)
        ordered = with_value + without
    return ordered


def comes_after(
    one: Ranked, values: Sequence[SortValue], rid: int, sort: Sequence[SortKey]
) -> bool:
    """Whether a record stands behind the place of these values and this record key."""
    for mine, other, key in zip(one.values, values, sort, strict=True):
        if mine == other:
            continue
        if mine is None or other is None:
            return mine is None
        return (mine < other) is key.descending
    return one.rid > rid


def _that_counts(stored: Stored, values: Values, key: SortKey) -> SortValue:
    if key.param.name == "_lastUpdated":
        return (stored.updated,)
    if key.param.name == "_id":
        return (stored.rid,)
    is_name = key.param.kind == "string" and grade_of(key.param.name) is Grade.NAME
    found = (_comparable(value, is_name=is_name) for value in values.get(key.param.name, ()))
    present = [one for one in found if one is not None]
    if not present:
        return None
    return max(present) if key.descending else min(present)


def _comparable(value: Value, *, is_name: bool) -> SortValue:
    match value:
        case Text(text):
            return (collation_key(text, is_name=is_name),)
        case Token(_, code):
            return None if code is None else (code[:_LENGTH_MAX],)
        case When(low):
            return (OPEN_LOW if low is None else low,)
        case Number(low, high):
            return _number(low, high)
        case Quantity():
            return _quantity(value)
        case Link():
            if value.id is not None:
                return (f"{value.type}/{value.id}",)
            return None if value.url is None else (value.url[:_LENGTH_MAX],)
        case Uri(uri):
            return (uri[:_LENGTH_MAX],)
        case _:
            return None


def _number(low: Decimal | None, high: Decimal | None) -> SortValue:
    number = high if low is None else low
    return None if number is None else (number,)


def _quantity(value: Quantity) -> SortValue:
    """By dimension, then by the number in its base unit: a length is neither more nor less than a
    weight. What UCUM does not convert is a dimension by itself.
    """
    number = _number(value.low, value.high)
    if number is None:
        return None
    based = canonical(value.code) if value.system == UCUM and value.code else None
    if based is None:
        return ((value.code or value.unit or "")[:_LENGTH_MAX], *number)
    dimension, factor = based
    return (dimension, number[0] * factor)
