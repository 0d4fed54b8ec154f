"""UCUM units brought to one base form, so that 1 g/L and 100 mg/dL are found as the same.

Exact: factors are fractions until the last step. Units that convert by a function (Cel, [pH]), that
are unknown or not well formed have no base form and are compared as written.
"""

from __future__ import annotations

import re
import tomllib
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import msgspec

_TABLE = Path(__file__).resolve().parent.parent / "definitions" / "ucum" / "units.toml"
UCUM_SYSTEM = "http://unitsofmeasure.org"
_LENGTH_MAX = 100
_EXPONENT_MAX = 60
DIGITS = 34
"""How many digits a decimal has where it does not end."""
_CONTEXT = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)

# Units whose scale starts elsewhere: factor and start in kelvin.
_SHIFTED = {
    "Cel": (Fraction(1), Fraction(27315, 100)),
    "[degF]": (Fraction(5, 9), Fraction(45967, 180)),
    "[degRe]": (Fraction(5, 4), Fraction(27315, 100)),
}

_TOKEN = re.compile(
    r"(?P<sign>[./])|(?P<open>\()|(?P<close>\))|(?P<note>\{[!-z|~]*\})"
    r"|(?P<unit>(?:10[*^]|(?:\[[!-Z^-~\\]*\]|[!-'*,:-Z^-z|~])+))(?P<exponent>[+-]?[0-9]{1,2})?"
    r"|(?P<number>[0-9]{1,20})"
)


_NOTE = re.compile(r"\{[!-z|~]*\}\Z")


class _Measure(msgspec.Struct, frozen=True):
    """A factor and the powers of the base units it multiplies."""

    factor: Fraction
    powers: dict[str, int]

    def times(self, other: _Measure, sign: int = 1) -> _Measure:
        """The product with `other`, or with its reciprocal when `sign` is -1."""
        powers = dict(self.powers)
        for base, power in other.powers.items():
            powers[base] = powers.get(base, 0) + sign * power
        return _Measure(self.factor * other.factor**sign, {b: p for b, p in powers.items() if p})

    def to(self, exponent: int) -> _Measure:
        """This measure to a power."""
        return _Measure(
            self.factor**exponent, {base: power * exponent for base, power in self.powers.items()}
        )


_ONE = _Measure(Fraction(1), {})


class _Table(msgspec.Struct, frozen=True):
    prefixes: dict[str, Fraction]
    bases: frozenset[str]
    special: frozenset[str]
    units: dict[str, tuple[str, str, bool]]


class _UnreadableError(Exception):
    """The code is not a linear UCUM unit."""


@lru_cache(maxsize=4096)
def canonical(code: str) -> tuple[str, Decimal] | None:
    """The base form of a UCUM code and what a number in the unit is multiplied by to be in it.

    `mg/dL` is ("g.m-3", 10). None for units without a linear base form; never raises. The factor
    has 34 digits where it does not end.
    """
    try:
        found = _measure(code)
    except _UnreadableError:
        return None
    return _base(found), to_decimal(found.factor)


@lru_cache(maxsize=4096)
def is_unit(code: str) -> bool:
    """Whether UCUM has a unit of this code, also one that converts by a function (Cel, [pH])."""
    if canonical(code) is not None:
        return True
    bare = _NOTE.sub("", code)
    special, prefixes = _table().special, _table().prefixes
    return bare in special or any(
        bare[:length] in prefixes and bare[length:] in special for length in (1, 2)
    )


class Scale(msgspec.Struct, frozen=True):
    """How a unit measures: number * `factor` + `shift` is the number in `base`, exactly."""

    base: str
    factor: Fraction
    shift: Fraction


@lru_cache(maxsize=4096)
def measure(code: str) -> Scale | None:
    """The scale of a UCUM code, degrees of temperature included.

    None for units that convert by another function ([pH], B), that are unknown or not well formed.
    """
    shifted = _SHIFTED.get(code)
    if shifted:
        return Scale("K", *shifted)
    try:
        found = _measure(code)
    except _UnreadableError:
        return None
    return Scale(_base(found), found.factor, Fraction(0))


def convert(value: Decimal, source: str, target: str) -> Decimal | None:
    """The number in another unit; None where the units do not measure the same."""
    here, there = measure(source), measure(target)
    if here is None or there is None or here.base != there.base:
        return None
    return to_decimal((Fraction(value) * here.factor + here.shift - there.shift) / there.factor)


@lru_cache(maxsize=1024)
def multiplied(left: str, right: str, sign: int) -> tuple[str, Fraction] | None:
    """The unit of a product (a quotient when `sign` is -1) in base form, and its factor."""
    try:
        found = _measure(left).times(_measure(right), sign)
    except _UnreadableError:
        return None
    return _base(found), found.factor


def to_decimal(number: Fraction) -> Decimal:
    """The fraction as a decimal: exact where it ends within 34 digits."""
    return _CONTEXT.divide(Decimal(number.numerator), Decimal(number.denominator))


def _base(measure: _Measure) -> str:
    powers = sorted(measure.powers.items())
    return ".".join(f"{name}{power if power != 1 else ''}" for name, power in powers) or "1"


@lru_cache(maxsize=1)
def _table() -> _Table:
    content = tomllib.loads(_TABLE.read_text("utf-8"))
    kinds = content["kinds"]
    return _Table(
        {code: Fraction(factor) for code, factor in content["prefixes"].items()},
        frozenset(kinds["bases"]) | frozenset(kinds["arbitrary"]),
        frozenset(kinds["special"]),
        {code: tuple(row) for code, row in content["units"].items()},
    )


def _measure(code: str) -> _Measure:
    if not code or len(code) > _LENGTH_MAX:
        raise _UnreadableError
    tokens, at = [], 0
    while at < len(code):
        found = _TOKEN.match(code, at)
        if found is None:
            raise _UnreadableError
        tokens.append(found)
        at = found.end()
    measure, at = _term(tokens, 0)
    if at != len(tokens):
        raise _UnreadableError
    return measure


def _term(tokens: list[re.Match[str]], at: int) -> tuple[_Measure, int]:
    """A product of components, from token `at` to the end or to a closing bracket."""
    measure, sign = _ONE, 1
    if at < len(tokens) and tokens[at]["sign"] == "/":
        sign, at = -1, at + 1
    while True:
        component, at = _component(tokens, at)
        measure = measure.times(component, sign)
        if at == len(tokens) or tokens[at]["close"]:
            return measure, at
        if not tokens[at]["sign"]:
            raise _UnreadableError
        sign, at = (-1 if tokens[at]["sign"] == "/" else 1), at + 1


def _component(tokens: list[re.Match[str]], at: int) -> tuple[_Measure, int]:
    measure, at = _bare_component(tokens, at)
    # An {annotation} says what is counted; it does not change the size of the unit before it.
    return measure, at + 1 if at < len(tokens) and tokens[at]["note"] else at


def _bare_component(tokens: list[re.Match[str]], at: int) -> tuple[_Measure, int]:
    if at == len(tokens):
        raise _UnreadableError
    token = tokens[at]
    if token["open"]:
        measure, at = _term(tokens, at + 1)
        if at == len(tokens):
            raise _UnreadableError
        return measure, at + 1
    if token["note"]:
        return _ONE, at + 1
    if token["number"]:
        return _Measure(_positive(token["number"]), {}), at + 1
    if not token["unit"]:
        raise _UnreadableError
    measure = _unit(token["unit"])
    if token["exponent"]:
        exponent = int(token["exponent"])
        if abs(exponent) > _EXPONENT_MAX:
            raise _UnreadableError
        measure = measure.to(exponent)
    return measure, at + 1


def _positive(number: str) -> Fraction:
    if int(number) == 0:
        raise _UnreadableError
    return Fraction(int(number))


def _unit(code: str) -> _Measure:
    """An atom, or a prefix and a metric atom."""
    plain = _atom(code)
    if plain is not None:
        return plain[0]
    for length in (2, 1):
        factor = _table().prefixes.get(code[:length])
        atom = _atom(code[length:]) if factor is not None else None
        if factor is not None and atom is not None and atom[1]:
            return _Measure(factor, {}).times(atom[0])
    raise _UnreadableError


@lru_cache(maxsize=1024)
def _atom(code: str) -> tuple[_Measure, bool] | None:
    """A unit of the table and whether it takes prefixes; None when it is not in it."""
    table = _table()
    if code in table.bases:
        is_metric = table.units[code][2] if code in table.units else True
        return _Measure(Fraction(1), {code: 1}), is_metric
    row = table.units.get(code)
    if row is None:
        return None
    of = _ONE if row[1] == "1" else _measure(row[1])
    return _Measure(Fraction(row[0]), {}).times(of), row[2]
