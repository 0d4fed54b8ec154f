"""UCUM units: exact factors, and nothing made equal that is not."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from quanmin.fhir.units import canonical, convert, multiplied


@pytest.mark.parametrize(
    ("code", "base", "factor"),
    [
        ("mg/dL", "g.m-3", "10"),
        ("g/L", "g.m-3", "1000"),
        ("mmol/L", "m-3.mol", "1"),
        ("umol/L", "m-3.mol", "0.001"),
        ("10*9/L", "m-3", "1E+12"),
        ("10^3/uL", "m-3", "1E+12"),
        ("{cells}/uL", "m-3", "1E+9"),
        ("mm[Hg]", "g.m-1.s-2", "133322"),
        ("kg/m2", "g.m-2", "1000"),
        ("[lb_av]", "g", "453.59237"),
        ("cm", "m", "0.01"),
        ("%", "1", "0.01"),
        ("1", "1", "1"),
        ("m[IU]/mL", "[iU].m-3", "1000"),
        ("h", "s", "3600"),
        ("/(10.g){feces}", "g-1", "0.1"),
        ("dam", "m", "10"),
        ("m0", "1", "1"),
    ],
)
def test_a_linear_unit_has_an_exact_factor(code: str, base: str, factor: str) -> None:
    assert canonical(code) == (base, Decimal(factor))


def test_amounts_counts_and_international_units_are_never_the_same() -> None:
    bases = [canonical(code) for code in ("mol/L", "10*3/L", "[IU]/L", "[arb'U]/L")]
    assert len({base[0] for base in bases if base}) == 4


@pytest.mark.parametrize(
    "code",
    [
        *("Cel", "[degF]", "[pH]", "", " ", "mg dL", "m/", "/", "(", "(m", "m)", "m..s", "{", "0"),
        *("foo", "mmm", "kh", "m999", "m" * 200, "(" * 90, "毫克", "\x00", "mg/\n"),
    ],
)
def test_what_has_no_factor_has_no_base_form(code: str) -> None:
    assert canonical(code) is None


def test_numbers_are_converted_exactly_degrees_included() -> None:
    assert convert(Decimal("1.5"), "g/L", "mg/dL") == 150
    assert convert(Decimal(100), "Cel", "[degF]") == 212
    assert convert(Decimal("98.6"), "[degF]", "Cel") == 37
    assert convert(Decimal(0), "Cel", "K") == Decimal("273.15")
    assert convert(Decimal(1), "g", "m") is None
    assert convert(Decimal(1), "[pH]", "[pH]") is None


def test_units_are_multiplied_in_base_form() -> None:
    assert multiplied("cm", "m", 1) == ("m2", Fraction(1, 100))
    assert multiplied("g", "m", -1) == ("g.m-1", Fraction(1))
    assert multiplied("kg", "g", -1) == ("1", Fraction(1000))
    assert multiplied("Cel", "m", 1) is None
