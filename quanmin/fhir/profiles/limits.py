"""Bounds of values: minValue[x] and maxValue[x] (R4 elementdefinition.html)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from quanmin.fhir.json import Json
from quanmin.fhir.path import Node, root
from quanmin.fhir.path.amounts import Amount
from quanmin.fhir.path.arithmetic import minus, plus
from quanmin.fhir.path.comparing import compare
from quanmin.fhir.path.moments import Moment, from_clock
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.profiles.model import Limit
from quanmin.fhir.table import load_table

_MOMENTS = frozenset({"date", "dateTime", "instant"})


def read_limit(type_: str, value: Json) -> Limit | None:
    """The bound of a type as its element's name ends (`DateTime`); None where it is no value."""
    name = type_[:1].lower() + type_[1:]
    code = name if name in load_table().primitives else type_
    node = root(value, code)
    plain = node.plain
    is_span = code == "Quantity"
    if is_span and not isinstance(plain, Amount):
        return None
    if code in _MOMENTS and not isinstance(plain, Moment):
        return None
    return Limit(node, is_span)


def order(node: Node, limit: Limit, *, is_low: bool) -> int | None:
    """-1, 0 or 1 as the value is below, at or above the bound; None where that is open.

    A bound of a date that is a duration counts from now, back for the lower one.
    """
    value: Any = node.plain
    bound: Any = limit.of.plain
    try:
        if limit.is_span and isinstance(value, Moment):
            now = from_clock(datetime.now(UTC))
            bound = minus(now, bound) if is_low else plus(now, bound)
        if value is None or bound is None:
            return None
        return compare(value, bound, UTC)
    except Unfit:
        return None
