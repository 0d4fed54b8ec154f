"""Maps of divisions as SVG, coloured by classes: of boundaries where the operator has given some,
of equal squares where not.

A public map of administrative divisions needs an approval number, which no program brings along. So
boundaries are the operator's own file, and every map says that it is schematic. A class has a
shade, light enough for dark words; what is read without colour is the value itself, which stands
in the area where there is room, and in the table under the map.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from markupsafe import escape

from quanmin.web.drawing import (
    NAME_SIZE,
    WIDTH,
    Figure,
    Key,
    Number,
    Pen,
    drawable,
    picture,
    places,
    shown_rows,
    small_drawing,
    written,
)

CLASSES_MAX: Final = 5
# What a page may weigh holds the outlines of a province's prefectures; a finer file is simplified.
OUTLINE_BYTES_MAX: Final = 200_000
FILE_BYTES_MAX: Final = 20_000_000
# A tile grid is for what is seen at a glance: a province's prefectures or a prefecture's counties.
TILES_MAX: Final = 200

_SHADES: Final = ("#f1eef6", "#d0d1e6", "#a6bddb", "#8fbbd9", "#74a9cf")
_WITHOUT: Final = "#fff"
_EDGE: Final = "#4a5965"
_CODE_NAMES: Final = ("code", "adcode", "gb", "pcode", "id")
_CODE_LENGTH: Final = 6


class Area(msgspec.Struct, frozen=True):
    """A division by its code of GB/T 2260, its name, and its value.
    `tile` is its column and row in a grid of squares; without one squares stand in order of code.
    """

    code: str
    name: str
    value: Number | None
    tile: tuple[int, int] | None = None


class Outline(msgspec.Struct, frozen=True):
    """The shape of one division as a path, and where its name stands."""

    path: str
    x: float
    y: float
    width: float


class Boundaries(msgspec.Struct, frozen=True):
    """The outlines that an operator has given, by code, and what is said under the map of them."""

    outlines: Mapping[str, Outline]
    height: float
    approval: str = ""


def read_boundaries(path: Path, approval: str = "") -> Boundaries:
    """The boundaries of a GeoJSON (RFC 7946) or TopoJSON file whose features have the code of
    GB/T 2260 as their `id` or as a property `code`, `adcode`, `gb` or `pcode`.

    Raises ValueError that says what is wrong with it and how to mend it.
    """
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        raise ValueError(f"{path} has {size} bytes; simplify it to {FILE_BYTES_MAX} at most")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        shapes = dict(_shapes(content))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no GeoJSON or TopoJSON of areas: {error!r}") from error
    if not shapes:
        raise ValueError(f"{path} has no area with a code of GB/T 2260 in `id` or `code`")
    made = _projected(shapes, approval)
    drawn = sum(len(outline.path) for outline in made.outlines.values())
    if drawn > OUTLINE_BYTES_MAX:
        raise ValueError(
            f"the outlines of {path} take {drawn} bytes on a page, at most {OUTLINE_BYTES_MAX}: "
            "simplify it, for example with mapshaper -simplify 2.5% keep-shapes"
        )
    return made


def area_map(
    pen: Pen,
    name: str,
    title: str,
    areas: Sequence[Area],
    *,
    boundaries: Boundaries | None = None,
    unit: str = "",
    area_heading: str = "",
    classes: int = CLASSES_MAX,
) -> Figure:
    """The areas in classes that hold about as many each, the lowest value one of its own where it
    fills a class, as nought often does: by their outlines, or as squares when there are no
    boundaries for any of them.

    `name` is unique on its page. Raises ValueError for more squares than anybody takes in.
    """
    values = sorted(v for one in areas if (v := drawable(one.value)) is not None)
    bounds = _bounds(values, min(classes, CLASSES_MAX))
    given = boundaries and any(one.code in boundaries.outlines for one in areas)
    if boundaries is not None and given:
        height, content = boundaries.height, _outlined(pen, areas, boundaries, bounds)
    else:
        height, content = _tiled(pen, areas, bounds)
    hatch = (
        f'<defs><pattern id="{escape(name)}-none" width="6" height="6" '
        f'patternUnits="userSpaceOnUse"><path d="M0 0h6v6h-6z" fill="{_WITHOUT}"/>'
        '<path d="M-1 7l8-8" stroke="#8a8f94"/></pattern></defs>'
    )
    content = [part.replace("%none%", f"url(#{escape(name)}-none)") for part in content]
    value_heading = pen.say("Value") + (f" ({unit})" if unit else "")
    rows, notes = shown_rows(
        pen, [(one.name, pen.number(one.value)) for one in areas], is_newest_last=False
    )
    said = [pen.say("Schematic map")]
    if given and boundaries is not None and boundaries.approval:
        said.append(boundaries.approval)
    return Figure(
        name=name,
        title=title,
        drawing=picture(pen, (name, title, _told(pen, areas)), height, [hatch, *content]),
        headings=(area_heading or pen.say("Area"), value_heading),
        rows=rows,
        keys=_keys(pen, values, bounds, has_gaps=len(values) < len(areas)),
        notes=(" · ".join(said), *notes),
        kind="map",
    )


def _bounds(values: Sequence[float], count: int) -> list[float]:
    """The lowest value of each class but the first; classes that would be the same are one."""
    if not values:
        return []
    lowest = values.count(values[0])
    # One that fills a class would else take what comes after it into its own.
    is_alone = lowest * count >= len(values)
    rest = values[lowest:] if is_alone else values
    found = {rest[n * len(rest) // (count - is_alone)] for n in range(count - is_alone) if rest}
    return sorted(found - {values[0]})


def _class_of(value: Number | None, bounds: Sequence[float]) -> int | None:
    number = drawable(value)
    return None if number is None else sum(number >= bound for bound in bounds)


def _fill(value: Number | None, bounds: Sequence[float]) -> str:
    number = _class_of(value, bounds)
    return "%none%" if number is None else _SHADES[number]


def _told(pen: Pen, areas: Sequence[Area]) -> str:
    known = [(v, one.name) for one in areas if (v := drawable(one.value)) is not None]
    if not known:
        return pen.say("There are no values.")
    words = pen.say("{count} areas; the highest is {name} with {value}; the table has them all.")
    value, name = max(known)
    return words.format(count=pen.number(len(areas)), name=name, value=pen.number(value))


def _keys(
    pen: Pen, values: Sequence[float], bounds: Sequence[float], *, has_gaps: bool
) -> tuple[Key, ...]:
    keys = []
    for number in range(len(bounds) + 1 if values else 0):
        inside = [value for value in values if _class_of(value, bounds) == number]
        ends = dict.fromkeys((pen.number(inside[0]), pen.number(inside[-1])))
        mark = f'<rect width="16" height="16" fill="{_SHADES[number]}" stroke="{_EDGE}"/>'
        keys.append(Key(small_drawing(mark), "–".join(ends)))
    if has_gaps:
        mark = f'<rect width="16" height="16" fill="{_WITHOUT}" stroke="{_EDGE}"/>'
        mark += '<path d="M0 16l16-16M0 8l8-8M8 16l8-8" stroke="#8a8f94"/>'
        keys.append(Key(small_drawing(mark), pen.say("no value")))
    return tuple(keys)


def _tiled(pen: Pen, areas: Sequence[Area], bounds: Sequence[float]) -> tuple[float, list[str]]:
    if len(areas) > TILES_MAX:
        raise ValueError(f"{len(areas)} squares are no map; show {TILES_MAX} at most, or a table")
    if not areas:
        words = pen.say("There are no values.")
        return pen.text_size * 3.0, [written(WIDTH / 2, pen.text_size * 1.8, words, "middle")]
    spots = _spots(areas)
    columns = max(column for column, _ in spots.values()) + 1
    lines = max(row for _, row in spots.values()) + 1
    side = min(WIDTH / columns, 64.0)
    left = (WIDTH - side * columns) / 2
    content = []
    for one in areas:
        column, row = spots[one.code]
        x, y = left + column * side, row * side
        content.append(
            f'<rect x="{places(x + 1)}" y="{places(y + 1)}" width="{places(side - 2)}" '
            f'height="{places(side - 2)}" fill="{_fill(one.value, bounds)}" stroke="{_EDGE}">'
            f"{_title(pen, one)}</rect>"
        )
        if drawable(one.value) is None:
            continue
        value = pen.number(one.value)
        if pen.text_size <= side * 0.8 and pen.width_of(value, pen.text_size) <= side:
            content.append(written(x + side / 2, y + side * 0.5, value, "middle"))
        if pen.width_of(one.name, NAME_SIZE * 1.1) <= side:
            content.append(written(x + side / 2, y + side * 0.82, one.name, "middle name",
                                   marked=pen.marked(one.name)))  # fmt: skip
    return lines * side, content


def _title(pen: Pen, one: Area) -> str:
    words = f"{one.name} {pen.number(one.value)}"
    return f"<title{pen.marked(words)}>{escape(words)}</title>"


def _spots(areas: Sequence[Area]) -> dict[str, tuple[int, int]]:
    """Column and row of each area: those given, moved to the corner; or rows in order of code."""
    tiles = {one.code: one.tile for one in areas if one.tile is not None}
    if len(tiles) == len(areas) == len(set(tiles.values())):
        left = min(column for column, _ in tiles.values())
        top = min(row for _, row in tiles.values())
        return {code: (column - left, row - top) for code, (column, row) in tiles.items()}
    across = max(math.ceil(math.sqrt(len(areas))), 5)
    ordered = sorted(one.code for one in areas)
    return {code: (place % across, place // across) for place, code in enumerate(ordered)}


def _outlined(
    pen: Pen, areas: Sequence[Area], boundaries: Boundaries, bounds: Sequence[float]
) -> list[str]:
    by_code = {one.code: one for one in areas}
    drawn, names = [], []
    for code, outline in boundaries.outlines.items():
        one = by_code.get(code)
        title = _title(pen, one) if one else ""
        fill = _fill(one.value if one else None, bounds)
        drawn.append(
            f'<path d="{outline.path}" fill="{fill}" stroke="{_EDGE}" stroke-width=".6">'
            f"{title}</path>"
        )
        if one is None or drawable(one.value) is None:
            continue
        value = pen.number(one.value)
        for words in (f"{one.name} {value}", value, one.name):
            if pen.width_of(words, NAME_SIZE) <= outline.width:
                names.append(written(outline.x, outline.y, words, "middle name",
                                     marked=pen.marked(words)))  # fmt: skip
                break
    return drawn + names


# ---- reading boundaries --------------------------------------------------------------------------

_Ring = list[tuple[float, float]]


def _shapes(content: Mapping[str, Any]) -> Iterator[tuple[str, list[_Ring]]]:
    """The rings of each area, by code."""
    arcs: list[_Ring] = []
    if content["type"] == "Topology":
        arcs = _arcs(content)
        (first, *_) = content["objects"].values()
        features = first["geometries"]
    else:
        features = content["features"]
    for feature in features:
        code = _code(feature)
        geometry = feature.get("geometry") or feature
        if code is None or geometry["type"] not in {"Polygon", "MultiPolygon"}:
            continue
        held = geometry["arcs"] if arcs else geometry["coordinates"]
        parts = [held] if geometry["type"] == "Polygon" else held
        rings = [
            _joined(ring, arcs) if arcs else [_point(point) for point in ring]
            for part in parts
            for ring in part
        ]
        yield code, rings


def _code(feature: Mapping[str, Any]) -> str | None:
    """The code of GB/T 2260 that a feature has: six digits; shorter ones are filled with noughts,
    and of a code of twelve digits the first six count.
    """
    told = feature.get("properties") or {}
    for value in (feature.get("id"), *(told.get(name) for name in _CODE_NAMES)):
        digits = str(value) if value is not None else ""
        if digits.isascii() and digits.isdigit() and len(digits) >= 2:
            return digits[:_CODE_LENGTH].ljust(_CODE_LENGTH, "0")
    return None


def _point(given: Sequence[float]) -> tuple[float, float]:
    x, y = float(given[0]), float(given[1])
    if not (math.isfinite(x) and abs(x) <= 180 and abs(y) <= 90):
        raise ValueError("a position is no longitude and latitude in degrees (RFC 7946, 4)")
    return x, y


def _arcs(content: Mapping[str, Any]) -> list[_Ring]:
    """The arcs of a topology in degrees: where it is quantized, differences are added up."""
    moved = content.get("transform")
    if moved is None:
        return [[_point(point) for point in arc] for arc in content["arcs"]]
    (wide, high), (left, bottom) = moved["scale"], moved["translate"]
    made = []
    for arc in content["arcs"]:
        xs = itertools.accumulate(point[0] for point in arc)
        ys = itertools.accumulate(point[1] for point in arc)
        made.append(
            [_point((x * wide + left, y * high + bottom)) for x, y in zip(xs, ys, strict=True)]
        )
    return made


def _joined(numbers: Sequence[int], arcs: Sequence[_Ring]) -> _Ring:
    """A ring of arcs; one whose number is negative runs backwards."""
    ring: _Ring = []
    for number in numbers:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        ring += arc[1:] if ring else arc
    return ring


def _projected(shapes: Mapping[str, list[_Ring]], approval: str) -> Boundaries:
    """Degrees as units of the drawing: as wide as high in the middle of what is shown."""
    points = [point for rings in shapes.values() for ring in rings for point in ring]
    west, east = min(x for x, _ in points), max(x for x, _ in points)
    south, north = min(y for _, y in points), max(y for _, y in points)
    narrowed = math.cos(math.radians((south + north) / 2))
    if east <= west or north <= south or narrowed < 0.01:
        raise ValueError("the areas have no extent")
    # A long strip of land must not become a drawing that nobody sees the whole of.
    scale = min((WIDTH - 2) / ((east - west) * narrowed), 2 * WIDTH / (north - south))
    left = (WIDTH - (east - west) * narrowed * scale) / 2

    def put(point: tuple[float, float]) -> tuple[int, int]:
        x = left + (point[0] - west) * narrowed * scale
        return round(x * 10), round((1 + (north - point[1]) * scale) * 10)

    outlines = {}
    for code, rings in sorted(shapes.items()):
        drawn = [ring for one in rings if len(ring := _even(map(put, one))) > 2]
        if drawn:
            outlines[code] = _outline(drawn)
    return Boundaries(outlines, 2 + (north - south) * scale, approval)


def _even(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The points without those that do not move."""
    return [point for point, _ in itertools.groupby(points)]


def _outline(rings: Sequence[list[tuple[int, int]]]) -> Outline:
    path = ""
    for ring in rings:
        (x, y), *rest = ring
        path += f"M{x / 10:g} {y / 10:g}l"
        steps = []
        for after_x, after_y in rest:
            steps.append(f"{(after_x - x) / 10:g} {(after_y - y) / 10:g}")
            x, y = after_x, after_y
        path += " ".join(steps).replace(" -", "-") + "z"
    largest = max(rings, key=lambda ring: abs(_doubled_area(ring)))
    middle, line, width = _middle(largest)
    return Outline(path, middle / 10, line / 10, width / 10)


def _doubled_area(ring: Sequence[tuple[int, int]]) -> int:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))


def _middle(ring: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Where a name has the most room: the middle of the widest stretch inside, of some heights."""
    low, high = min(y for _, y in ring), max(y for _, y in ring)
    best = (float(ring[0][0]), float(low), 0.0)
    for part in range(1, 12):
        y = low + (high - low) * part / 12 + 0.01
        crossings = sorted(
            a[0] + (y - a[1]) * (b[0] - a[0]) / (b[1] - a[1])
            for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)
            if (a[1] <= y) != (b[1] <= y)
        )
        for begin, end in zip(crossings[::2], crossings[1::2], strict=False):
            # Between two that are nearly as wide, the one nearer to the middle.
            if end - begin > best[2] * (1.0 if abs(part - 6) >= 3 else 0.95):
                best = ((begin + end) / 2, y, end - begin)
    return best[0], best[1] + 35, best[2]
