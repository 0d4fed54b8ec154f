"""Lots in stores: what moves them, and whether they were kept as they must be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from quanmin.base.problems import Conflict, Invalid
from quanmin.fhir.json import encode
from quanmin.fhir.validation import validate
from quanmin.workflow.stock import (
    Lot,
    excursions,
    lot_entry,
    lot_of,
    lot_unfit,
    moved,
    movements,
    stores,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EXPIRY = date(2027, 2, 28)


def lot(on_hand: int) -> Lot:
    entry = lot_entry("MMR", "M2601", EXPIRY, ("d1", "一号冰箱"), NOON)
    resource = {**entry["resource"], "id": "s1"}
    resource["instance"][0]["quantity"]["value"] = on_hand
    found = lot_of(resource, 3)
    assert found is not None
    return found


def after(kind: str, count: int, on_hand: int = 5, words: str = "counted") -> dict[str, Any]:
    entries = moved(lot(on_hand), kind, count, NOON, who="Wu", words=words)
    assert entries[0]["request"]["ifMatch"] == 'W/"3"'
    for one in entries:
        type_ = one["resource"]["resourceType"]
        assert validate(type_, encode(one["resource"])) == []
    return dict(entries[0]["resource"])


@pytest.mark.parametrize(("kind", "count", "left"), [
    ("receipt", 1, 6), ("back", 2, 7), ("use", 1, 4), ("issue", 5, 0), ("loss", 5, 0),
    ("return", 4, 1), ("count", 0, 0), ("count", 9, 9), ("judged-fit", 0, 5),
])  # fmt: skip
def test_a_movement_leaves_what_it_leaves(kind: str, count: int, left: int) -> None:
    found = lot_of(after(kind, count), 4)
    assert found is not None
    assert found.on_hand == left
    assert (found.judged == NOON) is (kind == "judged-fit")


@pytest.mark.parametrize("kind", [one.code for one in movements().values() if one.sign < 0])
def test_no_more_is_taken_than_there_is(kind: str) -> None:
    assert lot_of(after(kind, 5), 4)
    with pytest.raises(Conflict, match="5 on hand"):
        after(kind, 6)


@pytest.mark.parametrize(("kind", "count"), [
    ("receipt", 0), ("use", 0), ("receipt", -1), ("count", -1), ("receipt", 1_000_001),
    ("stolen", 1),
])  # fmt: skip
def test_a_number_that_cannot_be_is_refused(kind: str, count: int) -> None:
    with pytest.raises(Invalid):
        after(kind, count)


def test_a_loss_and_a_stock_take_say_why() -> None:
    for one in movements().values():
        if one.needs_words:
            with pytest.raises(Invalid, match="say why"):
                after(one.code, 1, words=" ")


def test_the_day_of_expiry_is_the_last() -> None:
    day = timedelta(days=1)
    assert [lot_unfit(lot(1), EXPIRY + n * day) for n in (-1, 0, 1)] == [(), (), ("expired",)]
    assert lot_unfit(lot(0), EXPIRY) == ("out-of-stock",)


def test_a_substance_of_others_is_no_lot() -> None:
    assert lot_of({"resourceType": "Substance", "id": "x", "code": {"text": "salt"}}, 1) is None


# ---- temperatures --------------------------------------------------------------------------------


def read(*celsius: str) -> list[tuple[datetime, Decimal]]:
    return [(NOON + n * timedelta(hours=1), Decimal(one)) for n, one in enumerate(celsius)]


@pytest.mark.parametrize(("celsius", "is_kept"), [
    ("1.9", False), ("2.0", True), ("2.1", True), ("7.9", True), ("8.0", True), ("8.1", False),
])  # fmt: skip
def test_a_refrigerator_keeps_from_two_to_eight_degrees(celsius: str, *, is_kept: bool) -> None:
    assert stores()["refrigerator"].keeps(Decimal(celsius)) is is_kept
    assert bool(excursions(stores()["refrigerator"], read(celsius))) is not is_kept


def test_an_excursion_lasts_from_the_first_reading_beyond_to_the_next_one_within() -> None:
    found = excursions(stores()["refrigerator"], read("5", "8.5", "11", "9", "7", "1.5", "0"))
    hour = timedelta(hours=1)
    assert [(one.begins, one.ends, one.extreme) for one in found] == [
        (NOON + hour, NOON + 4 * hour, Decimal(11)),
        (NOON + 5 * hour, None, Decimal(0)),
    ]


def test_an_excursion_touches_what_was_there_and_was_not_judged_since() -> None:
    (one,) = excursions(stores()["refrigerator"], read("5", "9", "5"))
    hour = timedelta(hours=1)
    assert one.touches(NOON, None)
    assert one.touches(NOON + hour, None)
    assert not one.touches(NOON + 2 * hour, None)
    assert not one.touches(NOON, NOON + 3 * hour)
