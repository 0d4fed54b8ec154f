"""What a schedule knows of somebody: birth, sex, groups, what happened and what holds."""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

import msgspec

Sex = Literal["female", "male", "other", "unknown"]
SEXES: tuple[Sex, ...] = get_args(Sex)


class Event(msgspec.Struct, frozen=True, order=True):
    """Something that happened on a day: a dose, a visit. `detail` is its result, as a code."""

    on: date
    code: str
    detail: str = ""


class State(msgspec.Struct, frozen=True, order=True):
    """Something that holds from a day to a day, both included; None is open."""

    code: str
    since: date | None = None
    until: date | None = None

    def holds(self, day: date) -> bool:
        """Whether it holds on that day."""
        return (self.since is None or self.since <= day) and (
            self.until is None or day <= self.until
        )


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One person, as schedules see them. `groups` hold at all times (a birth weight, say).

    Events that are alike in code, day and detail are one: two institutions told of it.
    """

    born: date
    sex: Sex = "unknown"
    groups: frozenset[str] = frozenset()
    events: tuple[Event, ...] = ()
    states: tuple[State, ...] = ()

    def known_on(self, day: date) -> list[Event]:
        """What happened until a day, in order, each once."""
        return sorted({event for event in self.events if event.on <= day})
