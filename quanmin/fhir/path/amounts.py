"""Quantities as FHIRPath has them: a number with a UCUM unit or a duration of the calendar.

A calendar year is not 365.25 days: what a calendar makes of it is open until a date is given, so
years and months of the calendar compare with each other but never with UCUM's `a` and `mo`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import msgspec

from quanmin.fhir.path.problems import Unfit
from quanmin.fhir.units import DIGITS, convert, measure, multiplied, to_decimal

OPAQUE = " "
"""What the unit of an amount begins with where it is not one of UCUM."""

_WORDS = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
CALENDAR = {form: word for word in _WORDS for form in (word, word + "s")}
"""Calendar words in both numbers -> the singular, which is the unit."""

_UCUM = {
    "year": "a",
    "month": "mo",
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
_WORD_OF = {code: word for word, code in _UCUM.items()}
_MILLISECONDS = {
    "year": 365 * 86_400_000,
    "month": 30 * 86_400_000,
    "week": 7 * 86_400_000,
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1000,
    "millisecond": 1,
}
_MONTHS = {"year": 12, "month": 1}
_UNSETTLED = frozenset(_MONTHS)
_LONG_UCUM = frozenset({"a", "mo"})
_QUANTITY = re.compile(
    r"(?P<value>[+-]?\d+(?:\.\d+)?)\s*(?:'(?P<unit>[^']+)'|(?P<word>[a-zA-Z]+))?\Z", re.ASCII
)


class Amount(msgspec.Struct, frozen=True):
    """A quantity; `unit` is a UCUM code, or a calendar word where `is_calendar`.

    An amount out of a FHIR Quantity `is_either` where its UCUM code names a time: FHIR reads `a`
    as a year wherever a calendar duration stands opposite.
    """

    value: Decimal
    unit: str
    is_calendar: bool = False
    is_either: bool = False

    def __str__(self) -> str:
        if self.is_calendar:
            return f"{self.value:f} {self.unit}{'' if self.value == 1 else 's'}"
        unit = self.unit.rpartition("|")[2].removeprefix(OPAQUE)
        return f"{self.value:f} '{unit}'"

    @property
    def is_opaque(self) -> bool:
        """Whether the unit is none of UCUM, so that nothing is known of its size."""
        return self.unit.startswith(OPAQUE)

    @property
    def word(self) -> str | None:
        """The calendar word for this unit; None for what is no duration."""
        return self.unit if self.is_calendar else _WORD_OF.get(self.unit)

    @property
    def step(self) -> str:
        """The calendar word by which a date is moved. Raises Unfit where there is none.

        `a` and `mo` are so many days in UCUM and are no steps of the calendar.
        """
        word = self.as_calendar().word or CALENDAR.get(self.unit)
        if word is None or (self.unit in _LONG_UCUM and not self.is_either):
            raise Unfit("to a date or time only a duration can be added, such as 1 month or 2 'd'")
        return word

    def as_calendar(self) -> Amount:
        """This amount as a duration of the calendar, where it may be one."""
        if self.is_either and self.word:
            return Amount(self.value, self.word, is_calendar=True)
        return self

    def with_value(self, value: Decimal) -> Amount:
        """Another number in the same unit."""
        return Amount(value, self.unit, self.is_calendar, self.is_either)

    def key(self) -> tuple[object, ...]:
        """Equal for amounts that are surely the same."""
        if self.is_calendar and self.unit in _UNSETTLED:
            return ("months", Fraction(self.value) * _MONTHS[self.unit])
        code = _UCUM[self.unit] if self.is_calendar else self.unit
        found = measure(code)
        if found is None:
            return (code, Fraction(self.value))
        return (found.base, Fraction(self.value) * found.factor + found.shift)


def whole(value: Decimal | int) -> Amount:
    """A plain number as a quantity."""
    return Amount(Decimal(value), "1")


def read_amount(text: str) -> Amount | None:
    """A quantity as text: 4, 4.0 'mg', 4 days. None when it is none."""
    found = _QUANTITY.match(text)
    if found is None:
        return None
    value = Decimal(found["value"])
    if found["word"]:
        word = CALENDAR.get(found["word"])
        return Amount(value, word, is_calendar=True) if word else None
    return Amount(value, found["unit"] or "1")


def _paired(left: Amount, right: Amount) -> tuple[Amount, Amount]:
    """Both read alike where one of them leaves it open."""
    if left.is_calendar and right.is_either:
        return left, right.as_calendar()
    if right.is_calendar and left.is_either:
        return left.as_calendar(), right
    return left, right


def _settled(quantity: Amount) -> Amount:
    """A calendar duration up to weeks in UCUM, which says the same."""
    if quantity.is_calendar and quantity.unit not in _UNSETTLED:
        return Amount(quantity.value, _UCUM[quantity.unit])
    return quantity


def compare(left: Amount, right: Amount) -> int | None:
    """-1, 0 or 1; None where the units do not compare."""
    left, right = _paired(left, right)
    if left.unit == right.unit and left.is_calendar == right.is_calendar:
        return (left.value > right.value) - (left.value < right.value)
    if left.is_calendar and right.is_calendar:
        first, second = _calendar_size(left, right), _calendar_size(right, left)
        return (first > second) - (first < second)
    if _is_mixed(left, right):
        return None
    left, right = _settled(left), _settled(right)
    ours, others = measure(left.unit), measure(right.unit)
    if ours is None or others is None or ours.base != others.base:
        return None
    one = Fraction(left.value) * ours.factor + ours.shift
    two = Fraction(right.value) * others.factor + others.shift
    return (one > two) - (one < two)


def _is_mixed(left: Amount, right: Amount) -> bool:
    """Whether years and months meet, the calendar's on one side and UCUM's units on the other."""
    meets = left.is_calendar != right.is_calendar
    return meets and not _UNSETTLED.isdisjoint({left.word, right.word})


def _calendar_size(quantity: Amount, other: Amount) -> Fraction:
    if {quantity.unit, other.unit} <= _UNSETTLED:
        return Fraction(quantity.value) * _MONTHS[quantity.unit]
    return Fraction(quantity.value) * _MILLISECONDS[quantity.unit]


def comparable(left: Amount, right: Amount) -> bool:
    """Whether the units measure the same."""
    return compare(left, right) is not None


def in_unit(quantity: Amount, unit: str) -> Amount | None:
    """The amount in another unit, a UCUM code or a calendar word; None where none leads there."""
    word = CALENDAR.get(unit)
    if word:
        quantity = quantity.as_calendar()
        if not quantity.is_calendar and quantity.word not in {None, "year", "month"}:
            quantity = Amount(quantity.value, str(quantity.word), is_calendar=True)
        if not quantity.is_calendar:
            return None
        target = Amount(Decimal(1), word, is_calendar=True)
        ratio = _calendar_size(quantity, target) / _calendar_size(target, quantity)
        return Amount(to_decimal(ratio), word, is_calendar=True)
    if quantity.is_calendar and (quantity.unit in _UNSETTLED or unit in _LONG_UCUM):
        return None
    quantity = _settled(quantity)
    if quantity.unit == unit:
        return quantity
    value = convert(quantity.value, quantity.unit, unit)
    return None if value is None else Amount(value, unit)


def equivalent(left: Amount, right: Amount) -> bool:
    """Whether both are the same to the precision of the less precise; a year is about an `a`."""
    first, second = _loose(left), _loose(right)
    places = places_of(first.value), places_of(second.value)
    if first.unit != second.unit:
        ours, others = measure(first.unit), measure(second.unit)
        if ours is None or others is None or ours.base != others.base:
            return False
        if ours.factor < others.factor:
            first, second, ours, others = second, first, others, ours
            places = places[1], places[0]
        moved = in_unit(second, first.unit)
        if moved is None:
            return False
        # A milligram more or less shows in the third place of a gram.
        second = moved
        places = places[0], places[1] + to_decimal(ours.factor / others.factor).adjusted()
    return rounded(first.value, min(places)) == rounded(second.value, min(places))


def _loose(quantity: Amount) -> Amount:
    return Amount(quantity.value, _UCUM[quantity.unit]) if quantity.is_calendar else quantity


def places_of(value: Decimal) -> int:
    """How many digits stand after the point, trailing zeros left out."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def rounded(value: Decimal, places: int) -> Decimal:
    """The value to so many digits after the point; half away from zero."""
    if value.adjusted() + places > DIGITS:
        return value
    return value.quantize(Decimal(1).scaleb(-places), rounding="ROUND_HALF_UP")


def added(left: Amount, right: Amount, sign: int) -> Amount | None:
    """The sum, or the difference where `sign` is -1, in the finer unit; None where none is."""
    left, right = _paired(left, right)
    if left.is_calendar and right.is_calendar:
        finer = min(left.unit, right.unit, key=lambda unit: _MILLISECONDS[unit])
    elif _is_mixed(left, right):
        return None
    else:
        left, right = _settled(left), _settled(right)
        ours, others = measure(left.unit), measure(right.unit)
        if ours is None or others is None or ours.base != others.base or ours.shift or others.shift:
            return None
        finer = left.unit if ours.factor <= others.factor else right.unit
    one, two = in_unit(left, finer), in_unit(right, finer)
    if one is None or two is None:
        return None
    return Amount(one.value + sign * two.value, finer, one.is_calendar)


def times(left: Amount, right: Amount, sign: int) -> Amount | None:
    """The product, or the quotient where `sign` is -1; None where there is none."""
    if sign < 0 and right.value == 0:
        return None
    one = _plain_number(right)
    if one is not None:
        # Of a unit without a linear scale, such as pH, there is no double.
        if not left.is_calendar and ((found := measure(left.unit)) is None or found.shift):
            return None
        return left.with_value(left.value * one if sign > 0 else left.value / one)
    if _plain_number(left) is not None and sign > 0:
        return times(right, left, sign)
    if left.is_calendar or right.is_calendar:
        return None
    unit = multiplied(left.unit, right.unit, sign)
    if unit is None:
        return None
    if left.unit == right.unit and sign < 0:
        return whole(left.value / right.value)
    value = Fraction(left.value) * Fraction(right.value) ** sign * unit[1]
    return Amount(to_decimal(value), unit[0])


def _plain_number(quantity: Amount) -> Decimal | None:
    """The number of a quantity that measures nothing, such as 2000 'g/kg'."""
    if quantity.is_calendar:
        return None
    if quantity.unit == "1":
        return quantity.value
    found = measure(quantity.unit)
    if found is None or found.base != "1" or found.shift:
        return None
    return to_decimal(Fraction(quantity.value) * found.factor)
