"""What prefixes ask of intervals, before a database is asked."""

from __future__ import annotations

from decimal import Decimal

from quanmin.fhir.query import NumberOperand
from quanmin.records.search.intervals import Bounds


def test_a_number_of_more_digits_than_a_product_keeps_is_asked_for_as_it_is() -> None:
    number = Decimal("0.1234567890123456789012345678901234567890")
    bounds = Bounds.of(NumberOperand("gt", number, number - 1, number + 1))
    assert bounds == Bounds("gt", number, number - 1, number + 1)
    doubled = Bounds.of(NumberOperand("gt", Decimal(2), Decimal(1), Decimal(3)), Decimal(2))
    assert doubled == Bounds("gt", Decimal(4), Decimal(2), Decimal(6))
