"""What can be wrong with a FHIRPath expression, told with its place in the text."""

from __future__ import annotations

from typing import Literal

from quanmin.base.problems import Malformed

Fault = Literal["syntax", "semantic", "execution"]
_SHOWN_MAX = 40


class PathProblem(Malformed):
    """An expression that cannot be read or cannot be evaluated: what, where, how to mend it.

    `fault` says at which step: reading ("syntax"), checking against types ("semantic") or
    evaluating ("execution"). `at` counts characters of the expression from 0. The text shows a
    piece of the expression and never a value of the record; `reason` is the text without the piece.
    """

    code = "invalid"

    def __init__(self, text: str, *, expression: str, at: int, fault: Fault) -> None:
        shown = expression[at : at + _SHOWN_MAX]
        where = f"at character {at + 1}, {shown!r}" if shown else "at the end"
        super().__init__(f"FHIRPath: {text} ({where})")
        self.reason = text
        self.expression = expression
        self.at = at
        self.fault = fault


class Unfit(Exception):  # noqa: N818 - not an error yet: whoever knows the place makes it a problem
    """A value that a function or operator cannot take; the text says what it takes."""
