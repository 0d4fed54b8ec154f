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
from quanmin.records.index import ranges_key
from quanmin.records.search.arm import Arm, Write, side_arm
from quanmin.records.visibility_sql import Bind

# A row narrower than this is found by `low` alone; the index of the wider ones has this number in
# its condition, so both must change together.
WIDE = 86_400_000_000


class Part(msgspec.Struct, frozen=True):
    """One way for a date to answer; `order` is the column its index is ordered by."""

    write: Write
    order: str


class Span(msgspec.Struct, frozen=True):
    """What operands ask together of one interval.

    Their conditions imply that it begins at `floor` or later, begins before `ceiling` and ends
    after `ends`; None where they say nothing.
    """

    operands: tuple[DateOperand, ...]
    floor: int | None
    ceiling: int | None
    ends: int | None

    @classmethod
    def of(cls, operands: Iterable[DateOperand]) -> Span:
        """What all of the operands ask."""
        asked = tuple(operands)
        floors, ceilings, ends = zip(*(_implied(operand) for operand in asked), strict=True)
        return cls(
            asked,
            max((one for one in floors if one is not None), default=None),
            min((one for one in ceilings if one is not None), default=None),
            max((one for one in ends if one is not None), default=None),
        )

    def parts(self, low: str, high: str) -> list[Part]:
        """Conditions on columns `low` and `high` (half-open), any of which suffices.

        What asks for an interval's end comes in two: a wide interval may have begun at any time,
        and has an index by its end; a narrow one began shortly before, and is found by its
        beginning.
        """
        narrow = Part(self.narrow(low, high), low)
        return [narrow, Part(self.wide(low, high), high)] if self.has_wide else [narrow]

    @property
    def has_wide(self) -> bool:
        """Whether an interval can answer that began too early to be found as a narrow one."""
        if self.ends is None:
            return False
        return self.floor is None or self.floor <= self.ends - WIDE

    def narrow(self, low: str, high: str, width: int = WIDE) -> Write:
        """The condition on intervals not wider than `width`, as one range of `low`."""
        begins = [one for one in (self.floor, self._begins(width)) if one is not None]
        floor = max(begins, default=None)

        def write(bind: Bind) -> str:
            bounds = [] if floor is None else [f"{low} >= {bind(floor)}::bigint"]
            return self._all(bounds, bind, low, high)

        return write

    def wide(self, low: str, high: str) -> Write:
        """The condition on wider intervals."""
        ends = self.ends

        def write(bind: Bind) -> str:
            bounds = [f"{high} - {WIDE} > {low}", f"{high} > {bind(ends)}::bigint"]
            return self._all(bounds, bind, low, high)

        return write

    def exact(self, low: str, high: str) -> Write:
        """What the operands ask, in no form that an index serves."""
        return lambda bind: " and ".join(
            _condition(each, bind, low, high) for each in self.operands
        )

    def _begins(self, width: int) -> int | None:
        return None if self.ends is None else self.ends - width + 1

    def _all(self, bounds: list[str], bind: Bind, low: str, high: str) -> str:
        bounds = list(bounds)
        if self.ceiling is not None:
            bounds.append(f"{low} < {bind(self.ceiling)}::bigint")
        if all(operand.prefix in _BOUND for operand in self.operands):
            return f"({' and '.join(bounds)})"
        exact = self.exact(low, high)(bind)
        if bounds:
            # The planner would multiply what it thinks of each comparison, though all but the
            # bounds is nearly always true, and expect a fiftieth of the records. As a case it
            # takes the rest for half.
            exact = f"case when {exact} then true else false end"
        return f"({' and '.join([*bounds, exact])})"


# Their conditions are nothing but a bound.
_BOUND = frozenset({"lt", "sa"})


def _implied(operand: DateOperand) -> tuple[int | None, int | None, int | None]:
    """`floor`, `ceiling` and `ends` of one operand."""
    match operand.prefix:
        case "eq":
            return operand.low, operand.high, None
        case "ne":
            return None, None, None
        case "lt" | "eb":
            return None, operand.low, None
        case "le":
            return None, operand.high, None
        case "sa":
            return operand.high, None, None
        case "gt":
            return None, None, operand.high
        case "ge":
            return None, None, operand.low
        case "ap":
            return None, operand.high, operand.low


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
        return _number_condition(bounds, bind, "s.low", "s.low")

    def ranges(bind: Bind) -> str:
        return f"s.high is not null and {_number_condition(bounds, bind, 's.low', 's.high')}"

    return [
        side_arm("ranged", given, points, "s.low"),
        side_arm("ranged", map(ranges_key, given), ranges, "s.high"),
    ]


# Beyond these no number is kept beside a code.
_LEAST, _MOST = -1e38, 1e38


def value_beside(bounds: Bounds, keys: Iterable[int] = ()) -> Write:
    """A condition on a row `s` of the index on codes that holds wherever the number beside the code
    answers, and for some others: at the very edge, and where no number tells.

    `keys` are those one of which the record's number must stand under, where it could be of a unit
    by which it means something else.
    """
    asked = sorted(set(keys))
    least: Decimal | None = None
    most: Decimal | None = None
    match bounds.prefix:
        case "eq" | "ap":
            least, most = bounds.low, bounds.high
        case "gt" | "ge" | "sa":
            least = bounds.value
        case "lt" | "le" | "eb":
            most = bounds.value
        case "ne":
            pass

    def write(bind: Bind) -> str:
        conditions = [
            f"s.value {sign} {bind(min(max(float(end), _LEAST), _MOST))}::real"
            for sign, end in ((">=", least), ("<=", most))
            if end is not None
        ]
        if least is None:
            conditions.append("s.value > '-Infinity'")  # where there is none
        condition = " and ".join(conditions)
        if asked:
            condition += f" and {_stands(asked, bind)}"
        # To the database, what is no number is greater than all.
        return f"({condition} or s.value = 'NaN')" if asked or most is not None else condition

    return write


def _stands(keys: list[int], bind: Bind) -> str:
    """The number beside the code stands under one of the keys. What it was rounded from is within a
    few ten-millionths: a number or two, at each of which the index is asked for the record.
    """
    least, most = (f"(s.value {sign} abs(s.value) * 2e-7)::numeric" for sign in "-+")
    return (
        f"(select true from records.ranged g where g.key = any({bind(keys)}::bigint[])"
        f" and g.low >= {least} and g.low <= {most} and g.rid = s.rid limit 1)"
    )


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
