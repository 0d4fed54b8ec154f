"""Maps of divisions: by squares without boundaries, by the operator's boundaries with them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from quanmin.base.problems import Unusable
from quanmin.web.drawing import Pen
from quanmin.web.maps import TILES_MAX, Area, Boundaries, area_map, read_boundaries
from quanmin.web.page_settings import PageSettings, load_boundaries

PEN = Pen("en", str)
SQUARE = [[103, 30], [104, 30], [104, 31], [103, 31], [103, 30]]


def areas(*values: float | None) -> list[Area]:
    return [Area(f"5801{n:02}", f"A{n}", value) for n, value in enumerate(values, 1)]


def read(folder: Path, content: Any) -> Boundaries:
    path = folder / "map.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_boundaries(path)


def feature(coordinates: Any, **more: Any) -> dict[str, Any]:
    shape = {"type": "Polygon", "coordinates": coordinates}
    return {"type": "Feature", "geometry": shape, "properties": {}, **more}


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def test_each_class_has_a_shade_and_its_range_and_each_area_its_value() -> None:
    figure = area_map(PEN, "m", "M", areas(*range(10)))
    assert [key.words for key in figure.keys] == ["0–1", "2–3", "4–5", "6–7", "8–9"]
    fills = re.findall(r'<rect [^>]*fill="(#\w+)"', figure.drawing)
    assert len(set(fills)) == 5
    assert re.findall(r'text-anchor="middle">(\d)<', figure.drawing) == [
        str(number) for number in range(10)
    ]
    assert figure.notes == ("Schematic map",)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ((0,) * 9 + (12,), ["0", "12"]),
        ((0, 0, 0, 0, 1, 2, 3, 4), ["0", "1", "2", "3", "4"]),
        ((0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), ["0", "1–2", "3–4", "5–6", "7–8"]),
        ((0, 0), ["0"]),
        ((5,) * 9 + (12,), ["5", "12"]),
        ((-3, 0, 0, 4), ["-3", "0", "4"]),
    ],
)
def test_a_lowest_value_that_fills_a_class_is_one_of_its_own(
    values: tuple[int, ...], keys: list[str]
) -> None:
    found = [key.words for key in area_map(PEN, "m", "M", areas(*values)).keys]
    assert [one.replace("\N{MINUS SIGN}", "-") for one in found] == keys


def test_equal_values_are_one_class_and_what_has_none_is_said() -> None:
    figure = area_map(PEN, "m", "M", areas(3, 3, 3, None))
    assert [key.words for key in figure.keys] == ["3", "no value"]
    assert figure.rows[3] == ("A4", "–")
    assert figure.drawing.count("url(#m-none)") == 1


@pytest.mark.parametrize("values", [(), (None,), (float("nan"), None)])
def test_a_map_without_values_says_so(values: tuple[float | None, ...]) -> None:
    figure = area_map(PEN, "m", "M", areas(*values))
    assert "There are no values." in figure.drawing


def test_squares_stand_where_they_are_said_to_or_else_in_order_of_code() -> None:
    placed = [Area("580101", "A", 1, (3, 2)), Area("580102", "B", 2, (4, 2))]
    first, second = re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)"', area_map(PEN, "m", "M", placed).drawing
    )
    assert first[1] == second[1] == "1"
    assert float(first[0]) < float(second[0])
    clash = [Area("580102", "B", 1, (0, 0)), Area("580101", "A", 2, (0, 0))]
    spots = re.findall(r'<rect x="([\d.]+)"', area_map(PEN, "m", "M", clash).drawing)
    assert len(set(spots)) == 2


def test_more_squares_than_anybody_takes_in_are_refused() -> None:
    with pytest.raises(ValueError, match="show 200 at most"):
        area_map(PEN, "m", "M", areas(*range(TILES_MAX + 1)))


def test_boundaries_are_found_by_code_however_it_is_written(tmp_path: Path) -> None:
    given = read(
        tmp_path,
        collection(
            feature([SQUARE], id=580101),
            feature([SQUARE], properties={"adcode": "580102000000"}),
            feature([SQUARE], properties={"code": "5803"}),
            feature([SQUARE], properties={"name": "no code"}),
        ),
    )
    assert sorted(given.outlines) == ["580101", "580102", "580300"]


def test_a_topology_is_the_same_map_as_its_features(tmp_path: Path) -> None:
    arcs = [[[0, 0], [10, 0]], [[10, 0], [0, 10], [-10, 0], [0, -10]]]
    shape = {"type": "Polygon", "id": "580101", "arcs": [[0, 1]]}
    turned = {"type": "Polygon", "id": "580101", "arcs": [[~1, ~0]]}
    moved = {"scale": [0.1, 0.1], "translate": [103, 30]}
    topology = {"type": "Topology", "transform": moved, "arcs": arcs}
    plain = read(tmp_path, collection(feature([SQUARE], id="580101")))
    one = read(tmp_path, {**topology, "objects": {"a": {"geometries": [shape]}}})
    other = read(tmp_path, {**topology, "objects": {"a": {"geometries": [turned]}}})
    assert one.outlines == plain.outlines
    assert other.outlines["580101"].width == plain.outlines["580101"].width


def test_a_map_keeps_the_shape_of_the_land(tmp_path: Path) -> None:
    given = read(tmp_path, collection(feature([SQUARE], id="580101")))
    # At 30.5 degrees a degree of longitude is 0.862 of one of latitude.
    assert given.height == pytest.approx(318 / 0.8616 + 2, rel=0.01)


def test_areas_of_the_boundaries_without_value_are_drawn_as_such(tmp_path: Path) -> None:
    east = [[x + 1, y] for x, y in SQUARE]
    given = read(tmp_path, collection(feature([SQUARE], id="580101"), feature([east], id="580109")))
    figure = area_map(PEN, "m", "M", areas(4), boundaries=given)
    assert figure.drawing.count('stroke-width=".6"') == 2
    assert figure.drawing.count("url(#m-none)") == 1
    elsewhere = area_map(PEN, "m", "M", [Area("990101", "X", 1)], boundaries=given)
    assert "<rect" in elsewhere.drawing


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no GeoJSON"),
        ({"type": "FeatureCollection"}, "no GeoJSON"),
        ([], "no GeoJSON"),
        (collection(), "no area with a code"),
        (collection(feature([[[500000, 3], [1, 2], [3, 4]]], id="580101")), "longitude"),
        (collection(feature([[[1, 1], [1, 1], [1, 1]]], id="580101")), "no extent"),
        (collection(feature("abc", id="580101")), "no GeoJSON"),
    ],
)
def test_a_file_that_is_no_map_is_refused_with_the_reason(
    tmp_path: Path, content: Any, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        read(tmp_path, content)


def test_outlines_too_fine_for_a_page_are_refused(tmp_path: Path) -> None:
    ragged = [[103 + n / 40_000, 30 + (n % 2) / 3] for n in range(40_000)]
    with pytest.raises(ValueError, match="simplify it"):
        read(tmp_path, collection(feature([[*ragged, ragged[0]]], id="580101")))


def test_the_operators_map_is_read_at_start_or_the_reason_is_told(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    with pytest.raises(Unusable, match=r"map.json cannot be read: No such file"):
        load_boundaries(PageSettings(map_file=path))
    path.write_text("{}")
    with pytest.raises(Unusable, match="no GeoJSON"):
        load_boundaries(PageSettings(map_file=path))
    path.write_text(json.dumps(collection(feature([SQUARE], id="580101"))))
    given = load_boundaries(PageSettings(map_file=path, map_approval="GS(2026)0"))
    figure = area_map(PEN, "m", "M", areas(4), boundaries=given)
    assert figure.notes == ("Schematic map · GS(2026)0",)
    assert load_boundaries(PageSettings()) is None
