"""What the prefixes of dates, numbers and quantities ask of intervals, as SQL that an index can
serve.

R4 search 3.1.1.4.5: a value is the range its precision covers. A record's value is low/high in the
database: half-open for dates, closed for numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from quanmin.fhir.query import DateOperand, NumberOperand, Prefix, QuantityOperand
from quanmin.records.search.arm import Arm, Write, side_arm
from quanmin.records.visibility_sql import Bind

# A row narrower than this is found by `low` alone; the index of the wider ones has this number in
# its condition, so both must change together.
WIDE = 86_400_000_000


class Part(msgspec.Struct, frozen=True):
    """One way for a date to answer; `order` is the column its index is ordered by."""

    write: Write
    order: str


def date_parts(operand: DateOperand, low: str, high: str) -> list[Part]:
    """Conditions on columns `low` and `high` (half-open), any of which suffices.

    What asks for an interval's end comes in two: a wide interval may have begun at any time, and
    has an index by its end; a narrow one began shortly before, and is found by its beginning.
    """
    if operand.prefix not in _ENDING:
        return [Part(lambda bind: f"({_condition(operand, bind, low, high)})", low)]
    moment = operand.high if operand.prefix == "gt" else operand.low

    def narrow(bind: Bind) -> str:
        begins = f"{low} > {bind(moment - WIDE)}::bigint"
        return f"({begins} and {_condition(operand, bind, low, high)})"

    def wide(bind: Bind) -> str:
        ends = f"{high} - {WIDE} > {low} and {high} > {bind(moment)}::bigint"
        return f"({ends} and {_condition(operand, bind, low, high)})"

    return [Part(narrow, low), Part(wide, high)]


# Their conditions imply that the interval ends after the moment asked for.
_ENDING = frozenset({"gt", "ge", "ap"})


def _condition(operand: DateOperand, bind: Bind, low: str, high: str) -> str:
    # PostgreSQL refuses a value that no part of the statement uses.
    first = f"{bind(operand.low)}::bigint" if operand.prefix not in {"gt", "sa"} else ""
    last = f"{bind(operand.high)}::bigint" if operand.prefix not in {"lt", "eb"} else ""
    match operand.prefix:
        case "eq":
            return f"{low} >= {first} and {low} < {last} and {high} <= {last}"
        case "ne":
            return f"not ({low} >= {first} and {high} <= {last})"
        case "lt":
            return f"{low} < {first}"
        case "le":
            return f"{low} < {last} and ({low} < {first} or {high} <= {last})"
        case "sa":
            return f"{low} >= {last}"
        case "eb":
            return f"{low} < {first} and {high} <= {first}"
        case "gt":
            return f"{high} > {last}"
        case "ge":
            return f"({high} > {last} or {low} >= {first})"
        case "ap":
            return f"{high} > {first} and {low} < {last}"


class Bounds(msgspec.Struct, frozen=True):
    """A prefix and a number in the unit of the rows it is compared with.

    [low, high) is what `value` covers to its precision, or roughly, where the prefix is `ap`.
    """

    prefix: Prefix
    value: Decimal
    low: Decimal
    high: Decimal

    @classmethod
    def of(cls, operand: NumberOperand | QuantityOperand, factor: Decimal = Decimal(1)) -> Bounds:
        """The operand, times `factor`."""
        value, low, high = operand.value, operand.low, operand.high
        if factor != 1:
            # Even by one, a product has no more than the context's digits.
            value, low, high = value * factor, low * factor, high * factor
        return cls(operand.prefix, value, low, high)


def number_arms(bounds: Bounds, keys: Iterable[int]) -> list[Arm]:
    """Subselects that together give the records with a matching row under one of the keys."""
    given = list(keys)

    def points(bind: Bind) -> str:
        return f"s.high is null and {_number_condition(bounds, bind, 's.low', 's.low')}"

    def ranges(bind: Bind) -> str:
        return f"s.high is not null and {_number_condition(bounds, bind, 's.low', 's.high')}"

    return [
        side_arm("ranged", given, points, "s.low"),
        side_arm("ranged", given, ranges, "s.high"),
    ]


def _number_condition(bounds: Bounds, bind: Bind, low: str, high: str) -> str:
    def number(value: Decimal) -> str:
        return f"{bind(value)}::numeric"

    match bounds.prefix:
        case "eq":
            return _within(bounds, bind, low, high)
        case "ne":
            return f"not ({_within(bounds, bind, low, high)})"
        case "gt":
            return f"{high} > {number(bounds.value)}"
        case "ge":
            return f"{high} >= {number(bounds.value)}"
        case "lt":
            return f"{low} < {number(bounds.value)}"
        case "le":
            return f"{low} <= {number(bounds.value)}"
        case "sa":
            return f"{low} > {number(bounds.value)}"
        case "eb":
            return f"{high} < {number(bounds.value)}"
        case "ap":
            return f"({high} >= {number(bounds.low)} and {low} < {number(bounds.high)})"


def _within(bounds: Bounds, bind: Bind, low: str, high: str) -> str:
    first = f"{bind(bounds.low)}::numeric"
    if bounds.low == bounds.high:
        return f"{low} >= {first} and {high} <= {first}"
    return f"{low} >= {first} and {high} < {bind(bounds.high)}::numeric"
