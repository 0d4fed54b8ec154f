"""The drawings of the kit, byte for byte: the same values give the same picture.

`drawings/<name>.svg` is what was looked at and found good. When a change is meant, run this module
as a script, then look at the pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quanmin.web.charts import Band, Series, bar_chart, line_chart
from quanmin.web.drawing import Figure, Pen
from quanmin.web.ecg import Lead, ecg_drawing
from quanmin.web.maps import Area, area_map, read_boundaries
from quanmin.web.patterns import beat
from quanmin.web.text import Language

FOLDER = Path(__file__).parent / "drawings"
DAYS = [f"3-{day}" for day in range(1, 8)]


def pen(language: Language = "en", *, is_large: bool = False) -> Pen:
    return Pen(language, str, is_large)


def trend() -> Figure:
    values = Series("Glucose", [5.1, 6.4, None, 3.2, 5.0, 5.5, 6.1])
    return line_chart(pen(), "a", "Trend", DAYS, [values], unit="mmol/L", band=Band("R", 3.9, 6.1))


def several() -> Figure:
    lines = [Series("<A>", [1, 2, 3, 2, 1, 0, -4]), Series("B & C", [120000] * 7)]
    return line_chart(pen("zh", is_large=True), "b", "两条", DAYS, lines)


def bars() -> Figure:
    parts = [Series("x", [1, 2, 3, 4, 5, 6, 7]), Series("y", [3, None, -2, 0, 1, 1, 1])]
    return bar_chart(pen(), "c", "Bars", DAYS, parts)


def squares() -> Figure:
    areas = [Area(f"5801{n:02}", f"县{n}", n * n if n != 3 else None) for n in range(9)]
    return area_map(pen("zh"), "d", "县", areas)


def outlines() -> Figure:
    areas = [Area("580101", "West", 3), Area("580102", "East", 8)]
    given = read_boundaries(Path(__file__).parent / "two.geojson", "GS(0000)0000")
    return area_map(pen(), "e", "Two", areas, boundaries=given)


def heart() -> Figure:
    curve = [round(beat(number / 100), 3) for number in range(200)]
    return ecg_drawing(pen(), "f", "Heart", [Lead("I", 100, curve), Lead("II", 100, curve[:100])])


DRAWN: tuple[Callable[[], Figure], ...] = (trend, several, bars, squares, outlines, heart)


def as_file(figure: Figure) -> str:
    """As a file of its own, which a browser shows."""
    named = str(figure.drawing).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return named.replace("><", ">\n<") + "\n"


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_a_drawing_is_the_one_that_was_looked_at(draw: Callable[[], Figure]) -> None:
    expected = (FOLDER / f"{draw.__name__}.svg").read_text(encoding="utf-8")
    assert as_file(draw()) == expected


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for one in DRAWN:
        (FOLDER / f"{one.__name__}.svg").write_text(as_file(one()), encoding="utf-8")
