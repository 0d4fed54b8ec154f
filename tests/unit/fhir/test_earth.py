"""Distances on the earth, and the cells that hold what is near."""

from __future__ import annotations

from math import pi

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quanmin.fhir.earth import cells_around, cells_of, distance_metres
from quanmin.fhir.values import Spot

SPOTS = st.builds(Spot, st.floats(-90, 90), st.floats(-180, 180))


def test_distances_are_those_of_a_great_circle() -> None:
    quarter = pi / 2 * 6_371_008.8
    assert distance_metres(Spot(0, 0), Spot(90, 55)) == pytest.approx(quarter)
    assert distance_metres(Spot(0, -170), Spot(0, 100)) == pytest.approx(quarter)
    assert distance_metres(Spot(10, 20), Spot(10, 20)) == 0
    # From Chengdu to Beijing.
    way = distance_metres(Spot(30.6598, 104.0633), Spot(39.9042, 116.4074))
    assert way == pytest.approx(1_517_000, rel=0.005)


@settings(max_examples=500, deadline=None)
@given(SPOTS, SPOTS, st.floats(0, 2e7))
@example(Spot(0, 180), Spot(0, -180), 0)
@example(Spot(90, 0), Spot(89.99, 179), 2000)
@example(Spot(-90, 0), Spot(-90, 179), 1)
@example(Spot(30.1, 104.1), Spot(30.1, 104.1), 0)
def test_what_is_near_lies_in_one_of_the_cells_asked_for(
    one: Spot, other: Spot, metres: float
) -> None:
    way = distance_metres(one, other)
    for reach in (metres, way, way * 1.001):
        cells = cells_around(one, reach)
        if cells is not None and way <= reach:
            assert set(cells) & set(cells_of(other))
        assert cells is None or len(cells) <= 400


def test_what_is_far_lies_in_no_cell_that_is_asked_for() -> None:
    cells = cells_around(Spot(30.66, 104.06), 1000)
    assert cells is not None
    assert len(cells) < 20
    assert not set(cells) & set(cells_of(Spot(30.70, 104.06)))
