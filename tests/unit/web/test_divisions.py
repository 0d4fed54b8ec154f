"""Counties by their names."""

from __future__ import annotations

import pytest

from quanmin.web.divisions import counties_of


@pytest.mark.parametrize(
    ("region", "number", "one"),
    [
        ("510104", 1, "锦江区"),
        ("510100", 20, "锦江区"),
        ("510000", 183, "锦江区"),
        ("580102", 0, None),  # never given out
        ("", 0, None),
    ],
)
def test_a_region_has_its_counties(region: str, number: int, one: str | None) -> None:
    found = counties_of(region)
    assert len(found) == number
    assert found.get("510104") == one
    assert not any(code.endswith("00") for code in found)
