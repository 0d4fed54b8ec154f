"""A workflow, loaded: the states of a case, the steps between them, its timers and its notices."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from quanmin.base.decision import Decision

Rule = Callable[..., Decision]
"""A pure function of an application's `rules.py`. It is handed those facts by name that its
parameters name.
"""

_DURATION: Final = re.compile(
    r"P(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?"
    r"(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?)?",
    re.ASCII,
)
_MONTHS: Final = 12
_MONTH_DAYS: Final = (28, 31)
_HOUR_SECONDS: Final = 3600
_DAY: Final = timedelta(days=1)


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code with its words in both languages."""

    code: str
    zh: str
    en: str

    def told(self, language: str) -> str:
        """The words in a language; English where it is not Chinese."""
        return self.zh if language == "zh" else self.en


class State(Words, frozen=True, kw_only=True):
    """Where a case may stand. `task` is the Task.status of R4 that it has meanwhile; a case in a
    `final` state is ended. A system outside is told of one that comes into a state that `leaves`.
    """

    task: str
    final: bool = False
    leaves: bool = False


class Step(Words, frozen=True, kw_only=True):
    """What brings a case from a state to another; one without `begins_in` begins a case, one
    without `to` leaves it in its state, whose clock goes on.

    Taken by these `roles`, with one of these `duties` where any are named, and by nobody who took
    one of the steps `not_after` in this case; without roles by timers alone. `rule` must allow it.
    Resources of the types `records`, and a response to `form`, are written with it. `notices` go
    out with it. `needs_words`: a reason must be given. One that `reopens` takes back an end that
    was a mistake, and nothing else comes from a final state. One with an `answer` is the node's
    own: it is taken when a system outside that was told of the case answers so.
    """

    begins_in: frozenset[str] = msgspec.field(name="from", default=frozenset())
    to: str = ""
    roles: frozenset[str] = frozenset()
    duties: frozenset[str] = frozenset()
    not_after: frozenset[str] = frozenset()
    rule: str = ""
    records: frozenset[str] = frozenset()
    form: str = ""
    notices: tuple[str, ...] = ()
    needs_words: bool = False
    reopens: bool = False
    answer: str = ""

    @property
    def begins(self) -> bool:
        """Whether it begins a case."""
        return not self.begins_in

    def leads(self, state: str) -> str:
        """Where a case is after it that was in a state; "" for one that began."""
        return self.to or state


class Duration(msgspec.Struct, frozen=True):
    """A time by the calendar: months and days end at the same time of day, seconds have passed."""

    months: int
    days: int
    seconds: int

    def after(self, moment: datetime, zone: tzinfo) -> datetime:
        """The moment this much later, by the calendar of a zone. A day that a month lacks is its
        last; a time of day that a change of clocks leaves out is as much later.
        """
        local = moment.astimezone(zone)
        month = local.year * _MONTHS + local.month - 1 + self.months
        first = date(month // _MONTHS, month % _MONTHS + 1, 1)
        last = ((first.replace(day=28) + timedelta(days=4)).replace(day=1) - _DAY).day
        day = first.replace(day=min(local.day, last)) + timedelta(days=self.days)
        there = datetime.combine(day, local.time(), zone) if self.months or self.days else local
        return there.astimezone(UTC) + timedelta(seconds=self.seconds)

    @property
    def seconds_bounds(self) -> tuple[int, int]:
        """The least and the most seconds that it lasts; changes of clocks are within an hour."""
        least, most = (self.months * days + self.days for days in _MONTH_DAYS)
        slack = _HOUR_SECONDS if self.months or self.days else 0
        return least * 86_400 - slack + self.seconds, most * 86_400 + slack + self.seconds

    def told(self, language: str) -> str:
        """In words."""
        hours, minutes = divmod(self.seconds // 60, 60)
        parts = ((self.months, "个月", "mo"), (self.days, "天", "d"), (hours, "小时", "h"))
        every = [*parts, (minutes, "分钟", "min")]
        is_chinese = language == "zh"
        said = [f"{n} {zh if is_chinese else en}" for n, zh, en in every if n]
        return " ".join(said)


def parse_duration(text: str) -> Duration | None:
    """A duration of ISO 8601 in years, months, weeks, days, hours and minutes; None for what is
    none, or lasts no time.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in found.groups())
    duration = Duration(years * 12 + months, weeks * 7 + days, hours * 3600 + minutes * 60)
    return None if duration == Duration(0, 0, 0) else duration


class Timer(Words, frozen=True, kw_only=True):
    """What is due when a case has stood in `state` for as long as `after`, or, with a `clock`, when
    that clock of the case runs out or so long `before`: a step is taken, or a notice goes out.
    """

    state: str
    after: str = ""
    clock: str = ""
    before: str = ""
    step: str = ""
    notice: str = ""

    @property
    def duration(self) -> Duration:
        """How long after the state was entered, or before the clock runs out."""
        text = self.before if self.clock else self.after
        found = parse_duration(text)
        if found is None and not (self.clock and not text):
            raise ValueError(text)
        return found or Duration(0, 0, 0)

    def ends(
        self, since: datetime, clocks: Mapping[str, datetime], zone: tzinfo
    ) -> datetime | None:
        """When it runs out in a state that was entered at a moment; None where the case does not
        have its clock.
        """
        if not self.clock:
            return self.duration.after(since, zone)
        end = clocks.get(self.clock)
        return None if end is None else end - timedelta(seconds=self.duration.seconds)


class Notice(Words, frozen=True, kw_only=True):
    """Words to somebody: to those in these `roles` (with one of these `duties`, where any are
    named) `at` the institution that began the case, at those it is addressed to, or at the nearest
    around it; and to the person it is about if `to_subject`. Never anything of what a record says.
    """

    roles: frozenset[str] = frozenset()
    duties: frozenset[str] = frozenset()
    at: Literal["sender", "addressed", "around"] = "sender"
    to_subject: bool = False


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands at the top of a `workflow.toml`; `url` names the workflow in its Tasks."""

    source: str
    owner: str
    version: str
    effective: date
    url: str
    zh: str
    en: str


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow that was checked as a whole. `name` is that of its application."""

    name: str
    head: Head
    states: Mapping[str, State]
    steps: Mapping[str, Step]
    timers: Mapping[str, Timer]
    notices: Mapping[str, Notice]
    reasons: Mapping[str, Words]
    rules: Mapping[str, Rule]
    clocks: Mapping[str, Words] = {}

    @property
    def canonical(self) -> str:
        """What a Task names as the workflow it follows."""
        return f"{self.head.url}|{self.head.version}"

    @property
    def label(self) -> str:
        """The security label of its cases and of what their steps record, written system|code: by
        it a rule of access knows them.
        """
        return f"{self.head.url}|{self.name}"

    @property
    def state_system(self) -> str:
        """The system of the codes of its states."""
        return f"{self.head.url}/state"

    @property
    def step_system(self) -> str:
        """The system of the codes of its steps."""
        return f"{self.head.url}/step"

    @property
    def timer_system(self) -> str:
        """The system of the codes of its timers, where they have fired."""
        return f"{self.head.url}/timer"

    @property
    def clock_system(self) -> str:
        """The system of the codes of its clocks."""
        return f"{self.head.url}/clock"

    def codes(self) -> dict[tuple[str, str], Words]:
        """What its cases are coded by, as system and code, each with its words."""
        named = Words(code=self.name, zh=self.head.zh, en=self.head.en)
        parts: tuple[tuple[str, Mapping[str, Words]], ...] = (
            (self.head.url, {self.name: named}),
            (self.state_system, self.states),
            (self.step_system, self.steps),
            (self.timer_system, self.timers),
            (self.clock_system, self.clocks),
        )
        return {(system, one.code): one for system, words in parts for one in words.values()}

    def limit(self, timer: Timer, language: str) -> str:
        """When a timer runs out, in words."""
        if not timer.clock:
            return timer.duration.told(language)
        words, before = self.clocks[timer.clock].told(language), timer.duration.told(language)
        if not before:
            return words
        return f"{words}前 {before}" if language == "zh" else f"{before} before: {words}"

    def timers_of(self, state: str) -> tuple[Timer, ...]:
        """The timers that run in a state, the shortest first; of two a notice before a step."""
        found = [timer for timer in self.timers.values() if timer.state == state]
        return tuple(
            sorted(
                found,
                key=lambda one: (one.clock, one.duration.seconds_bounds, one.step, one.code),
            )
        )

    def told(self, reason: str, language: str) -> str:
        """The words of a reason of a decision; the code where it has none."""
        return self.words_of(reason).told(language)

    def words_of(self, reason: str) -> Words:
        """The same in both languages."""
        general = reason.partition(":")[0] + ":"
        for words in (self.reasons, workflow_rule().words):
            found = words.get(reason) or words.get(general)
            if found is not None:
                return found
        return Words(code=reason, zh=reason, en=reason)


class WorkflowRule(msgspec.Struct, frozen=True):
    """What all workflows have in common: the states of a Task that are an end, and the words for
    why a step is not open.
    """

    ends: frozenset[str]
    words: Mapping[str, Words]


@cache
def workflow_rule() -> WorkflowRule:
    """The definition in force."""
    file = files("quanmin.definitions").joinpath("workflows.toml")
    raw: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    words = msgspec.convert(raw["reason"], list[Words])
    return WorkflowRule(frozenset(raw["task"]["ends"]), {one.code: one for one in words})
