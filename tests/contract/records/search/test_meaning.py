"""Search by SQL finds what plain Python says the question means, for every parameter there is."""

from __future__ import annotations

import pytest
from shelf import asked_of, disagreements, made_up, put_away, samples

from quanmin.records.store import Store


async def test_every_parameter_finds_what_it_means_in_records_made_for_it(store: Store) -> None:
    shelf = await put_away(store, made_up())
    number, wrong = await disagreements(store, shelf, asked_of(shelf, seed=1, each=60))
    assert number > 600
    assert wrong == []


@pytest.mark.parametrize(
    ("archive", "types_max", "each", "number_min"),
    [
        ("fhir.test.data.r4.tar.xz", 150, 12, 1000),
        ("hl7.fhir.r4.examples-4.0.1.tar.xz", 8, 2, 2000),
    ],
)
async def test_every_parameter_finds_what_it_means_in_third_party_records(
    store: Store, archive: str, types_max: int, each: int, number_min: int
) -> None:
    shelf = await put_away(store, samples(archive, types_max))
    number, wrong = await disagreements(store, shelf, asked_of(shelf, seed=2, each=each))
    assert number > number_min
    assert wrong == []
