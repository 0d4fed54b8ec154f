"""What all drawings of the kit share: a figure with its table, numbers in the language of the page,
and the steps of a scale.

A drawing is SVG made here, without script, so a page with charts stays as small as one without. It
is laid out 320 units wide, the narrowest phone; the style sheet makes its text smaller where the
drawing is shown larger. Whatever it shows stands in a table under it as well.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from babel.numbers import format_compact_decimal, format_decimal, format_scientific
from markupsafe import Markup, escape

from quanmin.web.text import Language, other_language

WIDTH: Final = 320
NAME_SIZE: Final = 10
# A table under a drawing is there to be read; whoever wants more rows takes the sheet.
ROWS_SHOWN_MAX: Final = 200
# Beyond it a difference of two numbers, or a step of a scale, is no number any more.
_MAGNITUDE_MAX: Final = 1e300
_COMPACT_FROM: Final = 100_000
_SCIENTIFIC_FROM: Final = 1e15
_SMALL_UNDER: Final = 1e-4

Number = float | Decimal


class Pen(msgspec.Struct, frozen=True):
    """How a drawing is written: the language of the page, its words, and large text or not."""

    language: Language
    say: Callable[[str], str]
    is_large: bool = False

    @property
    def text_size(self) -> int:
        """The height of text in units: 12 pixels or more on a phone 320 wide, 18 when large."""
        return 22 if self.is_large else 14

    def marked(self, words: str) -> Markup:
        """The attribute of an element that holds these words alone: their language, where it is not
        that of the page.
        """
        other = other_language(words, self.language)
        return Markup(' lang="{}"').format(other) if other else Markup()

    def number(self, value: Number | None) -> str:
        """A number as the language writes it, to four decimals; a dash for none."""
        if value is None or not math.isfinite(value):
            return "–"
        size = abs(float(value))
        if size >= _SCIENTIFIC_FROM or 0 < size < _SMALL_UNDER:
            return str(format_scientific(value, format="0.####E0", locale=self.language))
        return str(format_decimal(value, format="#,##0.####", locale=self.language))

    def short_number(self, value: float) -> str:
        """A number for the side of a scale: 12万, 120K."""
        if _COMPACT_FROM <= abs(value) < _SCIENTIFIC_FROM:
            return str(format_compact_decimal(value, locale=self.language, fraction_digits=1))
        return self.number(value)

    def width_of(self, text: str, size: float | None = None) -> float:
        """About how many units a text takes; a full-width character is as wide as high."""
        wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
        return (wide + (len(text) - wide) * 0.6) * (size or self.text_size)


class Key(msgspec.Struct, frozen=True):
    """One entry of a legend: what is drawn, as a small drawing, and its words."""

    mark: Markup
    words: str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A drawing, and beside it all that it says in words: a legend, notes, and a table of the same
    values. The template `kit/figure.html` shows it.
    """

    name: str
    title: str
    drawing: Markup
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: tuple[Key, ...] = ()
    notes: tuple[str, ...] = ()
    kind: str = "chart"


def drawable(value: Number | None) -> float | None:
    """The value as something that can be drawn; None for nothing, what is no number, and what no
    scale can hold.
    """
    if value is None or not math.isfinite(value) or abs(float(value)) > _MAGNITUDE_MAX:
        return None
    return float(value)


def scale_steps(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers that enclose low and high, about `count` steps apart by 1, 2 or 5 times a
    power of ten.
    """
    if low == high:
        room = abs(low) / 2 or 1.0
        low, high = low - room, high + room
    # A span that the numbers can hardly tell apart has no steps between them.
    rough = max((high - low) / count, max(abs(low), abs(high)) * 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def places(value: float) -> str:
    """A coordinate with one decimal and nothing that says nothing."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def picture(pen: Pen, said: tuple[str, str, str], height: float, content: Iterable[str]) -> Markup:
    """The content as one image, WIDTH units wide; `said` are its name, title and description."""
    name, title, told = said
    return Markup(
        '<svg role="img" viewBox="0 0 {} {}" font-size="{}" aria-labelledby="{}-title {}-told">'
        '<title id="{}-title"{}>{}</title><desc id="{}-told"{}>{}</desc>{}</svg>'
    ).format(
        *(WIDTH, places(height), pen.text_size, name, name),
        *(name, pen.marked(title), title, name, pen.marked(told), told),
        Markup("").join(Markup(part) for part in content),  # noqa: S704 - made and escaped here
    )


def written(x: float, y: float, words: str, kind: str = "", *, marked: str = "") -> str:
    """Words at a place, which is their `middle` or their `end`; a `name` is small, and hidden where
    there is no room for names. `marked` says their language (`Pen.marked`).
    """
    # As attributes: in a PDF the styles of a page do not reach into a drawing.
    anchor, _, is_name = kind.partition(" ")
    told = f'{marked} text-anchor="{anchor}"' if anchor else str(marked)
    if is_name:
        told += f' class="name" font-size="{NAME_SIZE}"'
    return f'<text x="{places(x)}" y="{places(y)}"{told}>{escape(words)}</text>'


def small_drawing(content: str) -> Markup:
    """What stands before the words of a legend."""
    return Markup(  # noqa: S704 - lines and numbers that the kit has drawn
        f'<svg class="key" viewBox="0 0 16 16" aria-hidden="true">{content}</svg>'
    )


def shown_rows(
    pen: Pen, rows: Sequence[tuple[str, ...]], *, is_newest_last: bool
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The rows that a table shows, and the note that says so when they are not all: the last where
    they end with the newest, else the first.
    """
    if len(rows) <= ROWS_SHOWN_MAX:
        return tuple(rows), ()
    some = rows[-ROWS_SHOWN_MAX:] if is_newest_last else rows[:ROWS_SHOWN_MAX]
    words = pen.say("Of {count} rows the table shows the last {shown}.")
    if not is_newest_last:
        words = pen.say("Of {count} rows the table shows the first {shown}.")
    note = words.format(count=pen.number(len(rows)), shown=pen.number(ROWS_SHOWN_MAX))
    return tuple(some), (note,)
