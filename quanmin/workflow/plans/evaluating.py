"""Where one person stands in a plan on a day: read this to know what a plan means.

The same for a whole county is in `sets.py`; a property test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from quanmin.workflow.plans.facts import Event, Facts
from quanmin.workflow.plans.model import (
    Case,
    Item,
    Place,
    Plan,
    Reason,
    Series,
    Status,
    Turn,
    Urgency,
)
from quanmin.workflow.plans.spans import Span, after

_DAY = timedelta(days=1)
FIRST = "first"
"""The turn of recurring visits before any was made."""


def due_items(plan: Plan, facts: Facts, today: date) -> tuple[Item, ...]:
    """One item for each series of the plan, in its order, by what was known on `today`.

    What happened later is not looked at, so a past day is answered as it was.
    """
    person = _Person(plan, facts, today)
    return tuple(person.item(number) for number in range(len(plan.series)))


def would_count(plan: Plan, facts: Facts, event: Event) -> tuple[Place, ...]:
    """For each series of turns that events of this code count for, whether this one would count, by
    what was known on its day. Ask before it is given; one that is told already is not told twice.
    """
    known = msgspec.structs.replace(facts, events=(*facts.events, event))
    return _Person(plan, known, event.on).places(event, is_told=event in facts.events)


def counted(plan: Plan, facts: Facts, today: date) -> dict[Event, tuple[Place, ...]]:
    """For each event that was known on `today` the same, of events that are over: what was against
    one no longer matters to whether it counts.
    """
    person = _Person(plan, facts, today)
    return {event: person.places(event, is_over=True) for event in facts.known_on(today)}


class _Course:
    """What of a series is done: the day of each turn that counted, and the next one's number."""

    def __init__(self, series: Series, number: int) -> None:
        self.series, self.number = series, number
        self.given: list[date | None] = [None] * len(series.turns)
        self.at = 0
        self.early: date | None = None
        self.notes: list[Reason] = []

    @property
    def begun(self) -> date | None:
        """The day of the first dose that counted."""
        return min((day for day in self.given if day is not None), default=None)

    def last_given(self, until: int, on: date) -> date | None:
        """The last dose that counted for the turn `until` or one before it, given until `on`: who
        missed a visit has the distance kept from the one before.
        """
        days = [day for day in self.given[: until + 1] if day is not None and day <= on]
        return max(days, default=None)

    def note(self, rule: str, event: Event, gives: date | None = None) -> None:
        """Remember why an event did not count."""
        self.notes.append(Reason(rule, event.on, gives, event.code))


class _Person:
    def __init__(self, plan: Plan, facts: Facts, today: date) -> None:
        self._plan, self._facts, self._today = plan, facts, today
        self._events = facts.known_on(today)
        self._courses: list[_Course] = []
        for number in range(len(plan.series)):
            self._courses.append(self._course(number))

    def item(self, number: int) -> Item:
        series = self._plan.series[number]
        if series.condition is not None and not series.condition.holds(self._facts):
            return self._settled(series, "not-applicable", "condition")
        if series.cases:
            return self._visit(series)
        if series.alternative and self._chosen(series.alternative) != number:
            return self._settled(series, "not-applicable", "alternative")
        return self._next_turn(number)

    def places(
        self, event: Event, *, is_told: bool = False, is_over: bool = False
    ) -> tuple[Place, ...]:
        """What an event is in each series of turns that events of its code count for."""
        return tuple(
            self._place(number, event, is_told=is_told, is_over=is_over)
            for number, series in enumerate(self._plan.series)
            if series.turns and event.code in series.counts
        )

    def _place(self, number: int, event: Event, *, is_told: bool, is_over: bool) -> Place:
        """What an event is in a series, and every reason why it is nothing."""
        course = self._courses[number]
        series, found = course.series, list[Reason]()
        if is_told:
            found.append(Reason("told-already", event.on, None, event.code))
        if series.condition is not None and not series.condition.holds(self._facts):
            found.append(Reason("condition"))
        if series.alternative and self._chosen(series.alternative) != number:
            found.append(Reason("alternative"))
        found += [] if is_over else self._hindrances(series, event.on)
        found += [
            one
            for one in course.notes
            if (one.on, one.code) == (event.on, event.code)
            and not (is_over and one.rule == "early-counted")
        ]
        given = [at for at, day in enumerate(course.given) if day == event.on]
        turn = series.turns[given[-1]].id if given and not found else ""
        return Place(series=series.id, turn=turn, reasons=tuple(found))

    def _hindrances(self, series: Series, on: date) -> list[Reason]:
        """What stood against a series on a day."""
        states, found = {one.state: one.effect for one in series.contraindications}, []
        for held in self._facts.states:
            if held.code in states and held.holds(on):
                until = None if held.until == date.max else held.until
                ends = None if until is None else until + _DAY
                found.append(Reason(f"{states[held.code]}:{held.code}", held.since, ends))
        return found

    # ---- what was done ---------------------------------------------------------------------------

    def _course(self, number: int) -> _Course:
        series = self._plan.series[number]
        course = _Course(series, number)
        for event in self._events:
            if series.turns and event.code in series.counts:
                self._take(course, event)
        return course

    def _take(self, course: _Course, event: Event) -> None:
        series = course.series
        while course.at < len(series.turns):
            last = self._last_day(series.turns[course.at])
            if last is None or event.on <= last:
                break
            if not series.turns[course.at].is_skipped:
                course.note("too-late", event, last)
                return
            course.at += 1
        if course.at == len(series.turns):
            course.note("surplus", event)
            return
        turn = series.turns[course.at]
        if event.code not in turn.counts:
            course.note("other-product", event)
            return
        bounds = self._bounds(course, course.at, event.on, is_day_included=False)
        earliest = _latest(bounds).gives
        if earliest is not None and event.on < earliest:
            if series.early != "count":
                course.note("too-early", event, earliest)
                if series.early == "repeat-spaced":
                    course.early = event.on
                return
            course.note("early-counted", event, earliest)
        course.given[course.at] = event.on
        course.at += 1
        course.early = None

    def _bounds(self, course: _Course, at: int, on: date, *, is_day_included: bool) -> list[Reason]:
        """Why turn number `at` cannot be before some day, as known `on`. Whether a dose of that
        same day binds where a distance allows doses on one day, `is_day_included` says.
        """
        turn, born = course.series.turns[at], self._facts.born
        found = [Reason("least-age", born, after(born, turn.least_age))]
        for relation in turn.relations:
            held, place = self._plan.position[relation.turn]
            other = course if held == course.number else self._courses[held]
            day = other.last_given(place, on)
            if day is not None:
                found.append(Reason("distance", day, after(day, relation.span), relation.turn))
            if course.early is not None and (held, place) == (course.number, at - 1):
                gives = after(course.early, relation.span)
                found.append(Reason("early-dose", course.early, gives, relation.turn))
        for rule in self._plan.apart:
            if course.series.id not in rule.series:
                continue
            before = on - _DAY if rule.is_same_day_allowed and not is_day_included else on
            days = [one.on for one in self._events if one.code in rule.after and one.on <= before]
            if days:
                found.append(Reason(rule.id, max(days), after(max(days), rule.span)))
        return found

    def _last_day(self, turn: Turn) -> date | None:
        limit = turn.age_limit
        return None if limit is None else after(self._facts.born, limit) - _DAY

    # ---- what comes next -------------------------------------------------------------------------

    def _chosen(self, group: str) -> int:
        """Of alternatives the one that was begun first; none begun, the first that may be."""
        members = [n for n, one in enumerate(self._plan.series) if one.alternative == group]
        begun = [(day, n) for n in members if (day := self._courses[n].begun) is not None]
        if begun:
            return min(begun)[1]
        for number in members:
            series = self._plan.series[number]
            applies = series.condition is None or series.condition.holds(self._facts)
            held = self._obstacle(series)
            if applies and not (held is not None and held.rule.startswith("exclude:")):
                return number
        return members[0]

    def _next_turn(self, number: int) -> Item:
        course = self._courses[number]
        turns, skipped = course.series.turns, list[Reason]()
        for at in range(course.at, len(turns)):
            item = self._turn_item(course, at, course.notes + skipped)
            if item is not None:
                return item
            skipped.append(Reason("skipped", None, self._last_day(turns[at]), turns[at].id))
        return self._settled(course.series, "complete", "complete", course.notes + skipped)

    def _turn_item(self, course: _Course, at: int, notes: list[Reason]) -> Item | None:
        """The item of a turn; None where it can no longer be and is skipped."""
        series, turn, today = course.series, course.series.turns[at], self._today
        obstacle, last = self._obstacle(series), self._last_day(turn)
        held = [obstacle] if obstacle is not None and obstacle.gives is not None else []
        wanted = self._wanted(course, at)
        bounds = self._bounds(course, at, today, is_day_included=False) + held
        # A second dose on the very day of the first is allowed, not one on the next day.
        if today < (_latest(wanted + bounds).gives or today):
            bounds = self._bounds(course, at, today, is_day_included=True) + held
        earliest, due = _latest(bounds).gives, _latest(wanted + bounds)
        reasons = [*notes, *wanted, *bounds]
        if last is not None and (today > last or (earliest is not None and last < earliest)):
            if turn.is_skipped:
                return None
            reasons.append(Reason("age-limit", self._facts.born, last))
            return self._settled(series, "lapsed", "age-limit", reasons, turn=turn.id, last=last)
        if obstacle is not None and obstacle.gives is None:
            return self._stopped(series, obstacle, reasons, turn.id)
        return self._dated(series, turn, due, reasons, earliest=earliest, last=last)

    def _wanted(self, course: _Course, at: int) -> list[Reason]:
        turn, born = course.series.turns[at], self._facts.born
        wanted = [Reason("born", born, born)]
        if turn.due_age is not None:
            wanted.append(Reason("due-age", born, after(born, turn.due_age)))
        before = course.last_given(at - 1, self._today) if at else None
        if turn.due_span is not None and before is not None:
            wanted.append(Reason("due-distance", before, after(before, turn.due_span)))
        return wanted

    def _visit(self, series: Series) -> Item:
        """The next of visits that recur: by the first case that holds for the last results."""
        begin = self._begin(series)
        if begin is None:
            return self._settled(series, "not-applicable", "not-begun")
        start = begin.gives or self._facts.born
        visits = [one for one in self._events if one.code in series.counts and one.on >= start]
        if len({one.on for one in visits}) < len(visits):
            visits = self._worst(series, visits)
        part: Series | Case = series
        reasons = [begin]
        if visits:
            last, before = visits[-1], visits[-2].detail if len(visits) > 1 else ""
            part = next(
                case
                for case in series.cases
                if case.condition is None or case.condition.holds(self._facts, last.detail, before)
            )
            reasons = [Reason("last-visit", last.on, after(last.on, part.span), last.code)]
        obstacle = self._obstacle(series)
        if obstacle is not None and obstacle.gives is None:
            return self._stopped(series, obstacle, reasons, part.id if visits else FIRST)
        reasons += [obstacle] if obstacle is not None else []
        due = _latest(reasons)
        return self._dated(series, part, due, reasons, earliest=due.gives)

    def _worst(self, series: Series, visits: Sequence[Event]) -> list[Event]:
        """One visit a day: of several the one whose result, taken alone, has the first of the
        cases. A plan tells the worst first, and that is what must not be passed over.
        """
        found: dict[date, tuple[int, Event]] = {}
        for one in visits:
            place = next(
                number
                for number, case in enumerate(series.cases)
                if case.condition is None or case.condition.holds(self._facts, one.detail, "")
            )
            if one.on not in found or place <= found[one.on][0]:
                found[one.on] = place, one
        return [one for _, one in found.values()]

    def _begin(self, series: Series) -> Reason | None:
        """When visits begin; None while the state that they are for does not hold."""
        born = self._facts.born
        begun = [Reason("born", born, born)]
        if series.begins_age is not None:
            begun.append(Reason("begins-age", born, after(born, series.begins_age)))
        if series.begins_state:
            held = [one for one in self._facts.states if one.code == series.begins_state]
            days = [one.since or born for one in held if one.holds(self._today)]
            if not days:
                return None
            begun.append(Reason("begins-state", min(days), min(days), series.begins_state))
        return _latest(begun)

    def _obstacle(self, series: Series) -> Reason | None:
        """What stands in the way today. One that has no end (it gives no day) before those that
        have, of such one that excludes before one that postpones; else the one that ends last.
        """
        found = {effect: list[Reason]() for effect in ("exclude", "postpone", "ends")}
        for rule in series.contraindications:
            for state in self._facts.states:
                if state.code != rule.state or not state.holds(self._today):
                    continue
                if state.until is None or state.until == date.max:
                    found[rule.effect].append(Reason(f"{rule.effect}:{rule.state}", state.since))
                else:
                    gives = state.until + _DAY
                    found["ends"].append(Reason(f"until:{rule.state}", state.until, gives))
        for effect in ("exclude", "postpone"):
            if found[effect]:
                return found[effect][0]
        return _latest(found["ends"]) if found["ends"] else None

    # ---- items -----------------------------------------------------------------------------------

    def _dated(
        self,
        series: Series,
        part: Turn | Case | Series,
        due: Reason,
        reasons: list[Reason],
        *,
        earliest: date | None,
        last: date | None = None,
    ) -> Item:
        day = due.gives or self._facts.born
        overdue = _overdue(part.urgency, self._facts.born, day)
        status: Status = "due"
        told = ""
        if self._today < day:
            status = "postponed" if due.rule.startswith("until:") else "planned"
        elif overdue is not None and self._today >= overdue:
            status = "overdue"
            for escalation in part.urgency.escalations:
                if self._today >= after(overdue, escalation.after):
                    status, told = "escalated", escalation.to
        return Item(
            series=series.id,
            turn=FIRST if part is series else part.id,
            status=status,
            earliest=earliest,
            due=day,
            overdue=overdue,
            last=last,
            escalated_to=told,
            because=due.rule,
            because_on=due.on,
            measure=part.measure or series.measure,
            definition=part.definition or series.definition,
            source=part.source,
            reasons=tuple(reasons),
        )

    def _stopped(self, series: Series, obstacle: Reason, reasons: list[Reason], turn: str) -> Item:
        is_excluded = obstacle.rule.startswith("exclude:")
        status: Status = "excluded" if is_excluded else "postponed"
        return self._settled(series, status, obstacle.rule, [*reasons, obstacle], turn=turn)

    @staticmethod
    def _settled(
        series: Series,
        status: Status,
        because: str,
        reasons: list[Reason] | None = None,
        *,
        turn: str = "",
        last: date | None = None,
    ) -> Item:
        return Item(
            series=series.id,
            turn=turn,
            status=status,
            last=last,
            because=because,
            source=series.source,
            reasons=tuple(reasons or ()),
        )


def _latest(reasons: list[Reason]) -> Reason:
    """The reason that gives the latest day; of several the first."""
    best = reasons[0]
    for one in reasons[1:]:
        if (one.gives or date.min) > (best.gives or date.min):
            best = one
    return best


def _overdue(urgency: Urgency, born: date, due: date) -> date | None:
    """The first day on which what is due is overdue; what falls due late has that day at least."""
    if urgency.age is not None:
        return max(after(born, urgency.age), after(due, Span(days=1)))
    if urgency.span is not None:
        return after(after(due, urgency.span), Span(days=1))
    return None
