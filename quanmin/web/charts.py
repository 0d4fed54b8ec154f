"""Charts as SVG: lines with a reference range, bars, and bars in parts.

Pure functions of values and words that are already in the language of the page; the same values
give the same bytes. Series differ by their line and mark, or by a pattern, and not by colour alone.
A value that is missing leaves a gap and is never drawn as nought.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import msgspec
from markupsafe import escape

from quanmin.web.drawing import (
    WIDTH,
    Figure,
    Key,
    Number,
    Pen,
    drawable,
    picture,
    places,
    scale_steps,
    shown_rows,
    small_drawing,
    written,
)

# A phone has no more dots in a row; of what lies between, the highest and the lowest are drawn.
POINTS_DRAWN_MAX: Final = 400
# Under a unit of width a bar is no bar.
BARS_DRAWN_MAX: Final = 240
# As many as there are lines and patterns that anybody can tell apart.
SERIES_MAX: Final = 6
_MARKS_UP_TO: Final = 40

_PLOT_HEIGHT: Final = 150
_INK, _RULE, _BAND, _WARN = "#17222c", "#c3ccd3", "#d5ebe0", "#8a1c1c"
_COLOURS: Final = ("#0b5c8c", "#e69f00", "#8a8f94", "#009e73", "#a3428c", "#d55e00")
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
# A circle, a square, a triangle up, a diamond, a triangle down, a plus.
_MARKS: Final = (
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
    "m-3-3h6v6h-6z",
    "m0-4l4 7h-8z",
    "m0-4.5l4.5 4.5l-4.5 4.5l-4.5-4.5z",
    "m0 4l4-7h-8z",
    "m-1-4h2v3h3v2h-3v3h-2v-3h-3v-2h3z",
)
# Over the colour of each part but the first: what a pattern of six by six units has on it.
_PATTERNS: Final = (
    "",
    "M-1 7l8-8M-1 1l2-2M5 7l2-2",
    "M2 3h2",
    "M-1-1l8 8M-1 5l2 2M5-1l2 2",
    "M0 3h6",
    "M3 0v6",
)


class Series(msgspec.Struct, frozen=True):
    """What one line or one part of the bars shows: a value for each label, None where missing."""

    name: str
    values: Sequence[Number | None]


class Band(msgspec.Struct, frozen=True):
    """A reference range, drawn behind the lines; either end may be open. `words` name it."""

    words: str
    low: Number | None = None
    high: Number | None = None


class _Plot(msgspec.Struct, frozen=True):
    """Where the values of a scale stand in the drawing."""

    pen: Pen
    steps: list[float]
    left: float
    top: float

    @property
    def right(self) -> float:
        return WIDTH - 6.0

    @property
    def bottom(self) -> float:
        return self.top + _PLOT_HEIGHT

    @property
    def height(self) -> float:
        """Of the whole drawing, with a line of labels under it."""
        return self.bottom + self.pen.text_size * 1.6

    def y(self, value: float) -> float:
        """The height of a value; one beyond the scale stands at its end."""
        low, high = self.steps[0], self.steps[-1]
        inside = min(max(value, low), high)
        return self.bottom - (inside - low) / (high - low) * _PLOT_HEIGHT

    def x(self, share: float) -> float:
        return self.left + share * (self.right - self.left)

    def rules(self) -> list[str]:
        """A line for each step, with its number."""
        drawn = []
        for step in self.steps:
            y = self.y(step)
            kind = _INK if step == 0 or step == self.steps[0] else _RULE
            drawn.append(
                f'<path d="M{places(self.left)} {places(y)}H{places(self.right)}" stroke="{kind}"/>'
            )
            words = self.pen.short_number(step)
            drawn.append(written(self.left - 4, y + self.pen.text_size * 0.35, words, "end"))
        return drawn

    def labels(self, words: Sequence[str], x: Callable[[int], float]) -> list[str]:
        """The labels under it: the first, and each that does not run into the one before."""
        drawn: list[str] = []
        taken, y = 0.0, self.bottom + self.pen.text_size * 1.2
        for number, one in enumerate(words):
            # Those at the edges are moved in, so that nothing is cut off.
            half = self.pen.width_of(one) / 2
            place = max(min(x(number), WIDTH - half), half)
            if not drawn or place - half >= taken:
                drawn.append(written(place, y, one, "middle"))
                taken = place + half + self.pen.text_size * 0.7
        return drawn


def line_chart(
    pen: Pen,
    name: str,
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    unit: str = "",
    band: Band | None = None,
    at: Sequence[Number] | None = None,
    label_heading: str = "",
) -> Figure:
    """Lines over labels, one after the other or, with `at`, as far apart as these numbers are (such
    as days); `at` ascends. Values outside the band get another mark, and words in the table.

    `name` is unique on its page. Raises ValueError for series that do not have a value for each
    label, or more of them than can be told apart.
    """
    _check(labels, series, at)
    numbers = [[drawable(value) for value in one.values] for one in series]
    ends = [] if band is None else _known([[drawable(band.low), drawable(band.high)]])
    plot = _plot(pen, [*_known(numbers), *ends])
    if not _known(numbers):
        return _empty(
            pen,
            name,
            title,
            labels=labels,
            series=series,
            unit=unit,
            label_heading=label_heading,
        )
    shares = _shares(len(labels), at)
    content = [] if band is None else [_band(plot, band)]
    content += plot.rules()
    content += plot.labels(labels, lambda number: plot.x(shares[number]))
    for number, values in enumerate(numbers):
        content += _line(plot, number, shares, values, band)
    table, notes = shown_rows(
        pen, _rows(pen, labels, series, None if len(series) > 1 else band), is_newest_last=True
    )
    headings = _headings(pen, series, unit, label_heading)
    if band is not None and len(series) == 1:
        headings = (*headings, band.words)
    return Figure(
        name=name,
        title=title,
        drawing=picture(pen, (name, title, _told(pen, numbers, unit)), plot.height, content),
        headings=headings,
        rows=table,
        keys=_line_keys(pen, series, band, unit),
        notes=notes,
    )


def bar_chart(
    pen: Pen,
    name: str,
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    unit: str = "",
    label_heading: str = "",
) -> Figure:
    """Bars from nought; of several series the parts of each bar stand upon each other, those below
    nought hang from it. Of more bars than fit the last are drawn, and a note says so.

    `name` is unique on its page. Raises ValueError as `line_chart` does.
    """
    _check(labels, series, None)
    if not _known([[drawable(value) for value in one.values] for one in series]):
        return _empty(
            pen,
            name,
            title,
            labels=labels,
            series=series,
            unit=unit,
            label_heading=label_heading,
        )
    first = max(len(labels) - BARS_DRAWN_MAX, 0)
    numbers = [[drawable(value) for value in one.values[first:]] for one in series]
    count = len(labels) - first
    tops = [sum(v for one in numbers if (v := one[n] or 0) > 0) for n in range(count)]
    ends = [sum(v for one in numbers if (v := one[n] or 0) < 0) for n in range(count)]
    plot = _plot(pen, [0.0, *tops, *ends] if any((*tops, *ends)) else [0.0, 1.0])
    content = [_patterns(name, len(series)), *plot.rules()]
    content += plot.labels(labels[first:], lambda number: plot.x((number + 0.5) / count))
    for number in range(count):
        content += _bar(
            plot,
            name,
            number=number,
            count=count,
            values=[one[number] for one in numbers],
            series=series,
            label=labels[first + number],
        )
    table, notes = shown_rows(pen, _rows(pen, labels, series, None), is_newest_last=False)
    if first:
        words = pen.say("Of {count} bars the last {shown} are drawn.")
        notes = (words.format(count=pen.number(len(labels)), shown=pen.number(count)), *notes)
    return Figure(
        name=name,
        title=title,
        drawing=picture(pen, (name, title, _told(pen, numbers, unit)), plot.height, content),
        headings=_headings(pen, series, unit, label_heading),
        rows=table,
        keys=_bar_keys(name, series),
        notes=notes,
    )


def thinned(points: Sequence[tuple[float, float]], count_max: int) -> list[tuple[float, float]]:
    """No more points than `count_max`, in their order: of each stretch its lowest and its highest,
    so that no peak is lost.
    """
    if len(points) <= count_max:
        return list(points)
    stretches = count_max // 2
    kept: list[tuple[float, float]] = []
    for number in range(stretches):
        begin = number * len(points) // stretches
        part = range(begin, (number + 1) * len(points) // stretches)
        ends = {
            min(part, key=lambda n: points[n][1]),
            max(part, key=lambda n: points[n][1]),
        }
        kept += [points[one] for one in sorted(ends)]
    return kept


def _check(labels: Sequence[str], series: Sequence[Series], at: Sequence[Number] | None) -> None:
    if len(series) > SERIES_MAX:
        raise ValueError(f"{len(series)} series cannot be told apart; group them to {SERIES_MAX}")
    lengths = {len(one.values) for one in series} | ({len(at)} if at is not None else set())
    if lengths - {len(labels)}:
        raise ValueError(f"each series has a value, or None, for each of the {len(labels)} labels")
    if at is not None and any(after < before for before, after in pairwise(at)):
        raise ValueError("the places of the values ascend")


def _known(numbers: Sequence[Sequence[float | None]]) -> list[float]:
    return [value for one in numbers for value in one if value is not None]


def _plot(pen: Pen, values: Sequence[float]) -> _Plot:
    steps = scale_steps(min(values, default=0.0), max(values, default=1.0))
    widest = max(pen.width_of(pen.short_number(step)) for step in steps)
    return _Plot(pen, steps, left=widest + 8, top=pen.text_size * 0.8)


def _shares(count: int, at: Sequence[Number] | None) -> list[float]:
    """Where each value stands between the left and the right edge."""
    if at is None:
        return [(number + 0.5) / count for number in range(count)]
    first, last = float(at[0]), float(at[-1])
    span = last - first
    return [0.04 + 0.92 * ((float(one) - first) / span if span else 0.5) for one in at]


def _band(plot: _Plot, band: Band) -> str:
    low, high = drawable(band.low), drawable(band.high)
    top = plot.top if high is None else plot.y(high)
    bottom = plot.bottom if low is None else plot.y(low)
    return (
        f'<rect x="{places(plot.left)}" y="{places(top)}" fill="{_BAND}" '
        f'width="{places(plot.right - plot.left)}" height="{places(max(bottom - top, 1))}"/>'
    )


def _line(
    plot: _Plot,
    number: int,
    shares: Sequence[float],
    values: Sequence[float | None],
    band: Band | None,
) -> list[str]:
    """A line with gaps where values are missing; marks, where there are few enough to see them."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for share, value in zip(shares, values, strict=True):
        if value is None:
            stretches.append([])
        else:
            stretches[-1].append((share, value))
    stretches = [one for one in stretches if one]
    if len(stretches) > POINTS_DRAWN_MAX // 2:
        # Gaps that nobody could see: what is left are dots.
        dots = thinned([one for points in stretches for one in points], POINTS_DRAWN_MAX)
        stretches = [[one] for one in dots]
    count = sum(map(len, stretches))
    colour, dash = _COLOURS[number], _DASHES[number]
    path = ""
    for points in stretches:
        # Each stretch gets its part of what may be drawn, and no gap closes.
        drawn = thinned(points, max(POINTS_DRAWN_MAX * len(points) // count, 2))
        if len(drawn) > 1:
            path += "M" + "L".join(
                f"{places(plot.x(share))} {places(plot.y(value))}" for share, value in drawn
            )
    found = []
    if path:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        found = [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>']
    singles = [points[0] for points in stretches if len(points) == 1]
    marked = [one for points in stretches for one in points] if count <= _MARKS_UP_TO else singles
    marks = {_MARKS[number]: "", _MARKS[3]: ""}
    for share, value in marked[:POINTS_DRAWN_MAX]:
        shape = _MARKS[3] if _beyond(value, band) else _MARKS[number]
        marks[shape] += f"M{places(plot.x(share))} {places(plot.y(value))}{shape}"
    if marks[_MARKS[number]]:
        found.append(f'<path d="{marks[_MARKS[number]]}" fill="{colour}"/>')
    if band is not None and marks[_MARKS[3]]:
        found.append(f'<path d="{marks[_MARKS[3]]}" fill="{_WARN}" stroke="#fff"/>')
    return found


def _beyond(value: float, band: Band | None) -> int:
    """Where a value is to a range: 1 above, -1 below, 0 in it."""
    if band is None:
        return 0
    if band.high is not None and value > band.high:
        return 1
    return -1 if band.low is not None and value < band.low else 0


def _bar(
    plot: _Plot,
    name: str,
    *,
    number: int,
    count: int,
    values: Sequence[float | None],
    series: Sequence[Series],
    label: str,
) -> list[str]:
    """One bar with its parts, and its number above where there is room."""
    wide = (plot.right - plot.left) / count
    x, room = plot.left + wide * (number + 0.14), wide * 0.72
    up = down = 0.0
    drawn = []
    for part, value in enumerate(values):
        if not value:
            continue
        begin = up if value > 0 else down
        end = begin + value
        up, down = (end, down) if value > 0 else (up, end)
        y, foot = sorted((plot.y(begin), plot.y(end)))
        said = f"{label} {series[part].name} {plot.pen.number(value)}"
        drawn.append(
            f'<rect x="{places(x)}" y="{places(y)}" width="{places(room)}" '
            f'height="{places(foot - y)}" fill="{_fill(name, part)}">'
            f"<title>{escape(said)}</title></rect>"
        )
    if len(values) == 1 and values[0] is not None:
        words = plot.pen.short_number(values[0])
        if plot.pen.width_of(words) <= wide:
            drawn.append(written(x + room / 2, plot.y(max(values[0], 0.0)) - 3, words, "middle"))
    return drawn


def _fill(name: str, number: int) -> str:
    return f"url(#{escape(name)}-{number})" if number else _COLOURS[0]


def _patterns(name: str, count: int) -> str:
    made = "".join(_pattern(f"{name}-{number}", number) for number in range(1, count))
    return f"<defs>{made}</defs>" if made else ""


def _pattern(name: str, number: int) -> str:
    return (
        f'<pattern id="{escape(name)}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<path d="M0 0h6v6h-6z" fill="{_COLOURS[number]}"/>'
        f'<path d="{_PATTERNS[number]}" stroke="#fff" stroke-width="1"/></pattern>'
    )


def _sample(number: int) -> str:
    dash = f' stroke-dasharray="{_DASHES[number]}"' if _DASHES[number] else ""
    return (
        f'<path d="M0 8h16" stroke="{_COLOURS[number]}" stroke-width="2"{dash}/>'
        f'<path d="M8 8{_MARKS[number]}" fill="{_COLOURS[number]}"/>'
    )


def _line_keys(pen: Pen, series: Sequence[Series], band: Band | None, unit: str) -> tuple[Key, ...]:
    several = list(series) if len(series) > 1 else []
    keys = [Key(small_drawing(_sample(number)), one.name) for number, one in enumerate(several)]
    if band is not None:
        swatch = f'<rect width="16" height="16" fill="{_BAND}"/>'
        keys.append(Key(small_drawing(swatch), f"{band.words} {_range(pen, band)} {unit}".strip()))
    return tuple(keys)


def _bar_keys(name: str, series: Sequence[Series]) -> tuple[Key, ...]:
    several = list(series) if len(series) > 1 else []
    keys = []
    for number, one in enumerate(several):
        # A pattern of its own: in a PDF none is found in another drawing.
        own = f"{name}-key"
        made = f"<defs>{_pattern(f'{own}-{number}', number)}</defs>" if number else ""
        mark = f'{made}<rect width="16" height="16" fill="{_fill(own, number)}"/>'
        keys.append(Key(small_drawing(mark), one.name))
    return tuple(keys)


def _range(pen: Pen, band: Band) -> str:
    if band.low is None:
        return f"≤ {pen.number(band.high)}"
    if band.high is None:
        return f"≥ {pen.number(band.low)}"
    return f"{pen.number(band.low)}–{pen.number(band.high)}"


def _headings(pen: Pen, series: Sequence[Series], unit: str, label_heading: str) -> tuple[str, ...]:
    of = f" ({unit})" if unit else ""
    return (label_heading or pen.say("Label"), *(f"{one.name}{of}" for one in series))


def _rows(
    pen: Pen, labels: Sequence[str], series: Sequence[Series], band: Band | None
) -> list[tuple[str, ...]]:
    rows = []
    for number, label in enumerate(labels):
        row = (label, *(pen.number(one.values[number]) for one in series))
        if band is not None:
            value = drawable(series[0].values[number])
            row = (*row, "" if value is None else _standing(pen, _beyond(value, band)))
        rows.append(row)
    return rows


def _standing(pen: Pen, beyond: int) -> str:
    if beyond > 0:
        return pen.say("above")
    return pen.say("below") if beyond < 0 else pen.say("within")


def _told(pen: Pen, numbers: Sequence[Sequence[float | None]], unit: str) -> str:
    """The drawing in a sentence: how many values, from where to where, and the last."""
    known = _known(numbers)
    words = pen.say("{count} values from {low} to {high}; the table below has them.")
    return words.format(
        count=pen.number(len(known)),
        low=pen.number(min(known)),
        high=f"{pen.number(max(known))} {unit}".strip(),
    )


def _empty(
    pen: Pen,
    name: str,
    title: str,
    *,
    labels: Sequence[str],
    series: Sequence[Series],
    unit: str,
    label_heading: str,
) -> Figure:
    """A drawing that says that there is nothing to draw."""
    words = pen.say("There are no values.")
    height = pen.text_size * 3.0
    content = [written(WIDTH / 2, pen.text_size * 1.8, words, "middle")]
    rows, notes = shown_rows(pen, _rows(pen, labels, series, None), is_newest_last=True)
    return Figure(
        name=name,
        title=title,
        drawing=picture(pen, (name, title, words), height, content),
        headings=_headings(pen, series, unit, label_heading),
        rows=rows,
        notes=notes,
    )
