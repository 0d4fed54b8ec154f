"""Whether values found in a record answer a search clause: the meaning of search, in plain Python.

The store searches by indexes and asks here where an index alone cannot tell; tests ask here what
the right answer is. Pinyin is the store's addition and not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import assert_never

from quanmin.base.text import fold
from quanmin.fhir.earth import distance_metres
from quanmin.fhir.query import (
    Clause,
    CompositeOperand,
    DateOperand,
    MissingOperand,
    NearOperand,
    NumberOperand,
    Operand,
    QuantityOperand,
    ReferenceOperand,
    SimpleOperand,
    StringOperand,
    Tested,
    TokenOperand,
    TypedOperand,
    UriOperand,
)
from quanmin.fhir.units import canonical
from quanmin.fhir.uris import is_below, is_version_of
from quanmin.fhir.values import (
    Link,
    Number,
    Quantity,
    SearchParameter,
    Spot,
    Text,
    Token,
    Typed,
    Uri,
    Value,
    When,
    mime_base,
)

UCUM = "http://unitsofmeasure.org"
_FIRST, _LAST = -(2**63), 2**63 - 1
_LOWEST, _HIGHEST = Decimal("-Infinity"), Decimal("Infinity")


def holds(clause: Clause, values: Sequence[Value], *, is_present: bool | None = None) -> bool:
    """Whether the values of the clause's parameter in one record satisfy it.

    Any operand is enough. `:not` holds when no value matches, so also without values. `:missing`
    asks whether the parameter has an element at all: `is_present`, which defaults to having values.
    """
    here = bool(values) if is_present is None else is_present
    found = False
    for operand in clause.operands:
        if isinstance(operand, MissingOperand):
            found = found or operand.missing is not here
        else:
            found = found or any(_matches(clause, operand, value) for value in values)
    return not found if clause.modifier == "not" else found


def _matches(  # noqa: PLR0911 - an arm a kind
    clause: Clause, operand: Operand, value: Value
) -> bool:
    match operand:
        case TokenOperand():
            if clause.modifier == "identifier":
                return isinstance(value, Link) and _is_identified(operand, value)
            is_any = clause.modifier == "below"  # of MIME types: others mean several codes by then
            return isinstance(value, Token) and _is_code(
                clause.param, operand, value, is_any_parameter=is_any
            )
        case StringOperand():
            return isinstance(value, Text) and _is_text(clause.modifier, operand.text, value.value)
        case DateOperand():
            return isinstance(value, When) and _is_when(operand, value)
        case NumberOperand():
            return isinstance(value, Number) and _is_number(operand, value, Decimal(1))
        case QuantityOperand():
            return isinstance(value, Quantity) and _is_quantity(operand, value)
        case ReferenceOperand():
            is_any_version = clause.modifier == "below"
            return isinstance(value, Link) and _is_link(
                operand, value, is_any_version=is_any_version
            )
        case UriOperand():
            return isinstance(value, Uri) and _is_uri(clause.modifier, operand.value, value.value)
        case TypedOperand():
            return isinstance(value, Typed) and operand == TypedOperand(
                value.system or "", value.code or "", value.value
            )
        case NearOperand():
            return (
                isinstance(value, Spot) and distance_metres(operand.spot, value) <= operand.metres
            )
        case CompositeOperand() | MissingOperand():
            return False
    assert_never(operand)


# ---- what only _filter asks ----------------------------------------------------------------------


def compares(tested: Tested, values: Sequence[Value]) -> bool:
    """Whether some value compares as is asked (search_filter.html 3.1.3.2)."""
    param, asked = tested.among.param, tested.asked
    if isinstance(asked, StringOperand):
        texts = (value.value for value in values if isinstance(value, Text))
        return any(_compares_text(tested.comparison, asked.text, text) for text in texts)
    if tested.comparison == "ne":
        plain = Clause(param, None, (asked,))
        comparable = (value for value in values if isinstance(value, _COMPARABLE[type(asked)]))
        return any(not _matches(plain, asked, value) for value in comparable)
    return any(_is_within(asked, value) for value in values)


_COMPARABLE: dict[type, type] = {TokenOperand: Token, UriOperand: Uri}


def _compares_text(comparison: str, asked: str, text: str) -> bool:
    wanted, folded = fold(asked), fold(text)
    # Greater and less are said of the first character alone.
    first, own = wanted[:1], folded[:1]
    answers: dict[str, Callable[[], bool]] = {
        "eq": lambda: folded == wanted,
        "ne": lambda: folded != wanted,
        "co": lambda: wanted in folded,
        "sw": lambda: folded.startswith(wanted),
        "ew": lambda: folded.endswith(wanted),
        "gt": lambda: own > first,
        "lt": lambda: own < first,
        "ge": lambda: own >= first,
        "le": lambda: own <= first,
    }
    return answers[comparison]()


def _is_within(asked: SimpleOperand | CompositeOperand, value: Value) -> bool:
    """Whether the period or the precision of a value includes what is asked for."""
    if isinstance(asked, DateOperand) and isinstance(value, When):
        low = _FIRST if value.low is None else value.low
        high = _LAST if value.high is None else value.high
        return low <= asked.low and asked.high <= high
    if isinstance(asked, NumberOperand) and isinstance(value, Number):
        low_end = _LOWEST if value.low is None else value.low - _half_digit(value.low)
        high_end = _HIGHEST if value.high is None else value.high + _half_digit(value.high)
        return low_end <= asked.value < high_end
    return False


def _half_digit(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    return Decimal((0, (5,), exponent - 1)) if isinstance(exponent, int) else Decimal(0)


# ---- codes, texts, links -------------------------------------------------------------------------


def _is_code(
    param: SearchParameter, operand: TokenOperand, value: Token, *, is_any_parameter: bool
) -> bool:
    if is_any_parameter and operand.code is not None and value.code is not None:
        return mime_base(operand.code) == mime_base(value.code)
    if operand.code is not None and operand.code != value.code:
        return False
    if operand.system is None:
        return True
    if operand.system == "":
        return value.system is None
    stated = param.implied_system if value.alone else value.system
    return operand.system == stated


def _is_identified(operand: TokenOperand, value: Link) -> bool:
    identifier = value.identifier
    if identifier is None or operand.code not in {None, identifier.code}:
        return False
    return operand.system is None or operand.system == (identifier.system or "")


def _is_uri(modifier: str | None, asked: str, uri: str) -> bool:
    if modifier == "below":
        return is_below(uri, asked)
    return is_below(asked, uri) if modifier == "above" else uri == asked


def _is_link(operand: ReferenceOperand, value: Link, *, is_any_version: bool) -> bool:
    if operand.url is not None and value.url is not None and is_any_version:
        return is_version_of(value.url, operand.url)
    if operand.url is not None:
        return value.url == operand.url
    return value.id == operand.id and operand.type in {None, value.type}


def _is_text(modifier: str | None, asked: str, text: str) -> bool:
    if modifier == "exact":
        return text == asked
    wanted, folded = fold(asked), fold(text)
    if not wanted:
        return False
    if modifier == "contains":
        return wanted in folded
    # From the beginning of any word: of names of several words the second part counts too.
    return (" " + folded).find(" " + wanted) >= 0


# ---- dates and numbers ---------------------------------------------------------------------------


def _is_when(operand: DateOperand, value: When) -> bool:
    """R4 search 3.1.1.4.5 on half-open intervals."""
    low = _FIRST if value.low is None else value.low
    high = _LAST if value.high is None else value.high
    is_within = operand.low <= low and high <= operand.high
    answers: dict[str, Callable[[], bool]] = {
        "eq": lambda: is_within,
        "ne": lambda: not is_within,
        "gt": lambda: high > operand.high,
        "lt": lambda: low < operand.low,
        "ge": lambda: is_within or high > operand.high,
        "le": lambda: is_within or low < operand.low,
        "sa": lambda: low >= operand.high,
        "eb": lambda: high <= operand.low,
        "ap": lambda: low < operand.high and high > operand.low,
    }
    return answers[operand.prefix]()


def _is_number(
    operand: NumberOperand | QuantityOperand, value: Number | Quantity, factor: Decimal
) -> bool:
    """Like dates, on closed intervals; `factor` brings the operand into the value's unit.

    Only eq, ne and ap look at the precision of what was asked; the others take it as exact.
    """
    low = _LOWEST if value.low is None else value.low
    high = _HIGHEST if value.high is None else value.high
    asked, first, last = operand.value, operand.low, operand.high
    if factor != 1:
        asked, first, last = asked * factor, first * factor, last * factor
    is_within = first <= low and high < last
    answers: dict[str, Callable[[], bool]] = {
        "eq": lambda: is_within,
        "ne": lambda: not is_within,
        "gt": lambda: high > asked,
        "lt": lambda: low < asked,
        "ge": lambda: high >= asked,
        "le": lambda: low <= asked,
        "sa": lambda: low > asked,
        "eb": lambda: high < asked,
        "ap": lambda: high >= first and low < last,
    }
    return answers[operand.prefix]()


def _is_quantity(operand: QuantityOperand, value: Quantity) -> bool:
    factor = unit_factor(operand, value.system, value.code or value.unit)
    return factor is not None and _is_number(operand, value, factor)


def unit_factor(operand: QuantityOperand, system: str | None, code: str | None) -> Decimal | None:
    """What a number in the operand's unit is multiplied by to be in this one; None if it cannot be.

    Without a code in the operand every unit will do (of its system, if it names one). UCUM units of
    one dimension are converted; others must be written the same.
    """
    if operand.code is None:
        return Decimal(1) if operand.system in {None, system or ""} else None
    if operand.code == code and operand.system in {None, "", system}:
        return Decimal(1)
    if operand.system == UCUM == system and code is not None:
        asked, used = canonical(operand.code), canonical(code)
        if asked and used and asked[0] == used[0]:
            return asked[1] / used[1]
    return None
