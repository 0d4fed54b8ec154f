"""Compiles a PlanDefinition to a Plan, or says everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, get_args

import msgspec

from quanmin.base.problems import Invalid, Issue
from quanmin.fhir.json import Json, encode
from quanmin.fhir.path import PathProblem
from quanmin.fhir.validation import validate
from quanmin.workflow.plans import extensions as known
from quanmin.workflow.plans.conditions import OF_PERSON, OF_VISITS, Condition, condition_of
from quanmin.workflow.plans.elements import Elements, canonical, listed, pick
from quanmin.workflow.plans.model import (
    Apart,
    Case,
    Contraindication,
    Early,
    Effect,
    Escalation,
    Plan,
    Relation,
    Series,
    Turn,
    Urgency,
)
from quanmin.workflow.plans.spans import Span, after

_EARLY: Mapping[str, Early] = {one: one for one in get_args(Early)}
_EFFECTS: Mapping[str, Effect] = {one: one for one in get_args(Effect)}
_AFTER = frozenset({"after", "after-end"})
_TOLD = frozenset(
    {"id", "title", "description", "textEquivalent", "code", "reason", "documentation", "extension",
     "condition", "definitionCanonical", "prefix", "priority"}
)  # fmt: skip
_DAY = date(2000, 1, 1)
# Columns count them in eight bits.
_PARTS_MAX = 100


def compile_plan(definition: Json, activities: Iterable[Json] = ()) -> Plan:
    """The plan that a PlanDefinition of R4 describes; `activities` are the ActivityDefinitions that
    its actions name.

    Raises Invalid with an issue for each fault: what is missing or contradicts itself, and what is
    not carried out here.
    """
    return _Compiler(definition, activities).plan()


class _Common(msgspec.Struct, frozen=True):
    """What a series says for all its parts."""

    id: str
    counts: frozenset[str]
    urgency: Urgency
    source: str


class _Compiler(Elements):
    def __init__(self, definition: Json, activities: Iterable[Json]) -> None:
        self.issues: list[Issue] = []
        self._source = definition if isinstance(definition, dict) else {}
        self._activities = {canonical(one): one for one in activities}
        self._ids: set[str] = set()
        self._series: list[Series] = []
        self._position: dict[str, tuple[int, int]] = {}

    def plan(self) -> Plan:
        source, place = self._source, "PlanDefinition"
        if source.get("resourceType") != place:
            raise Invalid("this is no PlanDefinition")
        # What R4 itself forbids is told first: what follows trusts the types of elements.
        if faults := validate(place, encode(source)):
            raise Invalid("this is no PlanDefinition of R4", issues=tuple(faults))
        for name in ("url", "version", "title", "publisher", "relatedArtifact"):
            if not source.get(name):
                self.blame(f"say its {name}: url, version, title, owner and source", place)
        self.refuse_foreign(source, known.OF_PLAN, place)
        for one, at in listed(source, "action", place):
            self._top(one, at)
        if not self._series:
            self.blame("a plan has at least one action", f"{place}.action")
        apart = tuple(self._apart(place))
        period = source.get("effectivePeriod", {})
        plan = Plan(
            url=str(source.get("url", "")),
            version=str(source.get("version", "")),
            title=str(source.get("title", "")),
            owner=str(source.get("publisher", "")),
            since=self.day(period.get("start"), f"{place}.effectivePeriod.start"),
            until=self.day(period.get("end"), f"{place}.effectivePeriod.end"),
            series=tuple(self._series),
            apart=apart,
            position=self._position,
            activities=self._activities,
        )
        if self.issues:
            raise Invalid("the plan cannot be used", issues=tuple(self.issues))
        return plan

    def _top(self, one: Json, place: str) -> None:
        """A series, or alternatives: an action of which exactly one part is chosen."""
        if one.get("selectionBehavior") != "exactly-one":
            self._take_series(one, "", place)
            return
        self._refuse_others(one, _TOLD | {"action", "selectionBehavior"}, place)
        self.refuse_foreign(one, known.OF_ALTERNATIVES, place)
        if one.get("condition"):
            self.blame("conditions stand at the series, not at their choice", f"{place}.condition")
        group = self._id(one, place)
        members = list(listed(one, "action", place))
        if len(members) < 2:
            self.blame("a choice is among at least two series", f"{place}.action")
        for member, at in members:
            self._take_series(member, group, at)

    def _take_series(self, one: Json, alternative: str, place: str) -> None:
        is_recurring = one.get("selectionBehavior") == "at-most-one"
        self._refuse_others(one, _TOLD | {"action", "selectionBehavior"}, place)
        self.refuse_foreign(one, known.OF_SERIES, place)
        if not is_recurring and "selectionBehavior" in one:
            self.blame(
                "exactly-one (alternatives) and at-most-one (visits that recur) are carried out",
                f"{place}.selectionBehavior",
            )
        common = _Common(
            id=self._id(one, place),
            counts=self.codes(one, known.COUNTS, place),
            urgency=self._urgency(one, place, Urgency()),
            source=self._source_of(one) or self._source_of(self._source),
        )
        at = len(self._series)
        parts = list(listed(one, "action", place))
        if not parts:
            self.blame("a series has parts: its turns, or the cases of its visits", place)
        if len(parts) > _PARTS_MAX:
            self.blame(f"a series has at most {_PARTS_MAX} parts", f"{place}.action")
        turns: tuple[Turn, ...] = ()
        cases: tuple[Case, ...] = ()
        if is_recurring:
            cases = tuple(self._case(part, common, where) for part, where in parts)
            self._hold_recurring(one, cases, common.counts, alternative, place)
        else:
            turns = tuple(
                self._turn(part, (at, number), common, where)
                for number, (part, where) in enumerate(parts)
            )
            if any(True for _ in pick(one, known.BEGINS_STATE, known.BEGINS_AGE)):
                self.blame("only visits that recur begin with a state or an age", place)
        early = _EARLY.get(self.choice(one, known.EARLY, _EARLY, "repeat", place), "repeat")
        self._series.append(
            Series(
                id=common.id,
                title=self._title(one, place),
                condition=self._condition(one, OF_PERSON, place),
                turns=turns,
                cases=cases,
                counts=common.counts.union(*(turn.counts for turn in turns)),
                early=early,
                contraindications=tuple(self._contraindications(one, place)),
                alternative=alternative,
                begins_state=self.code(one, known.BEGINS_STATE, place),
                begins_age=self.span(one, known.BEGINS_AGE, place),
                urgency=common.urgency,
                measure=self._measure(one),
                definition=self._definition(one, place),
                source=common.source,
            )
        )

    def _turn(self, one: Json, at: tuple[int, int], common: _Common, place: str) -> Turn:
        self._refuse_others(one, _TOLD | {"timingAge", "timingDuration", "relatedAction"}, place)
        self.refuse_foreign(one, known.OF_TURN, place)
        if one.get("condition"):
            self.blame("a condition stands at the series, for all its turns", f"{place}.condition")
        id_ = self._id(one, place)
        due_age = self.amount(one.get("timingAge"), f"{place}.timingAge")
        due_span = self.amount(one.get("timingDuration"), f"{place}.timingDuration")
        if (due_age is None) == (due_span is None):
            self.blame(
                "say when it is due: timingAge, or timingDuration since the turn before", place
            )
        if not at[1] and due_span is not None:
            # R4 has no age of 0: what is due at birth is due 0 days after it.
            due_age, due_span = due_span, None
        least = self.span(one, known.LEAST_AGE, place)
        limit = self.span(one, known.AGE_LIMIT, place)
        least = least if least is not None else due_age or Span()
        self._hold_order(least, due_age, "is due before the least age", place)
        self._hold_order(due_age or least, limit, "has its age limit before it is due", place)
        own = self.codes(one, known.COUNTS, place) or common.counts
        if not own:
            self.blame("say which codes count for it: plan-counts, here or at the series", place)
        relations = tuple(self._relations(one, at, place))
        self._position[id_] = at
        return Turn(
            id=id_,
            title=self._title(one, place),
            due_age=due_age,
            due_span=due_span,
            least_age=least,
            age_limit=limit,
            is_skipped=self.choice(one, known.LAPSE, {"skip", "stop"}, "stop", place) == "skip",
            relations=relations,
            counts=own,
            urgency=self._urgency(one, place, common.urgency),
            measure=self._measure(one),
            definition=self._definition(one, place),
            source=self._source_of(one) or common.source,
        )

    def _relations(self, one: Json, at: tuple[int, int], place: str) -> Iterator[Relation]:
        for relation, where in listed(one, "relatedAction", place):
            named = relation.get("actionId")
            if relation.get("relationship") not in _AFTER:
                self.blame("only `after` is carried out", f"{where}.relationship")
            if self._position.get(str(named), at) >= at:
                self.blame("it names a turn that stands before this one", f"{where}.actionId")
            span = self.amount(relation.get("offsetDuration"), f"{where}.offsetDuration")
            if span is None:
                self.blame("say how long after: offsetDuration", where)
            else:
                yield Relation(str(named), span)

    def _case(self, one: Json, common: _Common, place: str) -> Case:
        self._refuse_others(one, _TOLD | {"relatedAction"}, place)
        self.refuse_foreign(one, known.OF_CASE, place)
        spans = [
            self.amount(relation.get("offsetDuration"), f"{at}.offsetDuration")
            for relation, at in listed(one, "relatedAction", place)
            if relation.get("actionId") == common.id and relation.get("relationship") in _AFTER
        ]
        if len(spans) != 1 or spans[0] is None or len(one.get("relatedAction", [])) != 1:
            self.blame(
                f"say how long after {common.id}, once: offsetDuration of a relatedAction", place
            )
        elif spans[0] == Span():
            self.blame("the next visit is after the last one, not on its day", place)
        return Case(
            id=self._id(one, place),
            title=self._title(one, place),
            condition=self._condition(one, OF_PERSON | OF_VISITS, place),
            span=(spans[0] if spans else None) or Span(),
            urgency=self._urgency(one, place, common.urgency),
            measure=self._measure(one),
            definition=self._definition(one, place),
            source=self._source_of(one) or common.source,
        )

    def _hold_recurring(
        self, one: Json, cases: tuple[Case, ...], counts: frozenset[str], group: str, place: str
    ) -> None:
        if not any(True for _ in pick(one, known.BEGINS_STATE, known.BEGINS_AGE)):
            self.blame("say when the visits begin: plan-begins-state or plan-begins-age", place)
        if cases and cases[-1].condition is not None:
            self.blame("the last case is for all others, without a condition", f"{place}.action")
        for number, case in enumerate(cases[:-1]):
            if case.condition is None:
                self.blame("cases after this one are never reached", f"{place}.action[{number}]")
        if not counts:
            self.blame("say which codes count as a visit: plan-counts", place)
        if group:
            self.blame("visits that recur are no alternative", place)

    def _apart(self, place: str) -> Iterator[Apart]:
        by_id = {series.id: series for series in self._series}
        for rule, at in pick(self._source, known.APART, place=place):
            after_, inside = self.codes(rule, "after", at), self.codes(rule, "series", at)
            span, id_ = self.span(rule, "span", at), self.code(rule, "id", at)
            allowed = next((one.get("valueBoolean") for one, _ in pick(rule, "sameDay")), None)
            if span is None or not after_ or not inside or not id_ or not isinstance(allowed, bool):
                self.blame("say its id, after, span, sameDay and series", at)
                continue
            for missing in sorted(inside - by_id.keys()):
                self.blame(f"there is no series {missing}", at)
            counted = [by_id[one].counts for one in inside & by_id.keys()]
            if not allowed and after_ & frozenset().union(*counted):
                self.blame("a dose cannot be kept apart from itself: set sameDay", at)
            if any(by_id[one].cases for one in inside & by_id.keys()):
                self.blame("visits that recur are not kept apart", at)
            yield Apart(id=id_, after=after_, span=span, is_same_day_allowed=allowed, series=inside)

    def _contraindications(self, one: Json, place: str) -> Iterator[Contraindication]:
        for rule, at in pick(one, known.CONTRAINDICATION, place=place):
            state, effect = self.code(rule, "state", at), self.code(rule, "effect", at)
            if not state or effect not in _EFFECTS:
                self.blame("say its state, and its effect: postpone or exclude", at)
                continue
            yield Contraindication(state, _EFFECTS[effect])

    def _urgency(self, one: Json, place: str, above: Urgency) -> Urgency:
        """When what is due is overdue, and to whom that is told; what it does not say itself is as
        the series says.
        """
        age = self.span(one, known.OVERDUE_AGE, place)
        span = self.span(one, known.OVERDUE_AFTER, place)
        if age is not None and span is not None:
            self.blame("overdue from an age, or so long after it was due: not both", place)
        if age is None and span is None:
            age, span = above.age, above.span
        escalations: list[Escalation] = []
        for rule, at in pick(one, known.ESCALATION, place=place):
            later, to = self.span(rule, "after", at), self.code(rule, "to", at)
            if later is None or not to:
                self.blame("say after how long, and to whom", at)
                continue
            if escalations:
                self._hold_order(escalations[-1].after, later, "escalates out of order", at)
            escalations.append(Escalation(later, to))
        if len(escalations) > _PARTS_MAX:
            self.blame(f"it escalates at most {_PARTS_MAX} times", place)
        told = tuple(escalations) or above.escalations
        if told and age is None and span is None and not one.get("action"):
            self.blame("what is never overdue is never escalated", place)
        return Urgency(age=age, span=span, escalations=told)

    def _condition(self, one: Json, variables: frozenset[str], place: str) -> Condition | None:
        held = list(listed(one, "condition", place))
        if len(held) > 1:
            self.blame("join several conditions by `and` in one expression", f"{place}.condition")
        for condition, at in held[:1]:
            expression = condition.get("expression", {})
            if condition.get("kind") != "applicability":
                self.blame("only conditions of applicability are carried out", f"{at}.kind")
            if expression.get("language") != "text/fhirpath":
                self.blame("an expression is in text/fhirpath", f"{at}.expression.language")
            try:
                return condition_of(str(expression.get("expression", "")), variables)
            except PathProblem as problem:
                self.blame(problem.text, f"{at}.expression.expression")
        return None

    def _id(self, one: Json, place: str) -> str:
        found = one.get("id")
        if not isinstance(found, str) or not found or found in self._ids:
            self.blame("an action needs an id of its own", f"{place}.id")
            return ""
        self._ids.add(found)
        return found

    def _title(self, one: Json, place: str) -> str:
        if not one.get("title"):
            self.blame("an action needs a title: people read it", f"{place}.title")
        return str(one.get("title", ""))

    def _definition(self, one: Json, place: str) -> str:
        named = str(one.get("definitionCanonical", ""))
        if named and named not in self._activities:
            self.blame("this ActivityDefinition is not at hand", f"{place}.definitionCanonical")
        return named

    def _refuse_others(self, one: Json, taken: frozenset[str], place: str) -> None:
        for name in sorted(one.keys() - taken):
            self.blame("this element is not carried out here", f"{place}.{name}")

    def _hold_order(self, low: Span | None, high: Span | None, text: str, place: str) -> None:
        if low is not None and high is not None and after(_DAY, low) > after(_DAY, high):
            self.blame(text, place)

    @staticmethod
    def _measure(one: Json) -> str:
        codings = [coding for code in one.get("code", []) for coding in code.get("coding", [])]
        return str(codings[0].get("code", "")) if codings else ""

    @staticmethod
    def _source_of(one: Any) -> str:
        held = one.get("documentation") or one.get("relatedArtifact") or []
        return str(held[0].get("citation") or held[0].get("display") or "") if held else ""
