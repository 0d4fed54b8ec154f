"""Charts tell what the values are, whatever they are: none, one, many, missing, huge, negative."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from quanmin.web.charts import (
    BARS_DRAWN_MAX,
    POINTS_DRAWN_MAX,
    SERIES_MAX,
    Band,
    Series,
    bar_chart,
    line_chart,
    thinned,
)
from quanmin.web.drawing import ROWS_SHOWN_MAX, Figure, Pen, scale_steps

PEN = Pen("en", str)
SVG = re.compile(r"</?(?:svg|title|desc|defs|pattern|path|rect|text)\b[^>]*>")


def line(values: list[float | None], **more: Any) -> Figure:
    labels = [str(number) for number in range(len(values))]
    return line_chart(PEN, "c", "C", labels, [Series("S", values)], **more)


def bars(*series: Sequence[float | None]) -> Figure:
    labels = [str(number) for number in range(len(series[0]))]
    return bar_chart(PEN, "c", "C", labels, [Series(f"s{n}", v) for n, v in enumerate(series)])


def numbers_in(drawing: str) -> list[float]:
    """Every coordinate of the drawing."""
    kept = re.sub(r"<(title|desc|text)[^>]*>[^<]*", "", drawing)
    return [float(one) for one in re.findall(r"(?<![\w#])-?\d+(?:\.\d+)?", kept)]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [7],
        [None, None],
        [-3, -1],
        [0, 0],
        [math.nan, math.inf],
        [1e299, -1e299],
        [1e308, 1],
        [1e-12, 2e-12],
        [5.0000000000001, 5],
        [1.0, None, 2.0],
    ],
)
@pytest.mark.parametrize("chart", [line, bars])
def test_whatever_the_values_are_the_drawing_is_whole_and_inside_its_frame(
    chart: object, values: list[float | None]
) -> None:
    figure = chart(values)  # type: ignore[operator]  # one of the two above
    drawn = ET.fromstring(str(figure.drawing))  # noqa: S314 - what was just made
    assert all(math.isfinite(one) and abs(one) < 700 for one in numbers_in(figure.drawing))
    assert len(figure.rows) == len(values)
    assert drawn.get("role") == "img"
    assert [one.tag for one in drawn][:2] == ["title", "desc"]
    told = "There are no values." in figure.drawing
    assert told == all(v is None or not abs(v) <= 1e300 for v in values)


def test_a_missing_value_is_a_gap_and_a_dash_and_never_nought() -> None:
    figure = line([4.0, None, 6.0])
    assert [row[1] for row in figure.rows] == ["4", "–", "6"]
    assert 'fill="none"' not in figure.drawing
    (marks,) = re.findall(r'<path d="([^"]*)" fill="#0b5c8c"', figure.drawing)
    assert marks.count("M") == 2


def test_values_beyond_the_range_have_another_mark_and_are_told_in_words() -> None:
    figure = line([3.0, 5.0, 9.0], band=Band("Range", Decimal("3.9"), Decimal("6.1")))
    assert [row[2] for row in figure.rows] == ["below", "within", "above"]
    (beyond,) = re.findall(r'<path d="([^"]*)" fill="#8a1c1c"', figure.drawing)
    assert beyond.count("M") == 2
    assert figure.keys[0].words == "Range 3.9–6.1"


@pytest.mark.parametrize(
    ("band", "told", "words"),
    [
        (Band("R", high=6.1), ["within", "within", "above"], "R ≤ 6.1"),
        (Band("R", low=6.1), ["below", "within", "within"], "R ≥ 6.1"),
    ],
)
def test_a_range_may_be_open_and_its_end_is_within(band: Band, told: list[str], words: str) -> None:
    figure = line([6.0, 6.1, 6.2], band=band)
    assert [row[2] for row in figure.rows] == told
    assert figure.keys[0].words == words


def test_ten_thousand_points_are_thinned_and_no_peak_is_lost() -> None:
    values: list[float | None] = [math.sin(number / 50) for number in range(10_000)]
    values[4321], values[8765] = 40.0, -40.0
    figure = line(values)
    points = [(float(number), float(value or 0)) for number, value in enumerate(values)]
    kept = thinned(points, POINTS_DRAWN_MAX)
    assert len(kept) <= POINTS_DRAWN_MAX
    assert {(4321.0, 40.0), (8765.0, -40.0)} <= set(kept)
    assert kept == sorted(kept)
    assert len(figure.drawing) < 10_000
    assert len(figure.rows) == ROWS_SHOWN_MAX
    assert figure.rows[-1][0] == "9999"
    assert figure.notes == ("Of 10,000 rows the table shows the last 200.",)


def test_ten_thousand_gaps_still_make_a_small_drawing() -> None:
    values: list[float | None] = [1.0 if number % 2 else None for number in range(10_000)]
    assert len(line(values).drawing) < 30_000


def test_of_too_many_bars_the_last_are_drawn_and_it_is_said() -> None:
    figure = bars([1.0] * 1000)
    assert figure.drawing.count("<rect") == BARS_DRAWN_MAX
    assert figure.notes[0] == f"Of 1,000 bars the last {BARS_DRAWN_MAX} are drawn."


def test_parts_stand_upon_each_other_and_those_below_nought_hang() -> None:
    figure = bars([2.0, -2.0], [3.0, -3.0])
    found = re.findall(
        r'<rect x="[^"]*" y="([\d.]+)" width="[^"]*" height="([\d.]+)"', figure.drawing
    )
    (a, b, c, d) = [(float(y), float(height)) for y, height in found]
    assert b[0] + b[1] == pytest.approx(a[0], abs=0.11)
    assert c[0] + c[1] == pytest.approx(d[0], abs=0.11)
    assert a[0] + a[1] == pytest.approx(c[0], abs=0.11)


def test_parts_differ_by_pattern_and_lines_by_dash_and_mark() -> None:
    parts = bars(*([1.0] for _ in range(SERIES_MAX)))
    patterns = re.findall(r'<path d="([^"]*)" stroke="#fff"', parts.drawing)
    assert len(set(patterns)) == SERIES_MAX - 1
    series = [Series(f"s{n}", [1.0, 2.0]) for n in range(SERIES_MAX)]
    lines = line_chart(PEN, "c", "C", ["a", "b"], series)
    marks = [key.mark.partition("M8 8")[2].partition('"')[0] for key in lines.keys]
    assert len(set(marks)) == SERIES_MAX


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be told apart"):
        bars(*([1.0] for _ in range(SERIES_MAX + 1)))
    with pytest.raises(ValueError, match="for each of the 2 labels"):
        line_chart(PEN, "c", "C", ["a", "b"], [Series("s", [1])])
    with pytest.raises(ValueError, match="ascend"):
        line([1.0, 2.0], at=[2, 1])


def test_values_stand_as_far_apart_as_their_days() -> None:
    figure = line([1.0, 1.0, 1.0], at=[0, 1, 10])
    (path,) = re.findall(r'<path d="M([^"]*)" fill="none"', figure.drawing)
    a, b, c = (float(one.split()[0]) for one in path.split("L"))
    assert (c - b) / (b - a) == pytest.approx(9, rel=0.05)


def test_labels_never_run_into_each_other() -> None:
    at = [0, 1, 2, 40, 41, 100]
    figure = line_chart(
        PEN, "c", "C", [f"2026-01-{n:02}" for n in range(6)], [Series("s", [1.0] * 6)], at=at
    )
    found = re.findall(
        r'<text x="([\d.]+)" y="[\d.]+" text-anchor="middle">([^<]*)', figure.drawing
    )
    ends = [(float(x) - PEN.width_of(t) / 2, float(x) + PEN.width_of(t) / 2) for x, t in found]
    assert len(ends) >= 2
    assert all(after[0] > before[1] for before, after in pairwise(ends))
    assert ends[-1][1] <= 320


def test_words_of_others_are_told_and_never_markup() -> None:
    evil = '"><script>alert(1)</script>'
    figure = bar_chart(PEN, "c", evil, [evil], [Series(evil, [1]), Series("b", [2])])
    assert "<script" not in figure.drawing
    assert SVG.sub("", figure.drawing).count("<") == 0


def test_numbers_are_written_as_the_language_writes_them() -> None:
    assert PEN.number(Decimal("1234.5")) == "1,234.5"
    assert PEN.short_number(120_000) == "120K"
    assert Pen("zh", str).short_number(120_000) == "12万"
    assert PEN.number(None) == "–"


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [(0, 8, [0, 2, 4, 6, 8]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (3, 3, [1, 2, 3, 4, 5])],
)
def test_the_steps_of_a_scale_are_round(low: float, high: float, steps: list[float]) -> None:
    assert scale_steps(low, high) == steps
