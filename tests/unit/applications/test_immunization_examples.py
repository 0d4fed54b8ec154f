"""Every number of the national schedule as the application uses it, from its examples: the day
before, on the day, the day after.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, date
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from planning import facts
from schedules import DAY, is_dated, known

from quanmin.fhir.json import decode
from quanmin.fhir.validation import validate
from quanmin.workflow.forms import compile_form
from quanmin.workflow.plans import Facts, compile_facts, facts_of
from quanmin.workflow.stock import PRODUCT_SYSTEM, products
from quanmin.workflow.vaccination import against, given, moment_of, schedule, turn_of, word

FOLDER = files("quanmin").joinpath("applications", "immunization")
EXAMPLES = tomllib.loads(FOLDER.joinpath("examples", "schedule.toml").read_text("utf-8"))
DOSES, LATE = EXAMPLES["dose"], EXAMPLES["late"]


@pytest.mark.parametrize("example", DOSES, ids=lambda one: one["title"])
def test_a_dose_is_taken_from_its_first_day_to_its_last(example: dict[str, Any]) -> None:
    someone, product = known(example), example["product"]

    def taken(on: date) -> bool:
        said = against(someone, product, on)
        turn = turn_of(someone, product, on)
        assert (turn is None) is bool(said)
        return turn is not None and example.get("turn", f"{turn[0]}-{turn[1]}") == (
            f"{turn[0]}-{turn[1]}"
        )

    if "first" in example:
        first: date = example["first"]
        before = first != someone.born and taken(first - DAY)
        assert (before, taken(first), taken(first + DAY)) == (False, True, True)
    if "last" in example:
        last: date = example["last"]
        assert (taken(last), taken(last + DAY)) == (True, False)
    if "reason" in example:
        said = against(someone, product, example["on"])
        assert [one.partition(":")[0] for one in said] == [example["reason"]]
        assert not word("reason", said[0], "zh").startswith(example["reason"])


@pytest.mark.parametrize("example", LATE, ids=lambda one: one["title"])
def test_a_dose_is_due_on_its_day_and_late_on_its_day(example: dict[str, Any]) -> None:
    assert is_dated(schedule(), example)


def test_what_stands_against_a_dose_says_the_first_day() -> None:
    someone = facts("2025-01-01", "dtap 2025-03-01")
    assert against(someone, "DTaP", date(2025, 3, 28)) == ("too-early:2025-03-29",)
    assert word("reason", "too-early:2025-03-29", "en") == "too early; the first day is 2025-03-29"


def test_one_dose_is_not_recorded_twice() -> None:
    someone = facts("2025-01-01", "hepb 2025-01-01")
    assert "told-already" in against(someone, "HepB", date(2025, 1, 1))


def numbered(someone: Facts, *doses: str) -> list[tuple[str, str]]:
    """What doses, each a product, a moment and perhaps a lot, are told as: number, and why none."""
    recorded = [
        {
            "vaccineCode": {"coding": [{"system": PRODUCT_SYSTEM, "code": product}]},
            "occurrenceDateTime": at,
            "lotNumber": "".join(lot),
        }
        for product, at, *lot in map(str.split, doses)
    ]
    told = given(someone, recorded, date(2026, 9, 1), UTC, language="en")
    return [(one.counted, one.why) for one in told]


def test_a_dose_of_which_two_institutions_tell_has_one_number() -> None:
    someone = facts("2025-01-01", "hepb 2025-01-01", "hepb 2025-02-01", "hepb 2025-02-01")
    doses = ("HepB 2025-02-01", "HepB 2025-01-01T08:00:00Z", "HepB 2025-02-01T09:00:00Z L1")
    again = ("", "this vaccine is recorded on that day already")
    assert numbered(someone, *doses) == [("1", ""), ("2", ""), again]


def test_a_dose_that_is_in_no_course_of_the_person_says_why() -> None:
    boy = facts("2012-01-01", "hpv 2026-01-01", sex="male")
    assert numbered(boy, "HPV2 2026-01-01") == [("", "not meant for this person")]
    begun = facts("2025-01-01", "je-live 2025-09-01", "je-inactivated 2025-10-01")
    other = ("", "the course was begun with the other vaccine")
    assert numbered(begun, "JE-L 2025-09-01", "JE-I 2025-10-01") == [("1", ""), other]


def test_a_dose_that_was_given_though_something_stood_against_it_counts() -> None:
    held = ("acute-illness 2025-08-31 2025-09-02",)
    ill = facts("2025-01-01", "mmr 2025-09-01", states=held)
    assert numbered(ill, "MMR 2025-09-01") == [("1", "")]


def test_the_inactivated_vaccine_may_begin_the_course_though_the_live_one_is_offered_first() -> (
    None
):
    someone = facts("2025-01-01")
    assert turn_of(someone, "JE-I", date(2025, 9, 1)) == ("je-inactivated", 1)


def test_facts_call_products_as_the_schedule_does() -> None:
    text = FOLDER.joinpath("definitions", "facts.toml").read_text("utf-8")
    assert tomllib.loads(text)["event"][0]["codes"] == {
        code: one.plan for code, one in products().items()
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-09-10", "2026-09-10T00:00+08:00"), ("2026-09-09T20:00:00Z", "2026-09-10T04:00+08:00"),
     ("2026-09", None), ("0001-01-01T00:00:00+14:00", None)],
)  # fmt: skip
def test_the_moment_of_a_dose_is_of_the_nodes_clock(text: str, expected: str | None) -> None:
    found = moment_of({"occurrenceDateTime": text}, ZoneInfo("Asia/Shanghai"))
    assert (found and found.isoformat(timespec="minutes")) == expected


@pytest.mark.parametrize(
    ("status", "is_light"),
    [("final", True), ("amended", True), ("corrected", True), ("entered-in-error", False)],
)
def test_a_weight_at_birth_counts_unless_it_was_taken_back(status: str, *, is_light: bool) -> None:
    text = FOLDER.joinpath("definitions", "facts.toml").read_text("utf-8")
    weight = {
        "resourceType": "Observation",
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "8339-4"}]},
        "valueQuantity": {"value": 1999, "code": "g"},
    }
    found = facts_of(compile_facts(tomllib.loads(text)), {"birthDate": "2025-01-01"}, [weight], UTC)
    assert found is not None
    assert ("birth-weight-under-2000g" in found.facts.groups) is is_light


@pytest.mark.parametrize("name", [
    "immunization/definitions/vaccination-dose.json",
    "vaccination_findings/definitions/vaccination-finding.json",
])  # fmt: skip
def test_forms_are_questionnaires_of_r4(name: str) -> None:
    body = files("quanmin").joinpath("applications", name).read_bytes()
    assert validate("Questionnaire", body) == []
    assert compile_form(decode(body)).by_link
