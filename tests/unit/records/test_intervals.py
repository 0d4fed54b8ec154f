"""What prefixes ask of intervals, before a database is asked."""

from __future__ import annotations

from decimal import Decimal

from quanmin.fhir.query import DateOperand, NumberOperand, Prefix
from quanmin.records.search.intervals import WIDE, Bounds, Span

DAY = 86_400_000_000


def on(prefix: Prefix, day: int) -> DateOperand:
    return DateOperand(prefix, day * DAY, (day + 1) * DAY)


def test_a_number_of_more_digits_than_a_product_keeps_is_asked_for_as_it_is() -> None:
    number = Decimal("0.1234567890123456789012345678901234567890")
    bounds = Bounds.of(NumberOperand("gt", number, number - 1, number + 1))
    assert bounds == Bounds("gt", number, number - 1, number + 1)
    doubled = Bounds.of(NumberOperand("gt", Decimal(2), Decimal(1), Decimal(3)), Decimal(2))
    assert doubled == Bounds("gt", Decimal(4), Decimal(2), Decimal(6))


def test_from_and_to_together_are_one_range_of_beginnings() -> None:
    span = Span.of([on("ge", 10), on("le", 12)])
    assert (span.floor, span.ceiling, span.ends) == (None, 13 * DAY, 10 * DAY)
    values: list[object] = []

    def bind(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    assert span.narrow("low", "high")(bind).startswith("(low >= $1::bigint and low < $2::bigint ")
    assert values[:2] == [10 * DAY - WIDE + 1, 13 * DAY]


def test_wide_intervals_are_looked_for_only_where_one_can_answer() -> None:
    assert Span.of([on("ge", 10)]).has_wide
    assert Span.of([on("ge", 10), on("le", 12), on("sa", 3)]).has_wide
    assert not Span.of([on("ge", 10), on("sa", 11)]).has_wide
    assert not Span.of([on("eq", 10)]).has_wide
    assert not Span.of([on("lt", 10), on("ne", 3)]).has_wide
