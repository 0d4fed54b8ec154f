"""A plan, compiled: series of turns, recurring visits, and what keeps doses apart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec

from quanmin.fhir.json import Json
from quanmin.workflow.plans.conditions import Condition
from quanmin.workflow.plans.spans import Span

Early = Literal["repeat", "repeat-spaced", "count"]
"""What a dose that came too early is: void; void, and the next is also spaced from it; or good."""

Effect = Literal["postpone", "exclude"]

Status = Literal[
    "not-applicable", "complete", "lapsed", "excluded", "postponed", "planned", "due", "overdue",
    "escalated",
]  # fmt: skip


class Escalation(msgspec.Struct, frozen=True):
    """Who is told when something has been overdue for so long."""

    after: Span
    to: str


class Urgency(msgspec.Struct, frozen=True, kw_only=True):
    """When what is due is overdue: from an age, or from the day after `span` since it was due."""

    age: Span | None = None
    span: Span | None = None
    escalations: tuple[Escalation, ...] = ()


class Relation(msgspec.Struct, frozen=True):
    """At least so long after a turn, of this series or of one before it in the plan."""

    turn: str
    span: Span


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One dose or visit of a series.

    It is due at an age, or so long after the turn before. `age_limit` is the age before which it
    must be; afterwards it is skipped, or with it the series lapses.
    """

    id: str
    title: str
    due_age: Span | None = None
    due_span: Span | None = None
    least_age: Span
    age_limit: Span | None = None
    is_skipped: bool = False
    relations: tuple[Relation, ...] = ()
    counts: frozenset[str]
    urgency: Urgency
    measure: str = ""
    definition: str = ""
    source: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """How long after a visit the next one is due, where a condition on the last results holds."""

    id: str
    title: str
    condition: Condition | None
    span: Span
    urgency: Urgency
    measure: str = ""
    definition: str = ""
    source: str = ""


class Contraindication(msgspec.Struct, frozen=True):
    """A state that postpones until it ends; without an end it postpones, or excludes."""

    state: str
    effect: Effect


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Turns that are done in order, or visits that recur: one of `turns` and `cases` is empty.

    Recurring visits begin with a state (`begins_state`) or an age, whichever is later.
    `alternative` names the group of series of which only the one that was begun goes on.
    """

    id: str
    title: str
    condition: Condition | None = None
    turns: tuple[Turn, ...] = ()
    cases: tuple[Case, ...] = ()
    counts: frozenset[str]
    early: Early = "repeat"
    contraindications: tuple[Contraindication, ...] = ()
    alternative: str = ""
    begins_state: str = ""
    begins_age: Span | None = None
    urgency: Urgency
    measure: str = ""
    definition: str = ""
    source: str = ""


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """Series whose doses keep a distance from events of some codes that came before."""

    id: str
    after: frozenset[str]
    span: Span
    is_same_day_allowed: bool
    series: frozenset[str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled plan. `position` finds the series and the place in it of every turn, `activities`
    the ActivityDefinition of a canonical.
    """

    url: str
    version: str
    title: str
    owner: str
    since: date | None
    until: date | None
    series: tuple[Series, ...]
    apart: tuple[Apart, ...]
    position: Mapping[str, tuple[int, int]]
    activities: Mapping[str, Json]

    @property
    def canonical(self) -> str:
        """What a Task names as what it was made of."""
        return f"{self.url}|{self.version}" if self.version else self.url


class Reason(msgspec.Struct, frozen=True):
    """A rule that was applied: which, the fact's day it was applied to, and the day it gives."""

    rule: str
    on: date | None = None
    gives: date | None = None
    code: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What an event would be in a series: the turn it counts for, else "" and why it does not."""

    series: str
    turn: str = ""
    reasons: tuple[Reason, ...] = ()


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody stands in one series on a day.

    `turn` is the next turn, or the case that set the next visit ("first" before any). It may be
    from `earliest`, is `due`, is overdue from `overdue` on, and may be until `last`. `because` is
    the rule that set the day or the status, and `because_on` the day of the fact it was applied to.
    """

    series: str
    turn: str = ""
    status: Status
    earliest: date | None = None
    due: date | None = None
    overdue: date | None = None
    last: date | None = None
    escalated_to: str = ""
    because: str = ""
    because_on: date | None = None
    measure: str = ""
    definition: str = ""
    source: str = ""
    reasons: tuple[Reason, ...] = ()
