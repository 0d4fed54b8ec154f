"""Households and histories hang together."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from quanmin.demo.history import history
from quanmin.demo.households import (
    FIRST_DAY,
    LAST_DAY,
    SLOTS,
    Household,
    make_household,
    place_of,
    size_of,
)
from quanmin.demo.numbering import IDENTITIES, identity_check
from quanmin.demo.province import PEOPLE_MAX, Province
from quanmin.demo.tables import PLACES
from quanmin.demo.visits import Visit

HOUSEHOLDS = [make_household(3, number) for number in range(1200)]
HUMANS = [human for household in HOUSEHOLDS for human in household.humans]


def visits_of(households: list[Household]) -> list[tuple[Household, Visit, date, date | None]]:
    return [
        (household, visit, human.born, human.died)
        for household in households
        for human in household.humans
        for visit in history(3, household, human)
    ]


VISITS = visits_of(HOUSEHOLDS[:250])


def test_where_and_how_large_a_household_is_can_be_told_without_making_it() -> None:
    for household in HOUSEHOLDS[:300]:
        assert place_of(3, household.number) == household.township
        assert size_of(3, household.number) == len(household.humans)
        assert len(household.humans) <= SLOTS


def test_identity_numbers_are_valid_and_no_two_people_share_one() -> None:
    numbers = [human.identity for human in HUMANS]
    assert len(set(numbers)) == len(numbers)
    for human in HUMANS:
        assert identity_check(human.identity[:17]) == human.identity[17]
        assert human.identity[6:14] == f"{human.born:%Y%m%d}"
        assert int(human.identity[16]) % 2 == human.male


def test_the_largest_province_still_has_an_identity_number_for_each() -> None:
    assert Province(1, PEOPLE_MAX).household_count * SLOTS <= IDENTITIES


def test_mothers_are_grown_up_and_children_bear_the_fathers_name() -> None:
    children = [
        (child, household.humans[child.mother], household)
        for household in HOUSEHOLDS
        for child in household.humans
        if child.mother is not None
    ]
    assert len(children) > 500
    for child, mother, household in children:
        assert 16 <= mother.age(child.born) <= 46
        assert not mother.male
        if mother.slot == 1 and child.ethnic_group == "01":
            assert child.name.family == household.humans[0].name.family


def test_twins_are_born_together_and_differ_in_number_and_name() -> None:
    pairs = [[human for human in household.humans if human.twin] for household in HOUSEHOLDS]
    pairs = [pair for pair in pairs if pair]
    assert pairs
    for first, second in pairs:
        assert first.born == second.born
        assert first.identity != second.identity
        assert first.name.text != second.name.text


def test_phones_are_shared_in_families_but_not_between_them() -> None:
    holders: dict[str, set[int]] = {}
    for household in HOUSEHOLDS:
        for human in household.humans:
            holders.setdefault(human.phone, set()).add(household.number)
    assert all(len(numbers) == 1 for numbers in holders.values())
    assert len(holders) < len(HUMANS)


def test_the_old_are_many_and_ill_more_often() -> None:
    old = [human for human in HUMANS if human.age(LAST_DAY) >= 65]
    young = [human for human in HUMANS if 18 <= human.age(LAST_DAY) < 45]
    assert 0.08 < len(old) / len(HUMANS) < 0.25
    with_pressure = sum(human.hypertension is not None for human in old) / len(old)
    assert with_pressure > 0.35
    assert sum(human.hypertension is not None for human in young) / len(young) < 0.1


def test_a_tenth_of_the_people_live_in_the_focus_county() -> None:
    there = sum(
        len(household.humans)
        for household in HOUSEHOLDS
        if household.township.county.code == PLACES.focus_county
    )
    assert there / len(HUMANS) == pytest.approx(PLACES.focus_share, abs=0.04)


def test_nobody_is_treated_before_birth_after_death_or_outside_the_ten_years() -> None:
    for _, visit, born, died in VISITS:
        assert max(born, FIRST_DAY) <= visit.day <= LAST_DAY
        assert died is None or visit.day < died or visit.day == born
        assert 0 <= visit.minute < 24 * 60
        assert visit.days < 40


def test_every_kind_of_visit_happens() -> None:
    kinds = Counter(visit.kind for _, visit, _, _ in VISITS)
    assert kinds.keys() == {
        "outpatient",
        "inpatient",
        "check_up",
        "follow_up",
        "delivery",
        "immunization",
    }


def test_follow_ups_are_classified_by_what_was_measured() -> None:
    seen = Counter(visit.outcome for _, visit, _, _ in VISITS if visit.kind == "follow_up")
    assert seen["satisfied"] > seen["unsatisfied"] > 0
    for _, visit, _, _ in VISITS:
        pressure = {finding.key: float(finding.text) for finding in visit.vitals}
        if visit.kind == "follow_up" and "systolic" in pressure:
            low_enough = pressure["systolic"] < 140 and pressure["diastolic"] < 90
            assert (visit.outcome == "satisfied") == low_enough


def test_doses_follow_the_national_schedule() -> None:
    given = [
        (visit.vaccine[0].months[visit.vaccine[1] - 1], (visit.day - born).days)
        for _, visit, born, _ in VISITS
        if visit.vaccine is not None
    ]
    assert given
    for months, days in given:
        assert 0 <= days - round(months * 30.44) <= 45


def test_births_are_in_the_books_of_mother_and_child() -> None:
    deliveries = {(h.number, v.day) for h, v, _, _ in VISITS if v.kind == "delivery"}
    newborns = {(h.number, v.day) for h, v, _, _ in VISITS if v.is_newborn}
    assert newborns
    assert newborns == deliveries


def test_histories_are_in_order_of_time() -> None:
    household = HOUSEHOLDS[0]
    days = [visit.day for visit in history(3, household, household.humans[0])]
    assert days == sorted(days)
    assert timedelta(days=3650) < LAST_DAY - FIRST_DAY
