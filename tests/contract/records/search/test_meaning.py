"""Search by SQL finds what plain Python says the question means, for every parameter there is."""

from __future__ import annotations

from shelf import asked_of, disagreements, made_up, put_away

from quanmin.records.store import Store


async def test_every_parameter_finds_what_it_means_in_records_made_for_it(store: Store) -> None:
    shelf = await put_away(store, made_up())
    number, wrong = await disagreements(store, shelf, asked_of(shelf, seed=1, each=60))
    assert number > 600
    assert wrong == []
