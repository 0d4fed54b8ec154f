"""The facts of many persons in columns, as the evaluation of a whole county reads them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from quanmin.workflow.plans.facts import SEXES, Facts

Days = NDArray[np.int32]
"""Days since 1970-01-01."""

Mask = NDArray[np.bool_]
EVER = np.int32(-(2**31))
"""In place of a day: from ever, or none."""

END = np.int32((date.max - date(1970, 1, 1)).days)
"""The last day of the calendar: until further."""


class Happened(msgspec.Struct, frozen=True):
    """Events, one a row: the person's number, the code's and the detail's number, the day."""

    person: NDArray[np.int32]
    code: NDArray[np.int16]
    day: Days
    detail: NDArray[np.int16]


class Held(msgspec.Struct, frozen=True):
    """States, one a row; EVER and END where a day is not known."""

    person: NDArray[np.int32]
    code: NDArray[np.int16]
    since: Days
    until: Days


class Population(msgspec.Struct, frozen=True):
    """Persons by number: births, sexes by their place in SEXES, who is in which group; and events
    and states in any order. `codes` and `details` are sorted, so that numbers sort as texts do.
    """

    born: Days
    sex: NDArray[np.int8]
    groups: dict[str, Mask]
    events: Happened
    states: Held
    codes: tuple[str, ...]
    details: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many persons."""
        return len(self.born)


def number_of(day: date) -> int:
    """A date as days since 1970-01-01."""
    return day.toordinal() - 719_163


def date_of(number: int) -> date | None:
    """The date of a number of days; None for EVER."""
    return None if number == EVER else date.fromordinal(int(number) + 719_163)


def population_of(persons: Sequence[Facts]) -> Population:
    """The columns of some persons, in their order."""
    events = [(n, event) for n, one in enumerate(persons) for event in one.events]
    states = [(n, state) for n, one in enumerate(persons) for state in one.states]
    codes = sorted({e.code for _, e in events} | {s.code for _, s in states})
    details = sorted({e.detail for _, e in events} | {""})
    number, detail = _numbers(codes), _numbers(details)
    groups = {group for one in persons for group in one.groups}
    return Population(
        born=np.array([number_of(one.born) for one in persons], np.int32),
        sex=np.array([SEXES.index(one.sex) for one in persons], np.int8),
        groups={g: np.array([g in one.groups for one in persons], np.bool_) for g in groups},
        events=Happened(
            np.array([n for n, _ in events], np.int32),
            np.array([number[e.code] for _, e in events], np.int16),
            np.array([number_of(e.on) for _, e in events], np.int32),
            np.array([detail[e.detail] for _, e in events], np.int16),
        ),
        states=Held(
            np.array([n for n, _ in states], np.int32),
            np.array([number[s.code] for _, s in states], np.int16),
            np.array(
                [EVER if s.since is None else number_of(s.since) for _, s in states], np.int32
            ),
            np.array([END if s.until is None else number_of(s.until) for _, s in states], np.int32),
        ),
        codes=tuple(codes),
        details=tuple(details),
    )


def _numbers(texts: Sequence[str]) -> dict[str, int]:
    return {text: number for number, text in enumerate(texts)}
