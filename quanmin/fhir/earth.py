"""Distances on the earth, and the cells of a grid by which what is near is found."""

from __future__ import annotations

from collections.abc import Iterator
from math import asin, cos, degrees, floor, hypot, radians, sin
from typing import Final

from quanmin.fhir.values import Spot

# The mean radius of the earth: a sphere of it is never half a per cent away from WGS84.
_RADIUS_METRES: Final = 6_371_008.8
_QUARTER_DEGREES: Final = 90.0
# The sides of cells in degrees, from a neighbourhood to half of a province.
_SIDES: Final = (0.01, 0.1, 1.0, 10.0)
_CELLS_MAX: Final = 400
# A ten-millionth of a degree is a centimetre: more than what the arithmetic rounds away.
_MARGIN_DEGREES: Final = 1e-7


def distance_metres(one: Spot, other: Spot) -> float:
    """The way along a great circle."""
    north, south = radians(one.latitude), radians(other.latitude)
    across = sin((south - north) / 2)
    along = sin(radians(other.longitude - one.longitude) / 2)
    half = hypot(across, along * (cos(north) * cos(south)) ** 0.5)
    return 2 * _RADIUS_METRES * asin(min(1.0, half))


def cells_of(spot: Spot) -> Iterator[str]:
    """The cell of each size that a place lies in."""
    for side in _SIDES:
        yield _cell(side, floor(spot.latitude / side), _column(spot.longitude, side))


def cells_around(spot: Spot, metres: float) -> list[str] | None:
    """Cells of one size that hold every place so near; None when that is most of the earth."""
    reach = degrees(metres / _RADIUS_METRES) + _MARGIN_DEGREES
    south, north = spot.latitude - reach, spot.latitude + reach
    is_round_a_pole = north >= _QUARTER_DEGREES or south <= -_QUARTER_DEGREES
    if reach >= _QUARTER_DEGREES:
        return None
    breadth = 180.0
    if not is_round_a_pole:
        ratio = sin(radians(reach)) / cos(radians(spot.latitude))
        breadth = degrees(asin(min(1.0, ratio))) + _MARGIN_DEGREES
    for side in _SIDES:
        rows = range(floor(max(south, -90.0) / side), floor(min(north, 90.0) / side) + 1)
        columns = _columns(spot.longitude, breadth, side)
        if len(rows) * len(columns) <= _CELLS_MAX:
            return [_cell(side, row, column) for row in rows for column in columns]
    return None


def _columns(longitude: float, breadth: float, side: float) -> list[int]:
    """The columns about a longitude, round the earth where they come to its seam."""
    number = round(360 / side)
    first, last = floor((longitude - breadth) / side), floor((longitude + breadth) / side)
    if last - first + 1 >= number:
        return list(range(-number // 2, number - number // 2))
    return list(dict.fromkeys(_wrapped(column, number) for column in range(first, last + 1)))


def _column(longitude: float, side: float) -> int:
    return _wrapped(floor(longitude / side), round(360 / side))


def _wrapped(column: int, number: int) -> int:
    """-180 and 180 degrees are one meridian."""
    return (column + number // 2) % number - number // 2


def _cell(side: float, row: int, column: int) -> str:
    return f"{side} {row} {column}"
