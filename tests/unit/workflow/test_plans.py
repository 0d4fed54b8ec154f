"""What each rule of a plan means, one at a time."""

from __future__ import annotations

import pytest
from planning import (
    alternatives,
    apart,
    case,
    day,
    escalates,
    facts,
    hindered,
    item_of,
    plan,
    says,
    series,
    turn,
    visits,
    when,
)

TURNS = [
    turn("s1", "1 mo"),
    turn("s2", "2 mo", says("least-age", "0 d"), after="s1: 1 mo"),
    turn("s3", "3 mo", says("least-age", "0 d"), after="s2: 10 d; s1: 40 d"),
]
BORN = "2025-01-01"


@pytest.mark.parametrize(
    ("early", "turn_", "due"),
    [("repeat", "s2", "2025-03-01"), ("repeat-spaced", "s2", "2025-03-28"),
     ("count", "s3", "2025-04-01")],
)  # fmt: skip
def test_a_dose_that_came_too_early_is_what_the_series_says(
    early: str, turn_: str, due: str
) -> None:
    made = plan(series("s", "a", TURNS, says("early-dose", early)))
    item = item_of(made, "s", facts(BORN, "a 2025-02-01", "a 2025-02-28"), "2025-02-28")
    assert (item.turn, item.due) == (turn_, day(due))


def test_only_the_distance_from_the_dose_before_is_kept_from_one_that_did_not_count() -> None:
    made = plan(series("s", "a", TURNS, says("early-dose", "repeat-spaced")))
    someone = facts(BORN, "a 2025-04-01", "a 2025-05-01", "a 2025-05-10")
    item = item_of(made, "s", someone, "2025-05-10")
    # The 40 days since the first dose end on 11 May, the ten since the void one on the 20th.
    assert (item.turn, item.due, item.because) == ("s3", day("2025-05-20"), "early-dose")


def test_a_missed_visit_is_passed_over_and_the_distance_kept_from_the_one_before() -> None:
    made = plan(
        series("s", "a", [
            turn("s1", "1 mo"),
            turn("s2", "2 mo", says("age-limit", "3 mo"), says("lapse", "skip")),
            turn("s3", "3 mo", after="s2: 2 mo"),
        ])
    )  # fmt: skip
    someone = facts(BORN, "a 2025-02-15")
    assert item_of(made, "s", someone, "2025-03-31").turn == "s2"
    item = item_of(made, "s", someone, "2025-04-01")
    assert (item.turn, item.due) == ("s3", day("2025-04-15"))
    assert [one.code for one in item.reasons if one.rule == "skipped"] == ["s2"]
    assert item_of(made, "s", facts(BORN, "a 2025-02-15", "a 2025-04-15"), "2025-05-01").status == (
        "complete"
    )


def test_a_turn_that_cannot_be_in_time_any_more_lapses_before_its_limit() -> None:
    made = plan(
        series("s", "a", [turn("s1", "1 mo"),
                          turn("s2", "2 mo", says("age-limit", "3 mo"), after="s1: 1 mo")])
    )  # fmt: skip
    for given, status in (("2025-02-28", "due"), ("2025-03-01", "lapsed")):
        assert item_of(made, "s", facts(BORN, f"a {given}"), "2025-03-31").status == status


def test_an_event_told_twice_is_one() -> None:
    made = plan(series("s", "a", TURNS, says("early-dose", "count")))
    item = item_of(made, "s", facts(BORN, "a 2025-02-01", "a 2025-02-01"), "2025-02-02")
    assert item.turn == "s2"


def test_what_is_given_beyond_the_series_is_named() -> None:
    made = plan(series("s", "a", TURNS[:1]))
    item = item_of(made, "s", facts(BORN, "a 2025-02-01", "a 2025-03-01"), "2025-04-01")
    assert (item.status, [one.rule for one in item.reasons]) == ("complete", ["surplus"])


def test_an_event_of_another_code_does_not_take_the_turn() -> None:
    made = plan(series("s", "a", [turn("s1", "1 mo", says("counts", "b")), turn("s2", "2 mo")]))
    item = item_of(made, "s", facts(BORN, "a 2025-02-01"), "2025-02-02")
    assert item.turn == "s1"
    assert "other-product" in {one.rule for one in item.reasons}


def test_a_distance_that_forbids_the_same_day_does() -> None:
    made = plan(
        series("s", "a", TURNS[:1]), apart_rules=[apart("r", ["x"], "7 d", "s", same_day=False)]
    )
    assert item_of(made, "s", facts(BORN, "x 2025-02-01"), "2025-02-01").due == day("2025-02-08")
    item = item_of(made, "s", facts(BORN, "x 2025-02-01", "a 2025-02-01"), "2025-02-01")
    assert item.turn == "s1"


def test_what_excludes_goes_before_what_postpones() -> None:
    made = plan(series("s", "a", TURNS, hindered("ill", "postpone"), hindered("never", "exclude")))
    both = facts(BORN, states=["ill - -", "never - -"])
    assert item_of(made, "s", both, "2025-03-01").because == "exclude:never"
    for_now = facts(BORN, states=["ill - 2025-03-03", "never 2025-03-01 2025-03-09"])
    item = item_of(made, "s", for_now, "2025-03-02")
    assert (item.status, item.due, item.because) == (
        "postponed", day("2025-03-10"), "until:never",
    )  # fmt: skip
    assert item_of(made, "s", for_now, "2025-02-28").because == "until:ill"


def test_an_alternative_that_does_not_apply_is_not_offered() -> None:
    made = plan(
        alternatives(
            "g",
            series("one", "a", [turn("o1", "1 mo")], condition=when("%sex = 'female'")),
            series("two", "b", [turn("t1", "1 mo")]),
        )
    )
    boy = facts(BORN, sex="male")
    assert item_of(made, "one", boy, "2025-03-01").because == "condition"
    assert item_of(made, "two", boy, "2025-03-01").status == "due"
    assert item_of(made, "two", facts(BORN, sex="female"), "2025-03-01").because == "alternative"


def test_who_came_the_day_before_an_age_begins_comes_again() -> None:
    cases = [case("c", "v", "1 a")]
    made = plan(visits("v", "a", cases, says("begins-age", "65 a")))
    born = "1960-02-29"
    assert item_of(made, "v", facts(born, "a 2025-02-27"), "2025-02-28").turn == "first"
    item = item_of(made, "v", facts(born, "a 2025-02-28"), "2025-02-28")
    assert (item.turn, item.due) == ("c", day("2026-02-28"))


def test_escalation_counts_from_the_first_day_overdue() -> None:
    late = [says("overdue-age", "2 mo"), escalates("0 d", "x"), escalates("1 mo", "y")]
    made = plan(series("s", "a", [turn("s1", "1 mo", *late)]))
    found = [
        item_of(made, "s", facts("2024-12-31"), on).escalated_to
        for on in ("2025-02-27", "2025-02-28", "2025-03-27", "2025-03-28")
    ]
    assert found == ["", "x", "x", "y"]


def test_an_unborn_child_is_due_for_nothing_yet() -> None:
    made = plan(series("s", "a", [turn("s1", "0 d")]))
    assert item_of(made, "s", facts(BORN), "2024-12-31").status == "planned"
