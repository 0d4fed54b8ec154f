"""What holds for every seed: numbers are valid, parts can be made alone, records are FHIR."""

from __future__ import annotations

from datetime import date

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from quanmin.demo.dice import Dice, Weighted
from quanmin.demo.households import make_household
from quanmin.demo.numbering import (
    birth_day,
    credit_check,
    credit_code,
    identity_check,
    identity_number,
    phone_number,
)
from quanmin.demo.province import Province
from quanmin.demo.sheet import DemoBundle
from quanmin.fhir.json import rewrite_references
from quanmin.fhir.validation import validate

SEEDS = st.integers(0, 10**9 - 1)
DIGITS = "0123456789X"


class _Request(msgspec.Struct):
    url: str


class _Entry(msgspec.Struct):
    resource: msgspec.Raw
    request: _Request


class _Bundle(msgspec.Struct):
    entry: list[_Entry]


def issues_of(bundle: DemoBundle) -> list[str]:
    """All faults of a bundle's resources, as the store would find them."""
    found = []
    for entry in msgspec.json.decode(bundle.body, type=_Bundle).entry:
        type_ = entry.request.url.partition("/")[0]
        raw = bytes(entry.resource)
        # The store validates after it has resolved conditional references to real ids.
        named = {
            reference: f"{reference.partition('?')[0]}/some-id" for reference in conditional(raw)
        }
        found += [issue.text for issue in validate(type_, rewrite_references(raw, named))]
    return found


def conditional(raw: bytes) -> set[str]:
    """The conditional references of a resource."""
    found = set()
    for part in raw.decode().split('"reference":"')[1:]:
        reference = part.partition('"')[0]
        if "?" in reference:
            found.add(reference)
    return found


@given(SEEDS, st.integers(0, 35_000))
@settings(max_examples=25, deadline=None)
def test_every_record_of_any_household_is_valid(seed: int, number: int) -> None:
    for bundle in Province(seed, 10).household_bundles(number):
        assert issues_of(bundle) == []


def test_every_record_about_institutions_is_valid() -> None:
    bundles = list(Province(9, 60).institutions())
    assert len(bundles) > 20
    assert [issue for bundle in bundles for issue in issues_of(bundle)] == []


@given(SEEDS, st.integers(0, 35_000))
@settings(max_examples=50, deadline=None)
def test_a_household_made_alone_is_the_one_made_among_others(seed: int, number: int) -> None:
    alone = make_household(seed, number)
    make_household(seed, number + 1)
    assert make_household(seed, number) == alone


@given(SEEDS, st.integers(1, 150), st.integers(1, 150))
@settings(max_examples=15, deadline=None)
def test_a_larger_province_holds_the_smaller_one_unchanged(seed: int, one: int, two: int) -> None:
    small, large = (Province(seed, people) for people in sorted((one, two)))
    assert small.household_count <= large.household_count
    last = small.household_count - 1
    assert small.household_bundles(last) == large.household_bundles(last)
    keys = {bundle.key for bundle in large.institutions()}
    assert {bundle.key for bundle in small.institutions()} <= keys


@given(st.dates(date(1920, 1, 1), date(2026, 10, 31)), st.integers(0, 10**6), st.booleans())
def test_one_wrong_character_is_noticed_by_the_check_digit(
    born: date,
    order: int,
    male: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    number = identity_number("580102", born, order, male=male)
    assert identity_check(number[:17]) == number[17]
    for position in range(17):
        wrong = str((int(number[position]) + 1) % 10)
        changed = number[:position] + wrong + number[position + 1 : 17]
        assert identity_check(changed) != number[17]


@given(st.integers(0, 99_999_999))
def test_credit_codes_agree_with_their_check_character(number: int) -> None:
    code = credit_code("580102", number)
    assert credit_check(code[:17]) == code[17]


@given(st.integers(0, 99_999_998), st.integers(0, 99_999_998))
def test_different_phones_for_different_serials(one: int, two: int) -> None:
    assert (phone_number(one) == phone_number(two)) == (one == two)


@given(st.integers(1900, 2026), st.integers(0, 181_000), st.integers(1, 181_000))
def test_no_two_serials_share_a_day_and_an_order(year: int, serial: int, apart: int) -> None:
    if apart < 181_000:
        assert birth_day(year, serial) != birth_day(year, serial + apart)


@given(SEEDS)
def test_draws_stay_within_their_bounds(seed: int) -> None:
    dice = Dice(seed, "bounds")
    assert 3 <= dice.between(3, 5) <= 5
    assert 0 <= dice.below(4) < 4
    assert abs(dice.near(10, 1) - 10) < 4.3
    assert dice.count(2.5) in {1, 2, 3, 4}
    assert dice.draw(Weighted([("a", 1.0), ("b", 0.0)])) == "a"
