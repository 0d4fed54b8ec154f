"""Search by SQL finds what plain Python says the question means, in records of others."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from shelf import asked_of, disagreements, put_away, samples
from stores import open_context, open_store


@pytest.mark.parametrize(
    ("archive", "types_max", "asked"),
    [
        ("fhir.test.data.r4.tar.xz", 150, (12, 1000)),
        ("hl7.fhir.r4.examples-4.0.1.tar.xz", 8, (2, 2000)),
    ],
)
async def test_every_parameter_finds_what_it_means_in_third_party_records(
    pool: asyncpg.Pool[asyncpg.Record],
    tmp_path: Path,
    archive: str,
    types_max: int,
    asked: tuple[int, int],
) -> None:
    each, number_min = asked
    store = open_store(pool, open_context(tmp_path))
    shelf = await put_away(store, samples(archive, types_max))
    number, wrong = await disagreements(store, shelf, asked_of(shelf, seed=2, each=each))
    assert number > number_min
    assert wrong == []
