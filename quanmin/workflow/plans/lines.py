"""What of where people stand is kept for due lists: lines that hold on every day until the next on
which a plan must be looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta, tzinfo
from typing import Final

import msgspec

from quanmin.fhir.json import Json, decode
from quanmin.fhir.json import encode as json_encode
from quanmin.trust.due.model import (
    DATED,
    EXCLUDED,
    HELD,
    POSTPONED,
    STATUSES,
    Known,
    Line,
    Stood,
)
from quanmin.workflow.plans.declaring import Declared
from quanmin.workflow.plans.evaluating import FIRST, due_items
from quanmin.workflow.plans.facts import Facts
from quanmin.workflow.plans.mapping import Found, Told, first_day, joined, told_by
from quanmin.workflow.plans.model import Case, Item, Series, Turn
from quanmin.workflow.plans.population import population_of
from quanmin.workflow.plans.sets import standings
from quanmin.workflow.plans.spans import Span, after

_DAY = timedelta(days=1)
# Above, one pass over columns costs less than as many persons one by one.
_SINGLY_MAX = 90


class Explained(msgspec.Struct, frozen=True):
    """A person's schedule: where they stand in each series with all reasons, by which facts, and
    what told of one that could not be read. `facts` is None without a date of birth.
    """

    items: tuple[Item, ...] = ()
    facts: Facts | None = None
    unread: tuple[tuple[str, str], ...] = ()
    is_ended: bool = False


class Keeper:
    """One declared plan, as due lists are kept by it (`Planned`)."""

    def __init__(self, declared: Declared, zone: tzinfo) -> None:
        self.declared = declared
        self.code, self.stamp = declared.code, declared.stamp
        self.types = declared.types
        self.reminders, self.escalations = declared.reminders, declared.escalations
        self.series = tuple(one.id for one in declared.plan.series)
        self._zone = zone
        self._sought = {type_: _sought(declared, type_) for type_ in declared.types}
        limits = {t.age_limit for s in declared.plan.series for t in s.turns}
        self._limits: list[Span] = [one for one in limits if one is not None]

    def told(self, type_: str, body: bytes) -> bytes | None:
        """See `Planned`."""
        sought = self._sought.get(type_)
        if sought is not None and not sought.search(body):
            return None
        told = told_by(self.declared.table, decode(body), self._zone)
        return None if told == Told() else msgspec.json.encode(told)

    def codes(self, type_: str) -> frozenset[str] | None:
        """See `Planned`."""
        return _codes(self.declared, type_, "code")

    def areas(self, patient: Json) -> Sequence[str]:
        """See `Planned`."""
        return told_by(self.declared.table, patient, self._zone).areas

    def stand(self, persons: Sequence[Known], today: date) -> Sequence[Stood]:
        """See `Planned`."""
        stood = [Stood()] * len(persons)
        there: list[tuple[int, Facts, date | None]] = []
        for number, known in enumerate(persons):
            found, end = self._found(known)
            if found is not None and (end is None or today < end):
                there.append((number, found.facts, end))
        several = [facts for _, facts, _ in there]
        for (number, facts, end), items in zip(there, self._items(several, today), strict=True):
            again = self._again(facts, today)
            days = [day for day in (again, end) if day is not None]
            stood[number] = Stood(tuple(self._lines(items)), min(days, default=None))
        return stood

    def explained(self, known: Known, today: date) -> Explained:
        """See `Planned`."""
        found, end = self._found(known)
        if found is None:
            return Explained()
        items = due_items(self.declared.plan, found.facts, today)
        return Explained(items, found.facts, found.unread, end is not None and end <= today)

    def item(self, line: Line, today: date) -> Item:
        """The item of a line on a day, without the rule that set its day and the reasons."""
        series = next(one for one in self.declared.plan.series if one.id == line.series)
        part = parts_of(series)[line.turn - 1]
        reached = [
            escalation.to
            for escalation, day in zip(part.urgency.escalations, line.escalates, strict=False)
            if day <= today
        ]
        is_dated = line.hold < EXCLUDED
        return Item(
            series=series.id,
            turn=turn_of(part),
            status=line.status(today),
            earliest=line.earliest,
            due=line.due if is_dated else None,
            overdue=line.overdue,
            last=line.last,
            escalated_to=reached[-1] if reached else "",
            measure=(part.measure or series.measure) if is_dated else "",
            definition=(part.definition or series.definition) if is_dated else "",
            source=part.source if is_dated else series.source,
        )

    def told_to(self, line: Line) -> Sequence[str]:
        """See `Planned`."""
        series = next(one for one in self.declared.plan.series if one.id == line.series)
        return [one.to for one in parts_of(series)[line.turn - 1].urgency.escalations]

    def title(self, line: Line) -> str:
        """See `Planned`."""
        series = next(one for one in self.declared.plan.series if one.id == line.series)
        part = parts_of(series)[line.turn - 1]
        return (
            part.title
            if part is series or part.title == series.title
            else (f"{series.title} {part.title}")
        )

    def _found(self, known: Known) -> tuple[Found | None, date | None]:
        """The facts of a person, and from which day on they are in no list."""
        if not known.patients:
            return None, None
        told = [_UNPACK.decode(one) for one in known.told]
        told += [told_by(self.declared.table, one, self._zone) for one in known.patients]
        ends = [one.end for one in told if one.end is not None]
        ends += [day for one in known.patients if (day := died(one, self._zone)) is not None]
        return joined(known.patients[0], told, self._zone), min(ends, default=None)

    def _items(self, several: Sequence[Facts], today: date) -> list[Sequence[Item]]:
        plan = self.declared.plan
        if len(several) <= _SINGLY_MAX:
            return [due_items(plan, one, today) for one in several]
        found: list[list[Item]] = [[] for _ in several]
        for column in standings(plan, population_of(several), today):
            for row in column.persons(*STATUSES):
                found[row].append(column.item(int(row)))
        return [*found]

    def _lines(self, items: Sequence[Item]) -> Iterator[Line]:
        by_id = {one.id: one for one in self.declared.plan.series}
        for item in items:
            if item.status not in STATUSES:
                continue
            parts = parts_of(by_id[item.series])
            turn = next(n for n, part in enumerate(parts, 1) if turn_of(part) == item.turn)
            if item.due is None:
                hold = EXCLUDED if item.status == "excluded" else POSTPONED
                yield Line(series=item.series, turn=turn, hold=hold, last=item.last)
                continue
            overdue, told = item.overdue, parts[turn - 1].urgency.escalations
            yield Line(
                series=item.series,
                turn=turn,
                hold=HELD if item.because.startswith("until:") else DATED,
                earliest=item.earliest,
                due=item.due,
                overdue=overdue,
                last=item.last,
                escalates=tuple(after(overdue, one.after) for one in told) if overdue else (),
            )

    def _again(self, facts: Facts, today: date) -> date | None:
        """The first day after today on which a line may be another: an event of a coming day, the
        day after one of today (a second dose is allowed on the day of the first, not on the next),
        the bounds of states, and the ages from which on a turn is too late.
        """
        days = [one.on if one.on > today else one.on + _DAY for one in facts.events
                if today <= one.on < date.max]  # fmt: skip
        for state in facts.states:
            if state.since is not None and state.since > today:
                days.append(state.since)
            if state.until is not None and today <= state.until < date.max:
                days.append(state.until + _DAY)
        days += [day for one in self._limits if (day := after(facts.born, one)) > today]
        return min(days, default=None)


_UNPACK: Final = msgspec.json.Decoder(Told)


def parts_of(series: Series) -> tuple[Turn | Case | Series, ...]:
    """What a series may stand at, in the order in which lines count it."""
    return (series, *series.cases) if series.cases else series.turns


def turn_of(part: Turn | Case | Series) -> str:
    """What an item calls it."""
    return FIRST if isinstance(part, Series) else part.id


def died(patient: Json, zone: tzinfo) -> date | None:
    """The day on which a Patient died; `date.min` where it is not told, None for one who lives."""
    if patient.get("deceasedBoolean") is True:
        return date.min
    text = patient.get("deceasedDateTime")
    return (first_day(str(text), zone) or date.min) if text else None


def _sought(declared: Declared, type_: str) -> re.Pattern[bytes] | None:
    """What the body of a record holds that tells anything, where that can be told by its codes:
    most observations are not worth being read.
    """
    codes = _codes(declared, type_)
    if codes is None:
        return None
    known = b"|".join(sorted(re.escape(json_encode(code)) for code in codes))
    # With a backslash any letter may stand there in another form.
    return re.compile(known + rb"|\\" if known else rb"\\")


def _codes(declared: Declared, type_: str, element: str = "") -> frozenset[str] | None:
    """The codes of which a record of a type has one that tells anything, in this element ("":
    anywhere); None where that cannot be told.
    """
    codes: set[str] = set()
    for row in declared.table.rows:
        if row.resource != type_:
            continue
        path = row.paths["code"].text if "code" in row.paths else ""
        # What a path computes does not stand in the record.
        if row.codes is None or not (path == "code" or path.endswith(".code")):
            return None
        if element and not (path == element or path.startswith(f"{element}.coding.")):
            return None
        codes |= row.codes.keys()
    return frozenset(codes)
