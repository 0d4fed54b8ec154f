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
from quanmin.records.search.term import Write
from quanmin.records.visibility_sql import Bind

# A row narrower than this is found by `low` alone; the index of the wider ones has this number in
# its condition, so both must change together.
WIDE = 86_400_000_000


def date_condition(operand: DateOperand, bind: Bind, low: str, high: str) -> str:
    """A condition on columns `low` and `high` (half-open) that holds for the operand."""
    # PostgreSQL refuses a value that no part of the statement uses.
    first = f"{bind(operand.low)}::bigint" if operand.prefix not in {"gt", "sa"} else ""
    last = f"{bind(operand.high)}::bigint" if operand.prefix not in {"lt", "eb"} else ""
    match operand.prefix:
        case "eq":
            return f"({low} >= {first} and {low} < {last} and {high} <= {last})"
        case "ne":
            return f"(not ({low} >= {first} and {high} <= {last}))"
        case "lt":
            return f"({low} < {first})"
        case "le":
            return f"({low} < {last} and ({low} < {first} or {high} <= {last}))"
        case "sa":
            return f"({low} >= {last})"
        case "eb":
            return f"({low} < {first} and {high} <= {first})"
        case "gt":
            return _after(f"{high} > {last}", last, low, high)
        case "ge":
            return _after(f"({high} > {last} or {low} >= {first})", first, low, high)
        case "ap":
            overlaps = f"{high} > {first} and {low} < {last}"
            return _after(overlaps, first, low, high)


def _after(condition: str, moment: str, low: str, high: str) -> str:
    """`condition`, which implies high > moment, in a form two indexes can serve.

    An interval that ends after a moment may have begun at any time; but the narrow ones began
    shortly before it, and the wide ones are few.
    """
    narrow = f"({low} > {moment} - {WIDE} and {condition})"
    wide = f"({high} - {WIDE} > {low} and {high} > {moment} and {condition})"
    return f"({narrow} or {wide})"


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
        return cls(
            operand.prefix, operand.value * factor, operand.low * factor, operand.high * factor
        )


def number_arms(bounds: Bounds, keys: Iterable[int]) -> tuple[Write, Write]:
    """Subselects that together give the records with a matching row under one of the keys."""
    ordered = sorted(keys)

    def points(bind: Bind) -> str:
        where = _number_condition(bounds, bind, "q.low", "q.low")
        return f"{_RANGED} = any({bind(ordered)}::bigint[]) and q.high is null and {where}"

    def ranges(bind: Bind) -> str:
        where = _number_condition(bounds, bind, "q.low", "q.high")
        return f"{_RANGED} = any({bind(ordered)}::bigint[]) and q.high is not null and {where}"

    return points, ranges


_RANGED = "select q.rid from records.ranged q where q.key"


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
