"""Draws a workflow as SVG: states in layers from top to bottom, every step a line with its words.

Each line has a track of its own between two layers, so no two words meet; lines that lead back or
over a layer run beside all states. Nothing in it is a style, so any content policy lets it show.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

import msgspec

from quanmin.workflow.states.model import State, Workflow

_INK: Final = "#17222c"
_PAPER: Final = "#fff"
_PALE: Final = "#e3eef5"
_SIZE: Final = 14
_SMALL: Final = 12
_BOX_HEIGHT: Final = 40
_TRACK: Final = 24
_GAP: Final = 24
_PORT: Final = 8
_APART: Final = 4
_DOT: Final = 7
_BEGIN: Final = ""
"""The name of the dot from which cases begin."""


class _Line(msgspec.Struct):
    """A step from one state: its words, and where its parts lie."""

    start: str
    end: str
    words: str
    is_timed: bool
    out_x: float = 0
    in_x: float = 0
    out_y: float = 0
    in_y: float | None = None
    lane_x: float = 0


def draw(workflow: Workflow, language: str) -> str:
    """The picture in a language. Its title and description say what it shows; the table of the
    steps (`table`) says the same in words and stands beside it.
    """
    return _Picture(workflow, language).svg()


def table(workflow: Workflow, language: str) -> list[tuple[str, str, str, str]]:
    """For each step: its words, from which states, to which, and who takes it (roles, or the time
    after which it happens).
    """
    rows = []
    for step in workflow.steps.values():
        before = ", ".join(
            state.told(language)
            for state in workflow.states.values()
            if state.code in step.begins_in
        )
        timers = [one for one in workflow.timers.values() if one.step == step.code]
        who = sorted(step.roles) + [workflow.limit(one, language) for one in timers]
        to = workflow.states[step.to].told(language) if step.to else before
        rows.append((step.told(language), before, to, ", ".join(who)))
    return rows


def layers(workflow: Workflow) -> list[list[str]]:
    """The states by how many steps at least lead to them, in the order of the file."""
    far: dict[str, int] = {}
    ring = {step.to for step in workflow.steps.values() if step.begins}
    while ring:
        far.update(dict.fromkeys(ring, max(far.values(), default=-1) + 1))
        ring = {
            step.to
            for step in workflow.steps.values()
            if step.to and step.begins_in & ring and step.to not in far
        }
    found: dict[int, list[str]] = defaultdict(list)
    for code in workflow.states:
        found[far[code]].append(code)
    return [found[depth] for depth in sorted(found)]


class _Picture:
    def __init__(self, workflow: Workflow, language: str) -> None:
        self._workflow, self._language = workflow, language
        self._rows = [[_BEGIN], *layers(workflow)]
        self._row_of = {code: n for n, row in enumerate(self._rows) for code in row}
        self._widths = {code: self._width(code) for code in self._row_of}
        self._lines = self._all_lines()
        self._x: dict[str, float] = {}
        self._y: dict[str, float] = {}
        self._place()

    def svg(self) -> str:
        """The whole picture."""
        workflow, name = self._workflow, self._workflow.name
        head = workflow.head
        title = head.zh if self._language == "zh" else head.en
        told = ". ".join(
            " ".join(part for part in (step, before and f"({before})", "→", to) if part)
            for step, before, to, _ in table(workflow, self._language)
        )
        width, height = round(self._right), round(self._bottom)
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img" lang="{self._language}"'
            f' aria-labelledby="workflow-{name}-title workflow-{name}-told"'
            f' font-family="system-ui, sans-serif" fill="{_INK}">'
        )
        parts = [
            opening,
            f'<title id="workflow-{name}-title">{escape(title)}</title>',
            f'<desc id="workflow-{name}-told">{escape(told)}</desc>',
            f'<rect width="{width}" height="{height}" fill="{_PAPER}"/>',
            *(self._drawn(line) for line in self._lines),
            *(self._words(line) for line in self._lines),
            *(self._box(code) for code in self._row_of),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    # ---- where things lie ------------------------------------------------------------------------

    def _all_lines(self) -> list[_Line]:
        found = []
        for step in self._workflow.steps.values():
            timers = [one for one in self._workflow.timers.values() if one.step == step.code]
            clock = ", ".join(self._workflow.limit(one, self._language) for one in timers)
            words = step.told(self._language) + (f" ({clock})" if clock else "")
            starts = [code for code in self._workflow.states if code in step.begins_in]
            found += [
                _Line(start, step.leads(start), words, is_timed=not step.roles)
                for start in (starts or [_BEGIN])
            ]
        return found

    def _place(self) -> None:
        self._place_boxes()
        self._share_ports()
        y = float(_GAP)
        for number, row in enumerate(self._rows):
            for code in row:
                self._y[code] = y
            y += _BOX_HEIGHT if number else 2 * _DOT
            below = number + 1
            for line in self._lines:
                if self._row_of[line.start] == number:
                    y += _TRACK
                    line.out_y = y
                if self._row_of[line.end] == below and not self._is_next(line):
                    y += _TRACK / 2
                    line.in_y = y
            y += _TRACK
        self._bottom = y
        lane = max(self._x[code] + self._widths[code] / 2 for code in self._row_of)
        lane = max([lane, *(self._words_right(one) for one in self._lines)])
        for line in self._lines:
            if not self._is_next(line):
                lane += _GAP * 2 / 3
                line.lane_x = lane
        self._right = lane + _GAP

    def _place_boxes(self) -> None:
        widths = [sum(self._widths[code] + _GAP for code in row) for row in self._rows]
        widest = max([*widths, *(_text_width(line.words, _SMALL) for line in self._lines)])
        for row, width in zip(self._rows, widths, strict=True):
            x = _GAP + (widest - width) / 2
            for code in row:
                self._x[code] = x + self._widths[code] / 2
                x += self._widths[code] + _GAP

    def _share_ports(self) -> None:
        """Give each line its own place at the lower edge of the state it leaves and at the upper
        one of the state it comes to; those of the two edges lie beside each other.
        """
        outgoing: Mapping[str, list[_Line]] = defaultdict(list)
        incoming: Mapping[str, list[_Line]] = defaultdict(list)
        for line in self._lines:
            outgoing[line.start].append(line)
            incoming[line.end].append(line)
        for code, leaving in outgoing.items():
            for place, line in enumerate(leaving):
                line.out_x = self._port(code, place, len(leaving)) - _PORT / 2
        for code, coming in incoming.items():
            taken = [
                line.out_x
                for line in self._lines
                if self._row_of[line.start] == self._row_of[code] - 1
            ]
            for place, line in enumerate(coming):
                wished = self._port(code, place, len(coming)) + _PORT / 2
                line.in_x = self._free(code, wished, taken)
                taken.append(line.in_x)

    def _free(self, code: str, wished: float, taken: Sequence[float]) -> float:
        """The place nearest to the one that is wished, at the edge of a state, where no line runs:
        in the space above a state its lines meet those that leave the states above.
        """
        reach = self._widths[code] / 2 - _PORT
        shifts = (
            side * n * _APART / 2 for n in range(round(4 * reach / _APART)) for side in (1, -1)
        )
        places = (wished + shift for shift in shifts)
        within = (x for x in places if abs(x - self._x[code]) <= reach)
        return next((x for x in within if all(abs(x - one) >= _APART for one in taken)), wished)

    def _port(self, code: str, place: int, count: int) -> float:
        width = self._widths[code]
        return self._x[code] - width / 2 + width * (place + 1) / (count + 1)

    def _is_next(self, line: _Line) -> bool:
        return self._row_of[line.end] == self._row_of[line.start] + 1

    def _width(self, code: str) -> float:
        if code == _BEGIN:
            return 2 * _DOT
        return _text_width(self._state(code).told(self._language), _SIZE) + 2 * _GAP

    def _state(self, code: str) -> State:
        return self._workflow.states[code]

    def _words_x(self, line: _Line) -> float:
        """Where the words of a line begin: beside the place where it leaves its state."""
        return max(line.out_x + 6, _GAP)

    def _words_right(self, line: _Line) -> float:
        return self._words_x(line) + _text_width(line.words, _SMALL)

    # ---- what is seen ----------------------------------------------------------------------------

    def _drawn(self, line: _Line) -> str:
        height = 2 * _DOT if line.start == _BEGIN else _BOX_HEIGHT
        points = [(line.out_x, self._y[line.start] + height), (line.out_x, line.out_y)]
        if line.in_y is not None:
            points += [(line.lane_x, line.out_y), (line.lane_x, line.in_y)]
            points += [(line.in_x, line.in_y)]
        else:
            points += [(line.in_x, line.out_y)]
        top = self._y[line.end]
        points += [(line.in_x, top)]
        path = " ".join(f"{'L' if n else 'M'}{_short(x)} {_short(y)}" for n, (x, y) in
                        enumerate(points))  # fmt: skip
        dashes = ' stroke-dasharray="5 4"' if line.is_timed else ""
        x, y = _short(line.in_x), _short(top)
        return (
            f'<path d="{path}" fill="none" stroke="{_INK}" stroke-width="1.5"{dashes}/>'
            f'<path d="M{x} {y} l-5 -9 h10 z"/>'
        )

    def _words(self, line: _Line) -> str:
        x, y = self._words_x(line), line.out_y - 6
        width = _text_width(line.words, _SMALL)
        return (
            f'<rect x="{_short(x - 2)}" y="{_short(y - _SMALL)}" width="{_short(width + 4)}"'
            f' height="{_SMALL + 4}" fill="{_PAPER}"/>'
            f'<text x="{_short(x)}" y="{_short(y)}" font-size="{_SMALL}">'
            f"{escape(line.words)}</text>"
        )

    def _box(self, code: str) -> str:
        x, y, width = self._x[code], self._y[code], self._widths[code]
        if code == _BEGIN:
            return f'<circle cx="{_short(x)}" cy="{_short(y + _DOT)}" r="{_DOT}"/>'
        state = self._state(code)
        left = x - width / 2
        frame = (
            f'<rect x="{_short(left)}" y="{_short(y)}" width="{_short(width)}"'
            f' height="{_BOX_HEIGHT}" rx="8" fill="{_PALE}" stroke="{_INK}"'
            f' stroke-width="{3 if state.final else 1.5}"/>'
        )
        return (
            f'{frame}<text x="{_short(x)}" y="{_short(y + _BOX_HEIGHT / 2 + 5)}"'
            f' font-size="{_SIZE}" text-anchor="middle">'
            f"{escape(state.told(self._language))}</text>"
        )


def _text_width(text: str, size: int) -> float:
    """How wide a text is at most in the usual fonts: a full-width character is a square."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return size * (wide + 0.62 * (len(text) - wide))


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
