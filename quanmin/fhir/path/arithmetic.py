"""Sums, products and their like over System values (FHIRPath 2.0, 6.6 and 6.7)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quanmin.fhir.path import amounts, moments
from quanmin.fhir.path.amounts import Amount, whole
from quanmin.fhir.path.comparing import amount, is_number
from quanmin.fhir.path.environment import fitting
from quanmin.fhir.path.moments import Moment
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.path.types import INTEGER_MAX, Long

_LONG_MAX = 2**63 - 1


def plus(one: Any, two: Any) -> Any:
    """The sum; texts are put together, dates moved by durations."""
    if type(one) is str and type(two) is str:
        return fitting(one + two)
    if type(two) is Moment and type(one) is Amount:
        one, two = two, one
    if type(one) is Moment and type(two) is Amount:
        return moments.add(one, two.value, two.step)
    return _calculated(one, two, "add", lambda a, b: a + b, lambda a, b: amounts.added(a, b, 1))


def minus(one: Any, two: Any) -> Any:
    """The difference; a date may be moved back by a duration."""
    if type(one) is Moment and type(two) is Amount:
        return moments.add(one, -two.value, two.step)
    return _calculated(
        one, two, "subtract", lambda a, b: a - b, lambda a, b: amounts.added(a, b, -1)
    )


def times(one: Any, two: Any) -> Any:
    """The product."""
    return _calculated(
        one, two, "multiply", lambda a, b: a * b, lambda a, b: amounts.times(a, b, 1)
    )


def divided(one: Any, two: Any) -> Any:
    """The quotient as a Decimal; empty when divided by nothing."""
    if is_number(one) and is_number(two):
        return finite(Decimal(one) / Decimal(two)) if two else None
    return _calculated(one, two, "divide", None, lambda a, b: amounts.times(a, b, -1))


def div(one: Any, two: Any) -> Any:
    """How many times the second goes into the first, fractions cut off."""
    if is_number(one) and is_number(two):
        return _truncated(one, two)[0] if two else None
    return _calculated(one, two, "divide", None, lambda a, b: _divided_amounts(a, b)[0])


def mod(one: Any, two: Any) -> Any:
    """What `div` leaves."""
    if is_number(one) and is_number(two):
        return _truncated(one, two)[1] if two else None
    return _calculated(one, two, "divide", None, lambda a, b: _divided_amounts(a, b)[1])


def _truncated(one: Any, two: Any) -> tuple[Any, Any]:
    if isinstance(one, int) and isinstance(two, int):
        quotient = abs(one) // abs(two) * (1 if (one < 0) == (two < 0) else -1)
        is_long = type(one) is Long or type(two) is Long
        rest = one - quotient * two
        return (long(quotient), Long(rest)) if is_long else (limited(quotient), rest)
    left, right = Decimal(one), Decimal(two)
    quotient_cut = (left / right).to_integral_value("ROUND_DOWN")
    if not quotient_cut.is_finite():
        return None, None
    return limited(int(quotient_cut)), finite(left % right)


def _divided_amounts(one: Amount, two: Amount) -> tuple[Amount | None, Amount | None]:
    moved = amounts.in_unit(one, two.unit) if one.unit != two.unit else one
    if moved is None or two.value == 0:
        return None, None
    quotient, rest = _truncated(moved.value, two.value)
    return (
        None if quotient is None else whole(quotient),
        None if rest is None else two.with_value(rest),
    )


def _calculated(
    one: Any,
    two: Any,
    verb: str,
    numbers: Callable[[Any, Any], Any] | None,
    quantities: Callable[[Amount, Amount], Any],
) -> Any:
    if numbers and is_number(one) and is_number(two):
        if type(one) is int and type(two) is int:
            return limited(numbers(one, two))
        if isinstance(one, int) and isinstance(two, int):
            return long(numbers(int(one), int(two)))
        return finite(numbers(Decimal(one), Decimal(two)))
    left, right = amount(one), amount(two)
    if left is None or right is None:
        raise Unfit(f"cannot {verb} {kind(one)} and {kind(two)}")
    found = quantities(left, right)
    if type(found) is Amount and not found.value.is_finite():
        return None
    return found


def limited(number: int) -> int | None:
    """An Integer has 32 bits; what does not fit is empty."""
    return number if -INTEGER_MAX - 1 <= number <= INTEGER_MAX else None


def long(number: int) -> Long | None:
    """A Long has 64 bits; what does not fit is empty."""
    return Long(number) if -_LONG_MAX - 1 <= number <= _LONG_MAX else None


def finite(number: Decimal) -> Decimal | None:
    """The number, unless it is none."""
    return number if number.is_finite() else None


def negated(value: Any) -> Any:
    """The value with the other sign. Raises Unfit for what has none."""
    if type(value) is Amount:
        return value.with_value(-value.value)
    if type(value) is Long:
        return long(-value)
    if type(value) is int:
        return limited(-value)
    if is_number(value):
        return -value
    raise Unfit(f"{kind(value)} has no sign")


_KINDS: dict[type, str] = {
    bool: "a Boolean",
    str: "a String",
    int: "an Integer",
    Long: "a Long",
    Decimal: "a Decimal",
    Amount: "a Quantity",
}


def kind(value: object) -> str:
    """What a value is, for people."""
    if type(value) is Moment:
        return f"a {value.kind}"
    return _KINDS.get(type(value), "an object")
