"""Functions from one System value to one: most of those over texts, numbers and times."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from quanmin.fhir.path.arithmetic import kind
from quanmin.fhir.path.compiling import Application, Function, Step
from quanmin.fhir.path.environment import Scope
from quanmin.fhir.path.nodes import EMPTY, Collection, computed
from quanmin.fhir.path.problems import Unfit

Kind = Callable[[Any], Any]
"""Passes a value on, as the type that is wanted. Raises Unfit for any other."""


def a_text(value: Any) -> str:
    """A String."""
    if type(value) is not str:
        raise Unfit(f"takes a String, not {kind(value)}: convert by toString()")
    return value


def a_whole(value: Any) -> int:
    """An Integer."""
    if not isinstance(value, int) or type(value) is bool:
        raise Unfit(f"takes a whole number, not {kind(value)}")
    return int(value)


def a_number(value: Any) -> int | Decimal:
    """An Integer, a Long or a Decimal."""
    if not isinstance(value, int | Decimal) or type(value) is bool:
        raise Unfit(f"takes a number, not {kind(value)}")
    return value


def anything(value: Any) -> Any:
    """Any value."""
    return value


def scalar(
    calculate: Callable[..., Any],
    takes: Kind,
    *args: Kind,
    optional: int = 0,
    needs_all: bool = True,
) -> Function:
    """A function of the input's only item and of arguments with one item each.

    Empty where the input is, and where an argument is that was given, unless not `needs_all`: then
    `calculate` sees None. A result of None is the empty collection.
    """

    def build(application: Application) -> Step:
        count = len(application.args)

        def apply(focus: Collection, this: Collection, scope: Scope) -> Collection:
            value = application.lone(focus)
            given = [application.value(number, this, scope) for number in range(count)]
            if value is None or (needs_all and None in given):
                return EMPTY
            try:
                exact = [
                    None if one is None else fits(one)
                    for one, fits in zip(given, args, strict=False)
                ]
                return computed(calculate(takes(value), *exact))
            except Unfit as fault:
                raise application.problem(str(fault)) from None

        return apply

    return Function(len(args) - optional, len(args), build)
