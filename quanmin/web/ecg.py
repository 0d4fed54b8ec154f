"""Electrocardiograms as SVG on the usual paper: 25 mm a second, 10 mm a millivolt, true to scale in
print.

Twelve leads stand in three rows of four, a quarter of the time each, with lead II as a rhythm strip
below; any other number stands one below the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape

from quanmin.web.drawing import Figure, Pen

SECONDS_DRAWN_MAX: Final = 10
SAMPLES_MAX: Final = 1_000_000
LEADS_MAX: Final = 18

# Units are tenths of a millimetre.
_SECOND, _MILLIVOLT = 250, 100
_ROW: Final = 300
_LIMIT: Final = 250
_MARGIN: Final = 60
_TEXT, _LARGE_TEXT = 36, 58
_IN_MILLIVOLTS: Final = {"mV": 1.0, "uV": 0.001, "µV": 0.001, "V": 1000.0, "nV": 1e-6}
_STANDARD: Final = (
    ("I", "aVR", "V1", "V4"),
    ("II", "aVL", "V2", "V5"),
    ("III", "aVF", "V3", "V6"),
)
_RHYTHM: Final = "II"


class Lead(msgspec.Struct, frozen=True):
    """The samples of one lead in millivolts, `hertz` of them a second; None where there is none."""

    name: str
    hertz: float
    samples: Sequence[float | None]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.hertz


def leads_of(observation: Mapping[str, Any]) -> tuple[Lead, ...]:
    """The leads of an Observation whose components (or whose own value) are SampledData.

    A sample is origin + factor * number (R4, 2.24.0.12); `E` is none, `U` and `L` are beyond what
    the device takes and stand at its limits. Raises ValueError, which says what is wrong.
    """
    parts = [one for one in observation.get("component", ()) if "valueSampledData" in one]
    if not parts and "valueSampledData" in observation:
        parts = [observation]
    if not parts:
        raise ValueError("the Observation has no valueSampledData")
    return tuple(lead for one in parts for lead in _leads(one))


def ecg_drawing(pen: Pen, name: str, title: str, leads: Sequence[Lead]) -> Figure:
    """The leads on paper; what is longer than ten seconds is cut off, and a note says so.

    `name` is unique on its page. Raises ValueError for leads that cannot be drawn.
    """
    if len(leads) > LEADS_MAX:
        raise ValueError(f"an electrocardiogram has at most {LEADS_MAX} leads, not {len(leads)}")
    if any(lead.hertz <= 0 or not math.isfinite(lead.hertz) for lead in leads):
        raise ValueError("a lead has more than no samples a second")
    strips = list(_strips(leads))
    seconds = max((strip.begin + strip.length for strip in strips), default=1.0)
    rows = max((strip.row for strip in strips), default=0) + 1
    width = math.ceil(seconds) * _SECOND + 2 * _MARGIN
    height = rows * _ROW + 2 * _MARGIN
    content = [_paper(name, width, height)]
    size = _LARGE_TEXT if pen.is_large else _TEXT
    for strip in strips:
        x, y = _MARGIN + strip.begin * _SECOND, _MARGIN + (strip.row + 0.5) * _ROW
        content.append(_trace(strip, x, y))
        content.append(
            f'<text x="{x + 8:.0f}" y="{y - _ROW / 2 + size:.0f}">{escape(strip.lead.name)}</text>'
        )
    told = pen.say("{count} leads; 25 mm a second, 10 mm a millivolt.").format(
        count=pen.number(len(leads))
    )
    notes = [pen.say("25 mm a second, 10 mm a millivolt; true to scale when printed in full size.")]
    longest = max((lead.seconds for lead in leads), default=0.0)
    if longest > SECONDS_DRAWN_MAX:
        words = pen.say("Of {seconds} seconds the first {shown} are drawn.")
        notes.append(words.format(seconds=pen.number(round(longest, 1)), shown=SECONDS_DRAWN_MAX))
    drawing = Markup(
        '<svg role="img" width="{}mm" height="{}mm" viewBox="0 0 {} {}" font-size="{}" '
        'aria-labelledby="{}-title {}-told"><title id="{}-title">{}</title>'
        '<desc id="{}-told">{}</desc>{}</svg>'
    ).format(
        *(f"{width / 10:g}", f"{height / 10:g}", width, height, size),
        *(name, name, name, title, name, told),
        Markup("").join(Markup(part) for part in content),  # noqa: S704 - made and escaped here
    )
    return Figure(
        name=name,
        title=title,
        drawing=drawing,
        headings=(
            pen.say("Lead"),
            pen.say("Seconds"),
            pen.say("Samples a second"),
            pen.say("Lowest (mV)"),
            pen.say("Highest (mV)"),
        ),
        rows=tuple(_row(pen, lead) for lead in leads),
        notes=tuple(notes),
        kind="ecg",
    )


# ---- drawing -------------------------------------------------------------------------------------


class _Strip(msgspec.Struct, frozen=True):
    """A stretch of a lead: from which second of it, how long, and where on the paper."""

    lead: Lead
    row: int
    begin: float
    length: float
    skipped: float = 0.0


def _strips(leads: Sequence[Lead]) -> Iterator[_Strip]:
    by_name = {lead.name: lead for lead in leads}
    seconds = min(max((lead.seconds for lead in leads), default=0.0), SECONDS_DRAWN_MAX)
    if by_name.keys() != {name for row in _STANDARD for name in row} or len(leads) != 12:
        for row, lead in enumerate(leads):
            yield _Strip(lead, row, 0.0, min(lead.seconds, SECONDS_DRAWN_MAX))
        return
    quarter = seconds / 4
    for row, names in enumerate(_STANDARD):
        for column, name in enumerate(names):
            yield _Strip(by_name[name], row, column * quarter, quarter, column * quarter)
    yield _Strip(by_name[_RHYTHM], len(_STANDARD), 0.0, seconds)


def _paper(name: str, width: int, height: int) -> str:
    """The grid: a line each millimetre, a stronger one each five."""
    return (
        f'<defs><pattern id="{escape(name)}-small" width="10" height="10" '
        'patternUnits="userSpaceOnUse"><path d="M10 0H0V10" fill="none" stroke="#f6d5d3"/>'
        f'</pattern><pattern id="{escape(name)}-large" width="50" height="50" '
        f'patternUnits="userSpaceOnUse"><path d="M0 0h50v50h-50z" fill="url(#{escape(name)}-small)"'
        '/><path d="M50 0H0V50" fill="none" stroke="#e8a09b" stroke-width="2"/></pattern></defs>'
        f'<path d="M0 0h{width}v{height}h-{width}z" fill="url(#{escape(name)}-large)"/>'
    )


def _trace(strip: _Strip, left: float, middle: float) -> str:
    """The line of a strip: one point for each unit of width, the one that goes farthest, so that
    no spike is lost; a gap where there are no samples.
    """
    hertz = strip.lead.hertz
    first = round(strip.skipped * hertz)
    samples = strip.lead.samples[first : first + round(strip.length * hertz)]
    points: list[tuple[int, int] | None] = []
    for number, sample in enumerate(samples):
        if sample is None or not math.isfinite(sample):
            points.append(None)
            continue
        x = round(left + number * _SECOND / hertz)
        # What leaves its row by far would be drawn over the others.
        height = min(max(sample * _MILLIVOLT, -_LIMIT), _LIMIT)
        y = round(middle - height)
        before = points[-1] if points else None
        if before is not None and before[0] == x:
            reach = points[-2] if len(points) > 1 and points[-2] else before
            if abs(y - reach[1]) > abs(before[1] - reach[1]):
                points[-1] = (x, y)
        else:
            points.append((x, y))
    return f'<path d="{_path(points)}" fill="none" stroke="#17222c" stroke-width="3"/>'


def _path(points: Sequence[tuple[int, int] | None]) -> str:
    path, at = "", None
    for point in points:
        if point is None:
            at = None
            continue
        if at is None:
            path += f"M{point[0]} {point[1]}l0 0"
        else:
            across, down = point[0] - at[0], point[1] - at[1]
            path += f" {across} {down}" if down >= 0 else f" {across}{down}"
        at = point
    return path


def _row(pen: Pen, lead: Lead) -> tuple[str, ...]:
    known = [value for value in lead.samples if value is not None]
    return (
        lead.name,
        pen.number(round(lead.seconds, 2)),
        pen.number(lead.hertz),
        pen.number(round(min(known), 3) if known else None),
        pen.number(round(max(known), 3) if known else None),
    )


# ---- reading -------------------------------------------------------------------------------------


def _leads(part: Mapping[str, Any]) -> Iterator[Lead]:
    """The leads of one SampledData: several, when it has more than one dimension."""
    data = part["valueSampledData"]
    name = _name(part.get("code", {}))
    origin = data.get("origin", {})
    unit = origin.get("code") or origin.get("unit")
    if unit not in _IN_MILLIVOLTS:
        raise ValueError(f"lead {name}: {unit} is no voltage; give its origin in mV or uV")
    size = _IN_MILLIVOLTS[unit]
    period = _number(data.get("period"), f"lead {name}: period")
    if period <= 0:
        raise ValueError(f"lead {name}: the period of its samples is above nought milliseconds")
    zero = float(origin.get("value") or 0)
    factor = float(data.get("factor") or 1)
    samples = _samples(name, data, zero, factor, size)
    count = int(data.get("dimensions") or 1)
    if not 1 <= count <= LEADS_MAX:
        raise ValueError(f"lead {name}: {count} dimensions, at most {LEADS_MAX}")
    for number in range(count):
        called = name if count == 1 else f"{name} {number + 1}"
        yield Lead(called, 1000 / period, samples[number::count])


def _samples(
    name: str, data: Mapping[str, Any], zero: float, factor: float, size: float
) -> list[float | None]:
    words = str(data.get("data") or "").split(maxsplit=SAMPLES_MAX)
    if len(words) > SAMPLES_MAX:
        raise ValueError(f"lead {name}: more than {SAMPLES_MAX} samples")
    limits = {
        "E": None,
        "L": _limit(data.get("lowerLimit"), size),
        "U": _limit(data.get("upperLimit"), size),
    }
    found: list[float | None] = []
    for word in words:
        if word in limits:
            found.append(limits[word])
        else:
            found.append((zero + factor * _number(word, f"lead {name}: sample")) * size)
    return found


def _limit(value: Any, size: float) -> float | None:
    # A limit is of what was measured: no origin is added, and it is not multiplied.
    return None if value is None else float(value) * size


def _number(value: Any, what: str) -> float:
    try:
        number = float(Decimal(str(value)))
    except InvalidOperation:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{what} {str(value)[:20]!r} is no number")
    return number


def _name(code: Mapping[str, Any]) -> str:
    """What a lead is called: the last word of its text, display or code, as in `Lead II`."""
    codings = code.get("coding", ())
    told = [code.get("text"), *(one.get("display") or one.get("code") for one in codings)]
    for words in told:
        if words:
            last = str(words).replace("_", " ").split()[-1]
            standard = {name.lower(): name for row in _STANDARD for name in row}
            return standard.get(last.lower(), last[:20])
    return "?"
