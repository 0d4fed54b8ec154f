"""Functions over numbers and quantities (FHIRPath 2.0, 5.7), and the bounds of what is rounded."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Any

from quanmin.fhir.path import amounts, moments
from quanmin.fhir.path.amounts import Amount
from quanmin.fhir.path.arithmetic import finite, kind, limited, long
from quanmin.fhir.path.comparing import amount, is_number
from quanmin.fhir.path.compiling import Function
from quanmin.fhir.path.environment import ARITHMETIC
from quanmin.fhir.path.functions.scalar import a_number, a_whole, anything, scalar
from quanmin.fhir.path.moments import Moment
from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.path.types import EXPONENT_MAX, Long

# More digits than an answer has, so that 16.log(2) comes out as 4 and not a hair beside it.
_FINE = Context(prec=50, Emax=EXPONENT_MAX, Emin=-EXPONENT_MAX, traps=[])
_PLACES_MAX = 31
_BITS_MAX = 64
_STANDARD_PLACES = 8


def _answer(number: Decimal) -> Decimal | None:
    """The number to 34 digits, without zeros that say nothing: a logarithm of 4 is 4."""
    rounded = ARITHMETIC.plus(number)
    if not rounded.is_finite():
        return None
    exact = rounded.normalize(ARITHMETIC)
    is_written_out = exact.adjusted() < ARITHMETIC.prec and exact == exact.to_integral_value()
    return exact.quantize(Decimal(1)) if is_written_out else exact


def _of_number(calculate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same function for a number and for the number of a quantity."""

    def apply(value: Any) -> Any:
        if type(value) is Amount:
            found = calculate(value.value)
            return None if found is None else value.with_value(Decimal(found))
        if not is_number(value):
            raise Unfit(f"takes a number or a quantity, not {kind(value)}")
        return calculate(value)

    return apply


def _abs(value: Any) -> Any:
    if type(value) is Long:
        return long(abs(value))
    return limited(abs(value)) if type(value) is int else abs(value)


def _whole(rounding: str) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if isinstance(value, int):
            return value
        return limited(int(value.to_integral_value(rounding)))

    return _of_number(apply)


def _round(value: Any, places: int | None = None) -> Any:
    places = 0 if places is None else places
    if places < 0:
        raise Unfit("takes a number of digits from 0 on")

    def apply(number: Any) -> Any:
        if isinstance(number, int) or places > _PLACES_MAX:
            return number
        return finite(number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _FINE))

    return _of_number(apply)(value)


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() * exponent > _BITS_MAX * 2 and abs(base) > 1:
            return None
        found = int(base) ** int(exponent)
        return long(found) if Long in {type(base), type(exponent)} else limited(found)
    return _answer(_FINE.power(Decimal(base), Decimal(exponent)))


def _log(value: Any, base: Any) -> Any:
    if value <= 0 or base <= 0 or base == 1:
        return None
    return _answer(_FINE.divide(_FINE.ln(Decimal(value)), _FINE.ln(Decimal(base))))


def _ln(value: Any) -> Any:
    return _answer(_FINE.ln(Decimal(value))) if value > 0 else None


def _sqrt(value: Any) -> Any:
    return _answer(_FINE.sqrt(Decimal(value))) if value >= 0 else None


def _exp(value: Any) -> Any:
    return _answer(_FINE.exp(Decimal(value)))


# ---- precision -----------------------------------------------------------------------------------


def _places(number: Any) -> int:
    if isinstance(number, int):
        return 0
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _precision(value: Any) -> int:
    if type(value) is Moment:
        return value.digits
    if type(value) is Amount:
        return _places(value.value)
    return _places(a_number(value))


def _boundary(*, is_low: bool) -> Callable[..., Any]:
    def apply(value: Any, places: int | None = None) -> Any:
        if type(value) is Moment:
            return moments.boundary(value, places, is_low=is_low)
        wanted = _STANDARD_PLACES if places is None else places
        if not 0 <= wanted <= _PLACES_MAX:
            return None
        if type(value) is Amount:
            found = _bound(value.value, wanted, is_low=is_low)
            return None if found is None else value.with_value(found)
        return _bound(a_number(value), wanted, is_low=is_low)

    return apply


def _bound(value: Any, places: int, *, is_low: bool) -> Decimal | None:
    half = Decimal(5).scaleb(-_places(value) - 1)
    end = _FINE.subtract(Decimal(value), half) if is_low else _FINE.add(Decimal(value), half)
    rounding = ROUND_FLOOR if is_low else ROUND_CEILING
    found = end.quantize(Decimal(1).scaleb(-places), rounding, _FINE)
    return finite(found or abs(found))


def _comparable(one: Any, two: Any) -> bool:
    left, right = amount(one), amount(two)
    if left is None or right is None:
        raise Unfit(f"takes two quantities, not {kind(one)} and {kind(two)}")
    return amounts.comparable(left, right)


MATHEMATICS: dict[str, Function] = {
    "abs": scalar(_of_number(_abs), anything),
    "ceiling": scalar(_whole(ROUND_CEILING), anything),
    "floor": scalar(_whole(ROUND_FLOOR), anything),
    "truncate": scalar(_whole(ROUND_DOWN), anything),
    "round": scalar(_round, anything, a_whole, optional=1, needs_all=False),
    "exp": scalar(_exp, a_number),
    "ln": scalar(_ln, a_number),
    "log": scalar(_log, a_number, a_number),
    "power": scalar(_power, a_number, a_number),
    "sqrt": scalar(_sqrt, a_number),
    "precision": scalar(_precision, anything),
    "lowBoundary": scalar(_boundary(is_low=True), anything, a_whole, optional=1),
    "highBoundary": scalar(_boundary(is_low=False), anything, a_whole, optional=1),
    "comparable": scalar(_comparable, anything, anything),
}
"""Functions over numbers and quantities."""
