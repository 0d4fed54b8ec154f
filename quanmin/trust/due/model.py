"""What is kept of where people stand, and what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal, Protocol, get_args

import msgspec

from quanmin.fhir.json import Json
from quanmin.trust.actors import Role

Status = Literal["planned", "due", "overdue", "escalated", "postponed", "excluded"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)

DATED, HELD, EXCLUDED, POSTPONED = range(4)
"""How a line stands: it has a day; it has one because of what stands in its way; it has none."""

NEVER: Final = date.max
"""In place of the day of what has none."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person stands in one series, as far as it does not depend on the day: `turn` counts
    from 1, `escalates` are the days from which on it is told to one after another.
    """

    series: str
    turn: int
    hold: int = DATED
    earliest: date | None = None
    due: date = NEVER
    overdue: date | None = None
    last: date | None = None
    escalates: tuple[date, ...] = ()

    def status(self, today: date) -> Status:
        """How it stands on a day."""
        if self.hold >= EXCLUDED:
            return "excluded" if self.hold == EXCLUDED else "postponed"
        if today < self.due:
            return "postponed" if self.hold == HELD else "planned"
        if any(day <= today for day in self.escalates):
            return "escalated"
        return "overdue" if self.overdue is not None and self.overdue <= today else "due"


class Stood(msgspec.Struct, frozen=True):
    """Where a person stands in a plan: the lines of what is not settled, and the day on which it is
    another although nothing was written; None: never.
    """

    lines: tuple[Line, ...] = ()
    again: date | None = None


class Known(msgspec.Struct, frozen=True):
    """What is known of a person: the Patients (the first tells birth and sex), and what other
    records tell, as `Planned.told` packed it.
    """

    patients: tuple[Json, ...]
    told: tuple[bytes, ...] = ()


class Reminder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A notice to the person so many days after the day on which something is due; below zero:
    before.
    """

    kind: str
    days: int


class Escalating(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A notice to staff when an escalation `to` them is reached: to those in `roles`, with one of
    these `duties` where any are named, at the institution that registered the person; with `kinds`
    at the nearest institution of such a kind in whose division that one is.
    """

    to: str
    kind: str
    roles: frozenset[Role]
    kinds: frozenset[str] = frozenset()
    duties: frozenset[str] = frozenset()


WORDS: Final = frozenset({"what", "due"})
"""What the words of such notices may name: what is due, and the day."""


class Planned(Protocol):
    """A plan, as due lists are kept by it. `stamp` is another whenever what it says is; `types` are
    those of the records that tell it something.
    """

    code: str
    stamp: str
    types: frozenset[str]
    series: tuple[str, ...]
    reminders: tuple[Reminder, ...]
    escalations: tuple[Escalating, ...]

    def title(self, line: Line) -> str:
        """What is due, in the words of the plan."""

    def told_to(self, line: Line) -> Sequence[str]:
        """To whom it is told on each of the days on which the line escalates."""

    def told(self, type_: str, body: bytes) -> bytes | None:
        """What a record tells; None for nothing."""

    def codes(self, type_: str) -> frozenset[str] | None:
        """The codes (`code`) of which each record of a type has one that tells anything; None where
        that is not told by its codes.
        """

    def areas(self, patient: Json) -> Sequence[str]:
        """The areas that a Patient belongs to."""

    def stand(self, persons: Sequence[Known], today: date) -> Sequence[Stood]:
        """Where each of them stands."""

    def explained(self, known: Known, today: date) -> Any:
        """Where one of them stands, with all reasons."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A list: of a plan by its code, of these series (none: all) and statuses, due from `since` to
    `until` (both included), registered by an `institution` (its code), of an `area`.
    """

    plan: str
    series: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ("due", "overdue", "escalated")
    since: date | None = None
    until: date | None = None
    institution: str = ""
    area: str = ""
