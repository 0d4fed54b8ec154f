"""A definition is refused with all that is wrong with it, each at its place."""

from __future__ import annotations

from typing import Any

import pytest
from planning import (
    action,
    alternatives,
    apart,
    case,
    definition,
    escalates,
    hindered,
    plan,
    says,
    series,
    turn,
    visits,
    when,
)

from quanmin.base.problems import Invalid
from quanmin.workflow.plans import compile_plan

ONE = turn("s1", "1 mo")


def refused(*actions: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        compile_plan(definition(*actions, **more))
    return [(issue.expression, issue.text) for issue in caught.value.issues]


def places(*actions: Any, **more: Any) -> list[str]:
    top = "PlanDefinition.action[0]"
    return [place.replace(top, "~") for place, _ in refused(*actions, **more)]


def test_a_good_plan_is_compiled() -> None:
    made = plan(series("s", "a", [ONE, turn("s2", "+1 mo", after="s1: 28 d")]))
    assert made.canonical == "https://quanmin.example/fhir/PlanDefinition/test|1"
    assert made.position == {"s1": (0, 0), "s2": (0, 1)}


def test_all_faults_are_told_at_once() -> None:
    found = places(
        series("s", "a", [ONE, turn("s1", "2 mo"), action_without_time(), turn("s4", "1 mo",
               says("escalates", "1 d"), after="s9: 1 mo")]),
        visits("v", "", [case("c", "s", "1 mo")]),
        publisher="",
    )  # fmt: skip
    # R4's own rules come first: it has no empty text.
    assert found == ["PlanDefinition.publisher"]
    found = places(
        series("s", "a", [ONE, turn("s1", "2 mo"), action_without_time(), turn("s4", "1 mo",
               says("escalates", "1 d"), after="s9: 1 mo")]),
        visits("v", "", [case("c", "s", "1 mo")]),
    )  # fmt: skip
    assert found == [
        "~.action[1].id",
        "~.action[2]",
        "~.action[3].extension[0]",
        "~.action[3].relatedAction[0].actionId",
        "PlanDefinition.action[1].action[0]",
        "PlanDefinition.action[1]",
        "PlanDefinition.action[1]",
    ]


def action_without_time() -> dict[str, Any]:
    return {"id": "s3", "title": "s3"}


def test_r4_itself_is_asked_first() -> None:
    found = refused(series("s", "a", [ONE | {"relatedAction": [{"actionId": "s1"}]}]))
    assert [place for place, _ in found] == [
        "PlanDefinition.action[0].action[0].relatedAction[0].relationship"
    ]


def test_what_is_no_plan_definition_is_refused() -> None:
    several: tuple[Any, ...] = ({}, {"resourceType": "Patient"}, [])
    for wrong in several:
        with pytest.raises(Invalid, match="no PlanDefinition"):
            compile_plan(wrong)


def test_source_owner_and_version_are_asked_for() -> None:
    whole = definition(series("s", "a", [ONE]))
    for name in ("url", "version", "title", "publisher", "relatedArtifact"):
        less = {key: value for key, value in whole.items() if key != name}
        with pytest.raises(Invalid) as caught:
            compile_plan(less)
        assert name in caught.value.issues[0].text


# What is wrong, and the place that is blamed.
WRONG: dict[str, tuple[Any, str | None]] = {
    "no part": (action("s", says("counts", "a")), "~"),
    "too many parts": (
        series("s", "a", [turn(f"s{n}", "1 mo") for n in range(101)]), "~.action"),
    "too many told": (
        series("s", "a", [ONE], says("overdue-after", "1 d"),
               *(escalates(f"{n} d", "x") for n in range(101))), "~"),
    "no codes": (series("s", "", [ONE]), "~.action[0]"),
    "twice due": (series("s", "a", [ONE, turn("s2", "1 mo", timingDuration={
        "value": 1, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"})]), None),
    "hours": (series("s", "a", [turn("s1", "1 h")]), "~.action[0].timingAge"),
    "half months": (series("s", "a", [ONE | {"timingAge": {
        "value": 1.5, "unit": "mo", "system": "http://unitsofmeasure.org", "code": "mo"}}]),
        "~.action[0].timingAge"),
    "about a month": (series("s", "a", [ONE | {"timingAge": {"comparator": ">",
        "value": 1, "unit": "mo", "system": "http://unitsofmeasure.org", "code": "mo"}}]),
        "~.action[0].timingAge"),
    "a limit before it is due": (
        series("s", "a", [turn("s1", "2 mo", says("age-limit", "1 mo"))]), "~.action[0]"),
    "least age after it is due": (
        series("s", "a", [turn("s1", "1 mo", says("least-age", "32 d"))]), "~.action[0]"),
    "a later turn": (
        series("s", "a", [turn("s1", "1 mo", after="s2: 1 d"), turn("s2", "2 mo")]),
        "~.action[0].relatedAction[0].actionId"),
    "two urgencies": (
        series("s", "a", [turn("s1", "1 mo", says("overdue-age", "2 mo"),
                               says("overdue-after", "1 d"))]), "~.action[0]"),
    "never overdue": (series("s", "a", [turn("s1", "1 mo", escalates("1 d", "x"))]), "~.action[0]"),
    "out of order": (
        series("s", "a", [ONE], says("overdue-after", "1 d"), escalates("2 d", "x"),
               escalates("1 d", "y")), "~.extension[3]"),
    "unknown effect": (series("s", "a", [ONE], hindered("ill", "wait")), "~.extension[1]"),
    "unknown choice": (series("s", "a", [ONE], says("early-dose", "maybe")), "~"),
    "condition of a turn": (
        series("s", "a", [turn("s1", "1 mo", condition=when("%sex = 'male'"))]),
        "~.action[0].condition"),
    "unread condition": (
        series("s", "a", [ONE], condition=when("%sex =")), "~.condition[0].expression.expression"),
    "result in a series": (
        series("s", "a", [ONE], condition=when("%last = 'x'")),
        "~.condition[0].expression.expression"),
    "foreign function": (
        series("s", "a", [ONE], condition=when("%groups.count() > 1")),
        "~.condition[0].expression.expression"),
    "a month of birth": (
        series("s", "a", [ONE], condition=when("%born >= @2012-01")),
        "~.condition[0].expression.expression"),
    "half a language": (
        series("s", "a", [ONE], condition=[{"kind": "applicability", "expression": {
            "language": "text/cql", "expression": "true"}}]),
        "~.condition[0].expression.language"),
    "foreign element": (series("s", "a", [ONE | {"dynamicValue": [{"path": "x"}]}]),
        "~.action[0].dynamicValue"),
    "unknown activity": (series("s", "a", [ONE | {"definitionCanonical": "urn:x|1"}]),
        "~.action[0].definitionCanonical"),
    "one alternative": (alternatives("g", series("s", "a", [ONE])), "~.action"),
    "no last case": (
        visits("v", "a", [case("c", "v", "1 mo", "%last = 'x'")], says("begins-age", "1 a")),
        "~.action"),
    "unreached case": (
        visits("v", "a", [case("c", "v", "1 mo"), case("d", "v", "1 mo")],
               says("begins-age", "1 a")), "~.action[0]"),
    "no beginning": (visits("v", "a", [case("c", "v", "1 mo")]), "~"),
    "on the same day": (
        visits("v", "a", [case("c", "v", "0 d")], says("begins-age", "1 a")), "~.action[0]"),
    "a series that begins": (series("s", "a", [ONE], says("begins-age", "1 a")), "~"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_each_fault_is_found_at_its_place(name: str) -> None:
    wrong, place = WRONG[name]
    found = places(wrong)
    assert found if place is None else place in found


def test_rules_of_distance_name_series_that_there_are() -> None:
    good = series("s", "a b", [ONE])
    told = refused(good, apart_rules=[apart("r", ["x"], "1 mo", "t", same_day=True)])
    assert told == [("PlanDefinition.extension[0]", "there is no series t")]
    told = refused(good, apart_rules=[apart("r", ["a"], "1 mo", "s", same_day=False)])
    assert [text for _, text in told] == ["a dose cannot be kept apart from itself: set sameDay"]
