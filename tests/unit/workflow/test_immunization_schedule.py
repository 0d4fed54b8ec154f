"""The national schedule, 2026 edition: each number the day before, on the day, the day after.

Who is born on 31 March or 29 February meets months that have no such day.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from planning import day, facts, item_of, shipped, shipped_text

from quanmin.fhir.validation import validate
from quanmin.workflow.plans import Span, after
from quanmin.workflow.vaccination import line

PLAN = shipped("immunization-2026")
DAY = timedelta(days=1)
BIRTHS = ("2024-03-31", "2024-02-29", "2025-01-01")


def statuses(series: str, due: date, born: str, *events: str, **more: Any) -> list[str]:
    """How it stands the day before, on the day and the day after."""
    days = (due - DAY, due, due + DAY)
    return [
        item_of(PLAN, series, facts(born, *events, **more), one.isoformat()).status for one in days
    ]


@pytest.mark.parametrize("name", ["immunization-2026.json", "hypertension-2017.json"])
def test_the_definition_is_a_plan_definition_of_r4(name: str) -> None:
    assert validate("PlanDefinition", shipped_text(name)) == []


def test_the_activities_are_of_r4_too() -> None:
    assert validate("Bundle", shipped_text("activities.json")) == []


# Of each dose the age at which it is due, whatever was given before it long ago.
AGES = [
    ("hepb", (), 0), ("hepb", ("hepb",), 1), ("hepb", ("hepb", "hepb"), 6), ("bcg", (), 0),
    ("polio", (), 2), ("polio", ("ipv",), 3), ("polio", ("ipv", "ipv"), 4),
    ("polio", ("ipv", "ipv", "bopv"), 48),
    ("dtap", (), 2), ("dtap", ("dtap",), 4), ("dtap", ("dtap",) * 2, 6),
    ("dtap", ("dtap",) * 3, 18), ("dtap", ("dtap",) * 4, 72),
    ("mmr", (), 8), ("mmr", ("mmr",), 18), ("je-live", (), 8), ("je-live", ("je-live",), 24),
    ("mpsv-a", (), 6), ("mpsv-a", ("mpsv-a",), 9), ("mpsv-ac", (), 36),
    ("mpsv-ac", ("mpsv-ac",), 72), ("hepa-live", (), 18), ("hpv", (), 156),
]  # fmt: skip
GIVEN_AT = {
    "hepb": (0, 1), "ipv": (2, 3), "bopv": (4,), "dtap": (2, 4, 6, 18), "mmr": (8,),
    "je-live": (8,), "mpsv-a": (6,), "mpsv-ac": (36,),
}  # fmt: skip


@pytest.mark.parametrize("born", BIRTHS)
@pytest.mark.parametrize(("series", "doses", "months"), AGES)
def test_each_dose_is_due_on_its_day(
    series: str, doses: tuple[str, ...], months: int, born: str
) -> None:
    events, seen = [], dict.fromkeys(doses, 0)
    for code in doses:
        on = after(day(born), Span(months=GIVEN_AT[code][seen[code]]))
        seen[code] += 1
        events.append(f"{code} {on}")
    due = after(day(born), Span(months=months))
    item = item_of(PLAN, series, facts(born, *events, sex="female"), (due - DAY).isoformat())
    assert item.due == due
    expected = ["planned", "due", "due"]
    assert statuses(series, due, born, *events, sex="female") == expected


@pytest.mark.parametrize(
    ("born", "due"),
    [("2025-08-31", "2026-02-28"), ("2023-08-31", "2024-02-29"), ("2024-02-29", "2024-08-29"),
     ("2025-08-30", "2026-02-28"), ("2025-08-28", "2026-02-28"), ("2025-12-31", "2026-06-30")],
)  # fmt: skip
def test_half_a_year_of_age_at_month_ends(born: str, due: str) -> None:
    assert item_of(PLAN, "mpsv-a", facts(born), born).due == day(due)


def test_who_is_born_on_a_leap_day_has_birthday_on_the_last_of_february() -> None:
    doses = ["ipv 2024-04-29", "ipv 2024-05-29", "bopv 2024-06-29"]
    assert statuses("polio", day("2028-02-29"), "2024-02-29", *doses) == ["planned", "due", "due"]
    assert item_of(PLAN, "hpv", facts("2024-02-29", sex="female"), "2030-01-01").due == day(
        "2037-02-28"
    )


# Series, doses before, the code of the next, its turn and the first day on which it counts.
DISTANCES = [
    ("hepb", ["hepb 2025-01-01"], "hepb", "hepb-2", "2025-01-29"),
    ("hepb", ["hepb 2025-01-01", "hepb 2025-08-01"], "hepb", "hepb-3", "2025-09-30"),
    ("dtap", ["dtap 2025-03-01"], "dtap", "dtap-2", "2025-03-29"),
    ("dtap", ["dtap 2025-03-01", "dtap 2025-05-01"], "dtap", "dtap-3", "2025-05-29"),
    ("dtap", ["dtap 2025-03-01", "dtap 2025-05-01", "dtap 2026-08-31"], "dtap", "dtap-4",
     "2027-02-28"),
    ("dtap", ["dtap 2025-03-01", "dtap 2025-05-01", "dtap 2026-08-31", "dtap 2031-02-28"], "dtap",
     "dtap-5", "2032-02-28"),
    ("mpsv-a", ["mpsv-a 2025-07-31"], "mpsv-a", "mpsv-a-2", "2025-10-31"),
    ("mpsv-a", ["mpsv-a 2025-11-30"], "mpsv-a", "mpsv-a-2", "2026-02-28"),
    ("mpsv-ac", ["mpsv-ac 2028-02-29"], "mpsv-ac", "mpsv-ac-2", "2031-02-28"),
    ("mmr", ["mmr 2026-08-01"], "mmr", "mmr-2", "2026-08-29"),
    ("je-inactivated", ["je-inactivated 2025-09-01"], "je-inactivated", "je-inactivated-2",
     "2025-09-08"),
    ("hpv", ["hpv 2038-08-31"], "hpv", "hpv-2", "2039-02-28"),
]  # fmt: skip


@pytest.mark.parametrize(("series", "before", "code", "turn", "first"), DISTANCES)
def test_a_dose_counts_from_its_least_distance_on(
    series: str, before: list[str], code: str, turn: str, first: str
) -> None:
    on = day(first)
    for offset, expected in ((-1, False), (0, True), (1, True)):
        someone = facts("2025-01-01", *before, f"{code} {on + offset * DAY}", sex="female")
        item = item_of(PLAN, series, someone, (on + DAY).isoformat())
        assert (item.turn != turn) is expected, offset


def test_ac_is_a_year_after_a() -> None:
    before = ["mpsv-a 2026-04-30", "mpsv-a 2026-12-31"]
    born = "2025-01-01"
    item = item_of(PLAN, "mpsv-ac", facts(born, *before), "2027-02-01")
    assert item.due == day("2028-01-01")
    late = facts("2025-01-01", "mpsv-a 2026-04-30", "mpsv-a 2026-12-31")
    assert item_of(PLAN, "mpsv-ac", late, "2028-06-01").status == "due"
    for on, turn in (("2028-01-01", "mpsv-ac-2"), ("2027-12-31", "mpsv-ac-1")):
        someone = facts(born, *before, f"mpsv-ac {on}")
        assert item_of(PLAN, "mpsv-ac", someone, "2028-02-01").turn == turn


def test_a_is_not_given_from_two_years_on_and_ac_follows_at_once() -> None:
    born = "2025-01-01"
    assert item_of(PLAN, "mpsv-a", facts(born), "2026-12-31").status == "escalated"
    assert item_of(PLAN, "mpsv-a", facts(born), "2027-01-01").status == "complete"
    assert item_of(PLAN, "mpsv-ac", facts(born), "2028-01-01").status == "due"


# ---- live vaccines, immunoglobulin ---------------------------------------------------------------


@pytest.mark.parametrize(("on", "counted"), [
    ("2026-07-01", True), ("2026-07-02", False), ("2026-07-28", False), ("2026-07-29", True),
    ("2026-07-30", True),
])  # fmt: skip
def test_injected_live_vaccines_are_given_on_one_day_or_28_days_apart(
    on: str, *, counted: bool
) -> None:
    someone = facts("2025-01-01", "mmr 2025-09-01", "mmr 2026-07-01", f"hepa-live {on}")
    status = item_of(PLAN, "hepa-live", someone, "2026-08-01").status
    assert (status == "complete") is counted


def test_oral_vaccine_is_not_kept_apart_from_live_ones() -> None:
    someone = facts("2025-01-01", "ipv 2025-03-01", "ipv 2025-04-01", "mmr 2025-09-01")
    assert item_of(PLAN, "polio", someone, "2025-09-02").status == "due"


@pytest.mark.parametrize(("on", "counted"), [
    ("2026-02-27", False), ("2026-02-28", True), ("2026-03-01", True), ("2025-11-30", False),
])  # fmt: skip
def test_injected_live_vaccines_wait_three_months_after_immunoglobulin(
    on: str, *, counted: bool
) -> None:
    someone = facts("2025-01-01", "immunoglobulin 2025-11-30", f"mmr {on}")
    item = item_of(PLAN, "mmr", someone, "2026-04-01")
    assert (item.turn == "mmr-2") is counted
    if not counted:
        assert [one.gives for one in item.reasons if one.rule == "too-early"] == [day("2026-02-28")]


def test_bcg_and_oral_vaccine_do_not_wait_for_immunoglobulin() -> None:
    someone = facts("2025-01-01", "immunoglobulin 2025-04-30", "ipv 2025-03-01", "ipv 2025-04-01")
    assert item_of(PLAN, "bcg", someone, "2025-05-01").status == "escalated"
    assert item_of(PLAN, "polio", someone, "2025-05-01").status == "due"


def test_what_was_given_today_hinders_tomorrow_and_not_today() -> None:
    someone = facts("2025-01-01", "mmr 2025-09-01")
    assert item_of(PLAN, "je-live", someone, "2025-09-01").status == "due"
    tomorrow = item_of(PLAN, "je-live", someone, "2025-09-02")
    assert (tomorrow.status, tomorrow.due) == ("planned", day("2025-09-29"))
    assert (tomorrow.because, tomorrow.because_on) == ("live-injected", day("2025-09-01"))


# ---- catch-up, alternatives ----------------------------------------------------------------------


def test_an_interrupted_course_goes_on_where_it_was() -> None:
    someone = facts("2020-01-01", "dtap 2020-03-01", "dtap 2020-05-01")
    item = item_of(PLAN, "dtap", someone, "2024-07-01")
    assert (item.turn, item.status) == ("dtap-3", "escalated")
    someone = facts("2020-01-01", "dtap 2020-03-01", "dtap 2020-05-01", "dtap 2024-07-01")
    item = item_of(PLAN, "dtap", someone, "2024-07-02")
    assert (item.turn, item.due, item.because) == ("dtap-4", day("2025-01-01"), "distance")


def test_a_dose_that_came_too_early_does_not_count_and_says_so() -> None:
    someone = facts("2025-01-01", "dtap 2025-03-01", "dtap 2025-03-28")
    item = item_of(PLAN, "dtap", someone, "2025-05-01")
    assert (item.turn, item.status) == ("dtap-2", "due")
    assert [(one.on, one.gives) for one in item.reasons if one.rule == "too-early"] == [
        (day("2025-03-28"), day("2025-03-29"))
    ]


@pytest.mark.parametrize(("first", "other"), [
    ("je-live", "je-inactivated"), ("je-inactivated", "je-live"),
    ("hepa-live", "hepa-inactivated"), ("hepa-inactivated", "hepa-live"),
])  # fmt: skip
def test_of_alternatives_the_one_that_was_begun_goes_on(first: str, other: str) -> None:
    someone = facts("2023-01-01", f"{first} 2024-08-01", f"{other} 2024-10-01")
    assert item_of(PLAN, other, someone, "2025-01-01").because == "alternative"
    assert item_of(PLAN, first, someone, "2025-01-01").status != "not-applicable"


def test_who_must_not_have_live_vaccine_is_offered_the_inactivated_one() -> None:
    someone = facts("2025-01-01", states=["immunodeficiency - -"])
    assert item_of(PLAN, "je-inactivated", someone, "2025-09-01").status == "due"
    assert item_of(PLAN, "mmr", someone, "2025-09-01").status == "excluded"


def test_inactivated_encephalitis_vaccine_is_due_on_the_seventh_day_overdue_after_the_tenth() -> (
    None
):
    someone = facts("2025-01-01", "je-inactivated 2025-09-01")
    found = [
        item_of(PLAN, "je-inactivated", someone, f"2025-09-{n:02}").status for n in (7, 8, 11, 12)
    ]
    assert found == ["planned", "due", "due", "overdue"]


# ---- who -----------------------------------------------------------------------------------------


def test_the_first_dose_is_overdue_a_day_earlier_where_the_mother_carries_the_virus() -> None:
    own, exposed = "hepb", "hepb-exposed"
    group = ["mother-hbsag-positive"]
    days = ("2025-01-01", "2025-01-02", "2025-01-03")
    found = [item_of(PLAN, own, facts("2025-01-01"), one).status for one in days]
    assert found == ["due", "due", "overdue"]
    someone = facts("2025-01-01", groups=group)
    assert [item_of(PLAN, exposed, someone, one).status for one in days] == [
        "due", "overdue", "overdue",
    ]  # fmt: skip
    assert item_of(PLAN, own, someone, days[0]).status == "not-applicable"


def test_who_weighed_less_than_two_kilograms_has_doses_at_one_two_and_seven_months() -> None:
    events, group = ["hepb 2025-01-31"], ["birth-weight-under-2000g"]
    for due in ("2025-02-28", "2025-03-31", "2025-08-31"):
        someone = facts("2025-01-31", *events, groups=group)
        before = item_of(PLAN, "hepb-low-weight", someone, (day(due) - DAY).isoformat())
        assert (before.status, before.due) == ("planned", day(due))
        assert item_of(PLAN, "hepb-low-weight", someone, due).status == "due"
        events.append(f"hepb {due}")
    someone = facts("2025-01-31", *events, groups=group)
    assert item_of(PLAN, "hepb-low-weight", someone, "2025-09-01").status == "complete"


def test_girls_have_their_first_papilloma_vaccine_from_13_and_before_14() -> None:
    born = "2024-02-29"
    for on, status in (("2037-02-27", "planned"), ("2037-02-28", "due"), ("2037-08-28", "due"),
                       ("2037-08-29", "overdue"), ("2038-02-27", "escalated"),
                       ("2038-02-28", "lapsed")):  # fmt: skip
        assert item_of(PLAN, "hpv", facts(born, sex="female"), on).status == status
    for on, turn in (("2038-02-27", "hpv-2"), ("2038-02-28", "hpv-1")):
        someone = facts(born, f"hpv {on}", sex="female")
        assert item_of(PLAN, "hpv", someone, "2038-03-01").turn == turn
    assert item_of(PLAN, "hpv", facts(born, sex="male"), "2037-03-01").status == "not-applicable"


def test_what_holds_until_a_day_postpones_to_the_day_after() -> None:
    someone = facts("2025-01-01", states=["acute-illness 2025-03-01 2025-03-10"])
    item = item_of(PLAN, "dtap", someone, "2025-03-05")
    assert (item.status, item.due) == ("postponed", day("2025-03-11"))
    assert item.because == "until:acute-illness"
    assert item_of(PLAN, "dtap", someone, "2025-03-10").status == "postponed"
    assert item_of(PLAN, "dtap", someone, "2025-03-11").status == "due"
    openly = facts("2025-01-01", states=["acute-illness 2025-03-01 -"])
    item = item_of(PLAN, "dtap", openly, "2025-03-05")
    assert (item.status, item.due, item.because) == ("postponed", None, "postpone:acute-illness")


def test_nobody_is_due_from_eighteen_on() -> None:
    assert item_of(PLAN, "mmr", facts("2008-02-29"), "2026-02-27").status == "escalated"
    assert item_of(PLAN, "mmr", facts("2008-02-29"), "2026-02-28").status == "lapsed"


def test_every_item_says_where_its_rule_is_from() -> None:
    item = item_of(PLAN, "dtap", facts("2025-01-01"), "2025-03-01")
    assert item.source == "National immunisation schedule, 2026 edition"
    assert item.definition.endswith("/vaccination|1")
    rules = {one.rule for one in item.reasons}
    assert {"due-age", "least-age"} <= rules


# ---- who stays late ------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "to"), [
    ("2025-12-31", ""), ("2026-01-01", ""), ("2026-01-07", ""), ("2026-01-08", "vaccination-point"),
    ("2026-03-31", "vaccination-point"), ("2026-04-01", "county-cdc"),
])  # fmt: skip
def test_the_point_is_told_after_a_week_and_the_centre_after_three_months(on: str, to: str) -> None:
    item = item_of(PLAN, "mmr", facts("2025-01-01"), on)
    assert (item.overdue, item.escalated_to) == (day("2026-01-01"), to)


def test_no_course_stays_late_untold() -> None:
    for series in PLAN.series:
        for turn in series.turns:
            told = [(one.after, one.to) for one in turn.urgency.escalations]
            assert told == [
                (Span(days=7), "vaccination-point"), (Span(months=3), "county-cdc"),
            ], turn.id  # fmt: skip


@pytest.mark.parametrize(
    ("doses", "said"),
    [((), "Too old for it beyond the age for it"), (("mpsv-a",) * 2, "Complete the course")],
)
def test_a_course_that_passed_ungiven_is_not_told_as_complete(
    doses: tuple[str, ...], said: str
) -> None:
    events = [f"{one} 2025-{month:02}-01" for one, month in zip(doses, (8, 12), strict=False)]
    item = item_of(PLAN, "mpsv-a", facts("2025-01-01", *events), "2028-06-01")
    assert item.status == "complete"
    told = line(item, "en")
    assert f"{told.said} {told.why}".startswith(said)
