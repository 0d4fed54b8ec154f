"""Where a whole county stands in a plan on a day: the meaning of `evaluating.py`, in columns.

Every rule is applied to all persons whom it concerns at once, so that what it costs to read a plan
is paid once for a county and not once for each person.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from quanmin.workflow.plans.calendar import Calendar
from quanmin.workflow.plans.evaluating import FIRST
from quanmin.workflow.plans.masks import mask_of
from quanmin.workflow.plans.model import Case, Item, Plan, Series, Status, Turn, Urgency
from quanmin.workflow.plans.population import (
    END,
    EVER,
    Days,
    Mask,
    Population,
    date_of,
    number_of,
)

STATUSES: tuple[Status, ...] = get_args(Status)
_CODE: dict[str, np.int8] = {status: np.int8(n) for n, status in enumerate(STATUSES)}
# Rows are found by one number of person and day; no day is this far from 1970.
_SHIFT, _OFFSET = 2**32, 2**31
Rows = NDArray[np.intp]


class Standing(msgspec.Struct, frozen=True):
    """Where everybody stands in one series: columns with one row for each person, by number.

    `turn` counts from 1 among `turns`, `because` among `rules`; `stage` counts the escalations
    reached. Days are EVER where there is none.
    """

    series: Series
    turns: tuple[Turn | Case | Series, ...]
    rules: tuple[str, ...]
    status: NDArray[np.int8]
    turn: NDArray[np.int8]
    earliest: Days
    due: Days
    overdue: Days
    last: Days
    stage: NDArray[np.int8]
    because: NDArray[np.int16]
    because_on: Days

    def persons(self, *statuses: Status) -> Rows:
        """The numbers of those who stand so."""
        return np.flatnonzero(np.isin(self.status, [_CODE[one] for one in statuses]))

    def item(self, person: int) -> Item:
        """One person's item, as `due_items` gives it, without the list of all reasons."""
        at, stage = int(self.turn[person]), int(self.stage[person])
        part = self.turns[at - 1] if at else self.series
        status = STATUSES[self.status[person]]
        is_dated = self.due[person] != EVER
        return Item(
            series=self.series.id,
            turn=(FIRST if part is self.series else part.id) if at else "",
            status=status,
            earliest=date_of(self.earliest[person]),
            due=date_of(self.due[person]),
            overdue=date_of(self.overdue[person]),
            last=date_of(self.last[person]),
            escalated_to=part.urgency.escalations[stage - 1].to if stage else "",
            because=self.rules[self.because[person]],
            because_on=date_of(self.because_on[person]),
            measure=(part.measure or self.series.measure) if is_dated else "",
            definition=(part.definition or self.series.definition) if is_dated else "",
            source=part.source if is_dated else self.series.source,
        )


def standings(plan: Plan, population: Population, today: date) -> tuple[Standing, ...]:
    """For each series of the plan, where each person stands: row for row what `due_items` says."""
    county = _County(plan, population, number_of(today))
    return tuple(county.standing(number) for number in range(len(plan.series)))


class _Latest:
    """The latest day of several rules for some persons, and the first rule that gave it."""

    def __init__(self, rule: int, on: Days, gives: Days) -> None:
        self.day, self.on = gives.copy(), on.copy()
        self.rule = np.full(len(gives), rule, np.int16)

    def add(self, rule: int, on: Days, gives: Days) -> None:
        later = gives > self.day
        np.copyto(self.day, gives, where=later)
        np.copyto(self.on, on, where=later)
        self.rule[later] = rule

    def merge(self, other: _Latest) -> _Latest:
        """The latest of both, this one's first."""
        whole = _Latest(0, self.on, self.day)
        later = other.day > self.day
        np.copyto(whole.day, other.day, where=later)
        np.copyto(whole.on, other.on, where=later)
        whole.rule = np.where(later, other.rule, self.rule)
        return whole


class _Course:
    """What of a series is done: days by turn and person, EVER where none; the next turns."""

    def __init__(self, turns: int, persons: int) -> None:
        self.given = np.full((turns, persons), EVER, np.int32)
        self.at = np.zeros(persons, np.int8)
        self.early = np.full(persons, EVER, np.int32)

    def last_given(self, until: int, persons: Rows, on: Days | int) -> Days:
        best = np.full(len(persons), EVER, np.int32)
        for column in self.given[: until + 1]:
            days = column[persons]
            np.maximum(best, np.where(days <= on, days, EVER), out=best)
        return best


class _Obstacles(msgspec.Struct, frozen=True):
    """What stands in the way of some persons: the status that a contraindication without an end
    gives (-1: none), its rule, and of those that end the last day.
    """

    stops: NDArray[np.int8]
    rules: NDArray[np.int16]
    ends: Days

    def of(self, persons: Rows | Mask) -> _Obstacles:
        return _Obstacles(self.stops[persons], self.rules[persons], self.ends[persons])


class _Draft:
    """The columns of a Standing while they are filled in."""

    def __init__(self, series: Series, persons: int) -> None:
        self.series = series
        self.status = np.full(persons, -1, np.int8)
        self.turn = np.zeros(persons, np.int8)
        self.stage = np.zeros(persons, np.int8)
        self.because = np.zeros(persons, np.int16)
        self.earliest, self.due, self.overdue, self.last, self.because_on = (
            np.full(persons, EVER, np.int32) for _ in range(5)
        )

    def settle(self, persons: Rows | Mask, status: Status, because: int, turn: int = 0) -> None:
        self.status[persons] = _CODE[status]
        self.because[persons] = because
        self.turn[persons] = turn


class _County:
    def __init__(self, plan: Plan, population: Population, today: int) -> None:
        self._plan, self._population, self._today = plan, population, today
        self._numbers = {code: number for number, code in enumerate(population.codes)}
        self._rules: dict[str, int] = {"": 0}
        self._everyone: Rows = np.arange(population.size)
        events = population.events
        order = np.lexsort((events.detail, events.code, events.day, events.person))
        order = order[events.day[order] <= today]
        rows = (events.person[order], events.day[order], events.code[order], events.detail[order])
        # Two institutions told of one event.
        is_new = np.ones(len(order), np.bool_)
        is_new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in rows])
        self._person, self._day = rows[0][is_new], rows[1][is_new]
        self._code, self._detail = rows[2][is_new], rows[3][is_new]
        self._calendar = Calendar(population.born, self._day, np.array([today], np.int32))
        self._triggers = [self._keys(rule.after) for rule in plan.apart]
        self._applies = [mask_of(population, series.condition) for series in plan.series]
        self._courses: list[_Course] = []
        for number in range(len(plan.series)):
            course = _Course(len(plan.series[number].turns), population.size)
            self._courses.append(course)
            self._walk(number, course)
        self._chosen = {
            group: self._choose(group)
            for group in {one.alternative for one in plan.series if one.alternative}
        }

    def standing(self, number: int) -> Standing:
        series = self._plan.series[number]
        draft = _Draft(series, self._population.size)
        if series.cases:
            self._visits(series, draft)
        else:
            self._turns(number, draft)
        if series.alternative:
            others = self._chosen[series.alternative] != number
            self._blank(draft, others, "alternative")
        self._blank(draft, ~self._applies[number], "condition")
        parts: tuple[Turn | Case | Series, ...] = series.turns
        if series.cases:
            parts = (series, *series.cases)
        return Standing(
            series=series,
            turns=parts,
            rules=tuple(self._rules),
            status=draft.status,
            turn=draft.turn,
            earliest=draft.earliest,
            due=draft.due,
            overdue=draft.overdue,
            last=draft.last,
            stage=draft.stage,
            because=draft.because,
            because_on=draft.because_on,
        )

    def _blank(self, draft: _Draft, persons: Mask, rule: str) -> None:
        draft.settle(persons, "not-applicable", self._rule(rule))
        for column in (draft.earliest, draft.due, draft.overdue, draft.last, draft.because_on):
            column[persons] = EVER
        draft.stage[persons] = 0

    def _rule(self, name: str) -> int:
        return self._rules.setdefault(name, len(self._rules))

    # ---- what was done ---------------------------------------------------------------------------

    def _walk(self, number: int, course: _Course) -> None:
        """Every event of the series: the first of all persons at once, then the second."""
        series = self._plan.series[number]
        if not series.turns:
            return
        limits = [self._last_day(turn, self._everyone) for turn in series.turns]
        for persons, days, codes in self._ranked(series.counts):
            self._skip(series, course, limits, persons, days)
            at = course.at[persons]
            for place, turn in enumerate(series.turns):
                mine = (at == place) & np.isin(codes, self._coded(turn.counts))
                limit = limits[place]
                if limit is not None:
                    mine &= days <= limit[persons]
                if mine.any():
                    self._take(number, course, place, persons[mine], days[mine])

    @staticmethod
    def _skip(
        series: Series, course: _Course, limits: list[Days | None], persons: Rows, days: Days
    ) -> None:
        for place, turn in enumerate(series.turns):
            limit = limits[place]
            if turn.is_skipped and limit is not None:
                missed = (course.at[persons] == place) & (days > limit[persons])
                course.at[persons[missed]] = place + 1

    def _take(self, number: int, course: _Course, place: int, persons: Rows, days: Days) -> None:
        series = self._plan.series[number]
        if series.early != "count":
            bounds = self._bounds(number, place, persons, days, is_day_included=False)
            is_good = days >= bounds.day
            if series.early == "repeat-spaced":
                course.early[persons[~is_good]] = days[~is_good]
            persons, days = persons[is_good], days[is_good]
        course.given[place, persons] = days
        course.at[persons] = place + 1
        course.early[persons] = EVER

    def _ranked(self, counts: frozenset[str]) -> Iterator[tuple[Rows, Days, NDArray[np.int16]]]:
        rows = np.flatnonzero(self._counted(counts))
        persons = self._person[rows]
        starts = np.flatnonzero(np.r_[True, persons[1:] != persons[:-1]]) if len(rows) else rows
        lengths = np.diff(np.r_[starts, len(rows)])
        for rank in range(int(lengths.max(initial=0))):
            chosen = rows[starts[lengths > rank] + rank]
            yield self._person[chosen].astype(np.intp), self._day[chosen], self._code[chosen]

    def _bounds(
        self, number: int, place: int, persons: Rows, on: Days, *, is_day_included: bool
    ) -> _Latest:
        series, course = self._plan.series[number], self._courses[number]
        turn, born = series.turns[place], self._population.born[persons]
        best = _Latest(self._rule("least-age"), born, self._calendar.after(born, turn.least_age))
        for relation in turn.relations:
            held, at = self._plan.position[relation.turn]
            days = self._courses[held].last_given(at, persons, on)
            best.add(self._rule("distance"), days, self._calendar.after(days, relation.span))
            if (held, at) == (number, place - 1):
                days = course.early[persons]
                best.add(self._rule("early-dose"), days, self._calendar.after(days, relation.span))
        for rule, keys in zip(self._plan.apart, self._triggers, strict=True):
            if series.id in rule.series and len(keys):
                is_strict = rule.is_same_day_allowed and not is_day_included
                days = self._last_before(keys, persons, on, is_strict=is_strict)
                best.add(self._rule(rule.id), days, self._calendar.after(days, rule.span))
        return best

    def _keys(self, codes: frozenset[str]) -> NDArray[np.int64]:
        rows = np.flatnonzero(self._counted(codes))
        return self._person[rows].astype(np.int64) * _SHIFT + self._day[rows] + _OFFSET

    @staticmethod
    def _last_before(keys: NDArray[np.int64], persons: Rows, on: Days, *, is_strict: bool) -> Days:
        sought = persons.astype(np.int64) * _SHIFT + on + _OFFSET
        at = np.searchsorted(keys, sought, side="left" if is_strict else "right") - 1
        found = keys[np.maximum(at, 0)]
        is_theirs = (at >= 0) & (found // _SHIFT == persons)
        return np.where(is_theirs, found % _SHIFT - _OFFSET, EVER).astype(np.int32)

    def _last_day(self, turn: Turn, persons: Rows) -> Days | None:
        if turn.age_limit is None:
            return None
        born = self._population.born[persons]
        return np.asarray(self._calendar.after(born, turn.age_limit) - 1, np.int32)

    def _coded(self, codes: frozenset[str]) -> NDArray[np.int16]:
        held = [self._numbers[code] for code in codes if code in self._numbers]
        return np.array(held, np.int16)

    def _counted(self, codes: frozenset[str]) -> Mask:
        table = np.zeros(len(self._numbers) + 1, np.bool_)
        table[self._coded(codes)] = True
        return np.asarray(table[self._code], np.bool_)

    # ---- what comes next -------------------------------------------------------------------------

    def _choose(self, group: str) -> NDArray[np.intp]:
        members = [n for n, one in enumerate(self._plan.series) if one.alternative == group]
        begun = []
        for number in members:
            given = self._courses[number].given
            begun.append(np.where(given == EVER, END, given).min(axis=0))
        days = np.stack(begun)
        chosen: Rows = np.array(members, np.intp)[days.argmin(axis=0)]
        is_open = days.min(axis=0) == END
        left = is_open.copy()
        chosen[is_open] = members[0]
        for number in members:
            excluded = self._obstacles(self._plan.series[number]).stops == _CODE["excluded"]
            may = left & self._applies[number] & ~excluded
            chosen[may] = number
            left &= ~may
        return chosen

    def _turns(self, number: int, draft: _Draft) -> None:
        series, course = self._plan.series[number], self._courses[number]
        at = course.at.copy()
        obstacles = self._obstacles(series)
        for place in range(len(series.turns)):
            persons = np.flatnonzero(at == place)
            if len(persons):
                skipped = self._turn(number, place, persons, obstacles=obstacles, draft=draft)
                at[skipped] = place + 1
        draft.settle(at == len(series.turns), "complete", self._rule("complete"))

    def _turn(
        self,
        number: int,
        place: int,
        persons: Rows,
        *,
        obstacles: _Obstacles,
        draft: _Draft,
    ) -> Rows:
        """The columns of those whose next turn this is; who is too old for it is given back."""
        turn, held = self._plan.series[number].turns[place], obstacles.of(persons)
        today = np.full(len(persons), self._today, np.int32)
        wanted = self._wanted(number, place, turn, persons, today)
        bounds = self._bounds(number, place, persons, today, is_day_included=False)
        due = self._hindered(wanted.merge(bounds), held)
        later = np.flatnonzero(due.day > self._today)
        if len(later) and self._plan.apart:
            wide = self._bounds(number, place, persons[later], today[later], is_day_included=True)
            for column, more in ((bounds.day, wide.day), (bounds.on, wide.on)):
                column[later] = more
            bounds.rule[later] = wide.rule
            due = self._hindered(wanted.merge(bounds), held)
        earliest = self._hindered(bounds, held).day
        limit = self._last_day(turn, persons)
        is_open = np.ones(len(persons), np.bool_)
        if limit is not None:
            is_open = (limit >= self._today) & (limit >= earliest)
            if not turn.is_skipped:
                lapsed = persons[~is_open]
                draft.settle(lapsed, "lapsed", self._rule("age-limit"), place + 1)
                draft.last[lapsed] = limit[~is_open]
            draft.last[persons[is_open & (held.stops < 0)]] = limit[is_open & (held.stops < 0)]
        self._stop(draft, persons[is_open], held.of(is_open), place + 1)
        free = is_open & (held.stops < 0)
        draft.earliest[persons[free]] = earliest[free]
        self._date(draft, persons, due, free, urgency=turn.urgency, turn=place + 1)
        return persons[~is_open] if turn.is_skipped else persons[:0]

    def _wanted(self, number: int, place: int, turn: Turn, persons: Rows, today: Days) -> _Latest:
        born = self._population.born[persons]
        wanted = _Latest(self._rule("born"), born, born)
        if turn.due_age is not None:
            wanted.add(self._rule("due-age"), born, self._calendar.after(born, turn.due_age))
        if turn.due_span is not None:
            days = self._courses[number].last_given(place - 1, persons, today)
            wanted.add(self._rule("due-distance"), days, self._calendar.after(days, turn.due_span))
        return wanted

    @staticmethod
    def _hindered(best: _Latest, held: _Obstacles) -> _Latest:
        """The same, and not before the day after what stands in the way ends."""
        whole = _Latest(0, best.on, best.day)
        whole.rule = best.rule.copy()
        later = (held.ends != EVER) & (held.ends + 1 > best.day)
        whole.day[later] = held.ends[later] + 1
        whole.on[later] = held.ends[later]
        whole.rule[later] = held.rules[later]
        return whole

    @staticmethod
    def _stop(draft: _Draft, persons: Rows, held: _Obstacles, turn: int | NDArray[np.int8]) -> None:
        is_held = held.stops >= 0
        draft.status[persons[is_held]] = held.stops[is_held]
        draft.because[persons[is_held]] = held.rules[is_held]
        draft.turn[persons[is_held]] = turn if isinstance(turn, int) else turn[is_held]

    def _visits(self, series: Series, draft: _Draft) -> None:
        """The next of visits that recur."""
        start, is_begun = self._begin(series)
        draft.settle(~is_begun, "not-applicable", self._rule("not-begun"))
        held = self._obstacles(series)
        seen, day, last, before = self._results(series, start.day)
        turn = np.ones(self._population.size, np.int8)
        left = seen.copy()
        for place, case in enumerate(series.cases):
            mine = left & mask_of(self._population, case.condition, last, before)
            left &= ~mine
            turn[mine] = place + 2
            gives = self._calendar.after(day[mine], case.span)
            start.day[mine], start.on[mine] = gives, day[mine]
        start.rule[seen] = self._rule("last-visit")
        due = self._hindered(start, held)
        self._stop(draft, self._everyone[is_begun], held.of(is_begun), turn[is_begun])
        free = is_begun & (held.stops < 0)
        draft.earliest[free] = due.day[free]
        parts: tuple[Series | Case, ...] = (series, *series.cases)
        for place, part in enumerate(parts, 1):
            mine = free & (turn == place)
            self._date(draft, self._everyone, due, mine, urgency=part.urgency, turn=place)

    def _begin(self, series: Series) -> tuple[_Latest, Mask]:
        born = self._population.born
        start = _Latest(self._rule("born"), born, born)
        is_begun = np.ones(self._population.size, np.bool_)
        if series.begins_age is not None:
            gives = self._calendar.after(born, series.begins_age)
            start.add(self._rule("begins-age"), born, gives)
        if series.begins_state:
            rows = self._holding(series.begins_state)
            states, first = self._population.states, np.full(self._population.size, END, np.int32)
            persons = states.person[rows]
            days = np.where(states.since[rows] == EVER, born[persons], states.since[rows])
            np.minimum.at(first, persons, days)
            is_begun[:] = False
            is_begun[persons] = True
            start.add(self._rule("begins-state"), first, np.where(is_begun, first, EVER))
        return start, is_begun

    def _results(self, series: Series, start: Days) -> tuple[Mask, Days, Any, Any]:
        """Who had a visit since; the day of the last, its result and the one before."""
        size = self._population.size
        rows = np.flatnonzero(self._counted(series.counts))
        rows = rows[self._day[rows] >= start[self._person[rows]]]
        blank = self._population.details.index("") if "" in self._population.details else -1
        rows = self._worst(series, rows, blank)
        persons = self._person[rows]
        day, seen = np.full(size, EVER, np.int32), np.zeros(size, np.bool_)
        last, before = np.full(size, blank, np.int16), np.full(size, blank, np.int16)
        is_last = np.ones(len(rows), np.bool_)
        is_last[:-1] = persons[1:] != persons[:-1]
        theirs = persons[is_last]
        seen[theirs], day[theirs] = True, self._day[rows[is_last]]
        last[theirs] = self._detail[rows[is_last]]
        at = np.flatnonzero(is_last)
        has_more = (at > 0) & (persons[np.maximum(at - 1, 0)] == theirs)
        before[theirs[has_more]] = self._detail[rows[at[has_more] - 1]]
        return seen, day, last, before

    def _worst(self, series: Series, rows: Rows, blank: int) -> Rows:
        """One visit a day: the one whose result, taken alone, has the first of the cases."""
        persons, days = self._person[rows], self._day[rows]
        if not ((persons[1:] == persons[:-1]) & (days[1:] == days[:-1])).any():
            return rows
        place = np.full(len(rows), len(series.cases))
        size = self._population.size
        none = np.full(size, blank, np.int16)
        for detail in np.unique(self._detail[rows]):
            theirs, alone = self._detail[rows] == detail, np.full(size, detail, np.int16)
            for number, case in reversed([*enumerate(series.cases)]):
                holds = mask_of(self._population, case.condition, alone, none)
                place[theirs & holds[persons]] = number
        rows = rows[np.lexsort((-place, days, persons))]
        persons, days = self._person[rows], self._day[rows]
        is_worst = np.ones(len(rows), np.bool_)
        is_worst[:-1] = (persons[1:] != persons[:-1]) | (days[1:] != days[:-1])
        return rows[is_worst]

    def _holding(self, code: str) -> Rows:
        """The rows of the states of a code that hold today."""
        states = self._population.states
        number = self._numbers.get(code, -1)
        held = (states.code == number) & (states.since <= self._today)
        return np.flatnonzero(held & (states.until >= self._today))

    def _obstacles(self, series: Series) -> _Obstacles:
        size, states = self._population.size, self._population.states
        stops, rules = np.full(size, -1, np.int8), np.zeros(size, np.int16)
        ends = np.full(size, EVER, np.int32)
        for effect, status in (("exclude", "excluded"), ("postpone", "postponed")):
            for rule in series.contraindications:
                rows = self._holding(rule.state)
                persons = states.person[rows[states.until[rows] >= END]]
                if rule.effect == effect:
                    persons = persons[stops[persons] < 0]
                    stops[persons] = _CODE[status]
                    rules[persons] = self._rule(f"{effect}:{rule.state}")
        for rule in series.contraindications:
            rows = self._holding(rule.state)
            rows = rows[states.until[rows] < END]
            until = np.full(size, EVER, np.int32)
            np.maximum.at(until, states.person[rows], states.until[rows])
            later = (until > ends) & (stops < 0)
            ends[later] = until[later]
            rules[later] = self._rule(f"until:{rule.state}")
        return _Obstacles(stops, rules, ends)

    def _date(
        self,
        draft: _Draft,
        persons: Rows,
        due: _Latest,
        mine: Mask,
        *,
        urgency: Urgency,
        turn: int,
    ) -> None:
        rows, day = persons[mine], due.day[mine]
        overdue = self._overdue(urgency, rows, day)
        ends = {number for name, number in self._rules.items() if name.startswith("until:")}
        is_held = np.isin(due.rule[mine], list(ends))
        early = np.where(is_held, _CODE["postponed"], _CODE["planned"])
        status = np.where(day > self._today, early, _CODE["due"])
        stage = np.zeros(len(rows), np.int8)
        if overdue is not None:
            draft.overdue[rows] = overdue
            is_late = (day <= self._today) & (overdue <= self._today)
            status[is_late] = _CODE["overdue"]
            for number, escalation in enumerate(urgency.escalations, 1):
                told = is_late & (self._calendar.after(overdue, escalation.after) <= self._today)
                stage[told], status[told] = number, _CODE["escalated"]
        draft.status[rows], draft.turn[rows], draft.stage[rows] = status, turn, stage
        draft.due[rows], draft.because[rows] = day, due.rule[mine]
        draft.because_on[rows] = due.on[mine]

    def _overdue(self, urgency: Urgency, persons: Rows, due: Days) -> Days | None:
        if urgency.age is not None:
            born = self._population.born[persons]
            return np.maximum(self._calendar.after(born, urgency.age), due + 1).astype(np.int32)
        if urgency.span is not None:
            return (self._calendar.after(due, urgency.span) + 1).astype(np.int32)
        return None
