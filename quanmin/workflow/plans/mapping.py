"""Facts out of resources, by a table: which resources tell of an event, a state or a group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, tzinfo
from typing import Any, Literal, get_args

import msgspec

from quanmin.base.problems import Invalid, Issue, Sentence
from quanmin.fhir.dates import interval, on_clock, tells_day
from quanmin.fhir.json import Json
from quanmin.fhir.path import Environment, Path, PathProblem, compile_path
from quanmin.workflow.plans.facts import SEXES, Event, Facts, Sex, State

Kind = Literal["event", "state", "group", "area", "end"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
_ASKED: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "event": (frozenset({"resource", "code", "on"}), frozenset({"where", "detail", "codes"})),
    "state": (frozenset({"resource", "code"}), frozenset({"where", "since", "until", "codes"})),
    "group": (frozenset({"resource", "code"}), frozenset({"where", "codes"})),
    "area": (frozenset({"resource", "code"}), frozenset({"where", "codes"})),
    "end": (frozenset({"resource"}), frozenset({"where", "on"})),
}
_HEADER = frozenset({"source", "owner", "version", "effective", "definition"})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """How resources of one type tell of facts of one kind: a path for each part of the fact.

    `codes` says what the codes found are called in plans; codes that are not in it are no fact.
    Without it they are called as they are.
    """

    kind: Kind
    resource: str
    where: Path | None
    paths: Mapping[str, Path]
    codes: Mapping[str, str] | None


class FactTable(msgspec.Struct, frozen=True):
    """A table of facts, compiled."""

    rows: tuple[Row, ...]

    @property
    def types(self) -> frozenset[str]:
        """The types of resources that are read."""
        return frozenset(row.resource for row in self.rows)

    def codes_of(self, resource: str) -> frozenset[str]:
        """The codes that rows of a type rename: no other is a fact."""
        rows = (row for row in self.rows if row.resource == resource)
        return frozenset(code for row in rows for code in row.codes or ())


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one resource tells: facts of a person, the areas they belong to, and from which day on
    they are in no list (`date.min`: from ever); and why something could not be read.
    """

    events: tuple[Event, ...] = ()
    states: tuple[State, ...] = ()
    groups: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    end: date | None = None
    unread: tuple[tuple[str, str], ...] = ()


class Found(msgspec.Struct, frozen=True):
    """The facts of a person, and what told of one that could not be read: the resource and why."""

    facts: Facts
    unread: tuple[tuple[str, str], ...]


def compile_facts(table: Mapping[str, Any]) -> FactTable:
    """The table of a TOML definition with rows of the kinds that there are.

    Raises Invalid with an issue for each fault, a path that no resource of its type has among them.
    """
    rows: list[Row] = []
    text = Sentence("a table has rows of %(known)s", known=", ".join(_KINDS))
    strange = sorted(table.keys() - _HEADER - set(_KINDS))
    issues = [Issue("error", "invalid", text, key) for key in strange]
    for kind in _KINDS:
        for number, one in enumerate(table.get(kind, [])):
            place = f"{kind}[{number}]"
            faults, row = _row(kind, one, place)
            issues += faults
            rows += [row] if row is not None else []
    if not rows and not issues:
        issues.append(Issue("error", "invalid", "the table has no row"))
    if issues:
        raise Invalid("the table of facts cannot be used", issues=tuple(issues))
    return FactTable(tuple(rows))


def _row(kind: Kind, one: Mapping[str, Any], place: str) -> tuple[list[Issue], Row | None]:
    issues: list[Issue] = []
    needed, allowed = _ASKED[kind]

    def blame(text: str, name: str) -> None:
        issues.append(Issue("error", "invalid", text, f"{place}.{name}"))

    for name in sorted(needed - one.keys()):
        blame("this is needed", name)
    for name in sorted(one.keys() - needed - allowed):
        blame(f"a row of {kind} has no such part", name)
    resource, codes = one.get("resource"), one.get("codes")
    paths: dict[str, Path] = {}
    for name in sorted((needed | allowed) & one.keys() - {"resource", "codes"}):
        try:
            paths[name] = compile_path(str(one[name]))
            paths[name].check(str(resource))
        except PathProblem as problem:
            blame(problem.text, name)
    if codes is not None and not isinstance(codes, dict):
        blame("give a table of codes", "codes")
    if issues:
        return issues, None
    where = paths.pop("where", None)
    return [], Row(kind=kind, resource=str(resource), where=where, paths=paths, codes=codes)


def facts_of(
    table: FactTable, patient: Json, resources: Iterable[Json], zone: tzinfo
) -> Found | None:
    """The facts that some resources tell of a patient; None while no whole date of birth is known,
    without which no plan applies.

    Moments are days in `zone`. A state may begin or end with a month or a year: it holds from its
    first to its last day. An event is of a day: what tells of one without is named as unread.
    """
    return joined(patient, [told_by(table, resource, zone) for resource in resources], zone)


def joined(patient: Json, told: Iterable[Told], zone: tzinfo) -> Found | None:
    """The facts of a patient, of whom some resources have told; None while no whole date of birth
    is known.
    """
    born = first_day(str(patient.get("birthDate", "")), zone)
    if born is None or not tells_day(patient["birthDate"]):
        return None
    several = list(told)
    gender = patient.get("gender")
    sex: Sex = next((one for one in SEXES if one == gender), "unknown")
    facts = Facts(
        born=born,
        sex=sex,
        groups=frozenset(group for one in several for group in one.groups),
        events=tuple(event for one in several for event in one.events),
        states=tuple(state for one in several for state in one.states),
    )
    return Found(facts, tuple(unread for one in several for unread in one.unread))


def told_by(table: FactTable, resource: Json, zone: tzinfo) -> Told:
    """What one resource tells by the rows of its type."""
    reading = _Reading(zone)
    for row in table.rows:
        if resource.get("resourceType") == row.resource:
            reading.read(row, resource)
    return Told(
        events=tuple(reading.events),
        states=tuple(reading.states),
        groups=tuple(sorted(reading.groups)),
        areas=tuple(sorted(reading.areas)),
        end=reading.end,
        unread=tuple(reading.unread),
    )


class _Reading:
    def __init__(self, zone: tzinfo) -> None:
        self._environment = Environment(zone=zone)
        self._zone = zone
        self.events: list[Event] = []
        self.states: list[State] = []
        self.groups: set[str] = set()
        self.areas: set[str] = set()
        self.end: date | None = None
        self.unread: list[tuple[str, str]] = []

    def read(self, row: Row, resource: Json) -> None:
        """Add what a row finds in a resource."""
        name = f"{resource.get('resourceType')}/{resource.get('id', '')}"
        try:
            if row.where is not None and not row.where.is_true(
                resource, environment=self._environment
            ):
                return
            found = {
                part: [str(value) for value in path.values(resource, environment=self._environment)]
                for part, path in row.paths.items()
            }
        except PathProblem as problem:
            self.unread.append((name, problem.reason))
            return
        if row.kind == "end":
            self._end(name, found.get("on", []))
            return
        codes = found["code"]
        if row.codes is not None:
            codes = [row.codes[code] for code in codes if code in row.codes]
        if codes:
            self._keep(row.kind, name, dict.fromkeys(codes), found)

    def _keep(self, kind: Kind, name: str, codes: Iterable[str], found: Mapping[str, Any]) -> None:
        if kind in {"group", "area"}:
            (self.groups if kind == "group" else self.areas).update(codes)
            return
        several = [
            part for part in ("on", "detail", "since", "until") if len(found.get(part, ())) > 1
        ]
        if several:
            self.unread.append((name, f"several values for {several[0]}"))
            return
        value = {part: values[0] for part, values in found.items() if values and part != "code"}
        if kind == "event":
            on = first_day(value.get("on", ""), self._zone)
            if on is None or not tells_day(value["on"]):
                self.unread.append((name, "an event is of a day, and this tells none"))
                return
            self.events += [Event(on, code, value.get("detail", "")) for code in codes]
            return
        since = first_day(value.get("since", ""), self._zone)
        until = _last_day(value.get("until", ""), self._zone)
        for part, read in (("since", since), ("until", until)):
            if part in value and read is None:
                self.unread.append((name, f"{part} is no date"))
                return
        self.states += [State(code, since, until) for code in codes]

    def _end(self, name: str, days: Sequence[str]) -> None:
        ends = [first_day(day, self._zone) for day in days]
        known = [day for day in ends if day is not None]
        if len(known) < len(ends):
            self.unread.append((name, "the day of an end is no date"))
        elif not known:
            known = [date.min]
        self.end = min([*known, *([] if self.end is None else [self.end])], default=self.end)


def first_day(text: str, zone: tzinfo) -> date | None:
    """The first day of what a FHIR date or moment says; None for what is none."""
    found = interval(text, zone)
    return None if found is None else _day(found[0], zone)


def _last_day(text: str, zone: tzinfo) -> date | None:
    found = interval(text, zone)
    return None if found is None else _day(found[1] - 1, zone)


def _day(microseconds: int, zone: tzinfo) -> date:
    found = on_clock(microseconds, zone)
    if found is None:
        return date.min if microseconds < 0 else date.max
    return found.date()
