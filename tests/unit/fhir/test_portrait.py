"""Personal health identifiers, at the edges of their definitions."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from quanmin.applications.health_record.pages import definitions
from quanmin.fhir.portrait import Fact, Found, Whose, age_on, derive

TODAY = date(2026, 11, 22)
ICD, LOINC = "http://hl7.org/fhir/sid/icd-10-cn", "http://loinc.org"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def diagnosis(code: str, on: date | None, *, system: str = ICD, **more: str) -> Fact:
    systems = {"clinicalStatus": CLINICAL, "verificationStatus": VERIFIED}
    stated = {name: concept(systems[name], value) for name, value in more.items()}
    return Fact("Condition", f"c{code}{on}", {"code": concept(system, code), **stated}, on)


def measured(code: str, value: Any, unit: str, on: date | None, status: str = "final") -> Fact:
    quantity = {"value": value, "unit": unit}
    body = {"code": concept(LOINC, code), "valueQuantity": quantity, "status": status}
    return Fact("Observation", f"o{code}{on}{value}", body, on)


def typed(code: str, on: date, **value: Any) -> Fact:
    body = {"code": concept(LOINC, code), "status": "final", **value}
    return Fact("Observation", f"o{code}{on}", body, on)


def found(*facts: Fact, birth: str = "1980-05-03", sex: str = "female") -> dict[str, Found]:
    derived = derive(definitions(), Whose(birth, sex), facts, TODAY)
    assert len({(one.group, one.code) for one in derived}) == len(derived)
    return {one.code: one for one in derived}


@pytest.mark.parametrize(
    ("birth", "on", "years"),
    [
        ("1961-11-22", TODAY, (65, 65)),
        ("1961-11-23", TODAY, (64, 64)),
        ("1961-11-21", TODAY, (65, 65)),
        ("1961", TODAY, (64, 65)),
        ("1961-11", TODAY, (64, 65)),
        ("1961-12", TODAY, (64, 64)),
        ("1961-10", TODAY, (65, 65)),
        ("1960-02-29", date(2025, 2, 28), (64, 64)),
        ("1960-02-29", date(2025, 3, 1), (65, 65)),
        ("2027-01-01", TODAY, None),
        ("", TODAY, None),
        ("unknown", TODAY, None),
    ],
)
def test_an_age_is_what_the_birth_date_leaves_open(
    birth: str, on: date, years: tuple[int, int] | None
) -> None:
    assert age_on(birth, on) == years


@pytest.mark.parametrize(
    ("birth", "codes"),
    [
        ("1961-11-22", {"elder"}),
        ("1961-11-23", set()),
        ("1961", set()),
        ("2019-11-23", {"child"}),
        ("2019-11-22", set()),
        ("2019", set()),
        ("2026-11-22", {"child"}),
        ("", set()),
    ],
)
def test_who_is_old_or_a_child_is_told_by_the_day(birth: str, codes: set[str]) -> None:
    assert found(birth=birth).keys() == codes


def test_the_newest_statement_of_a_lasting_disease_decides() -> None:
    old, new = date(2020, 1, 1), date(2024, 1, 1)
    active = diagnosis("I10.x00", old, clinicalStatus="active")
    ended = diagnosis("I10.x00", new, clinicalStatus="resolved")
    assert found(active)["hypertension"].decision.reasons == ("newest-statement",)
    assert "hypertension" not in found(active, ended)
    again = diagnosis("I11.900", date(2025, 1, 1))
    told = found(active, ended, again)["hypertension"]
    assert [row.on for row in told.rows] == [date(2025, 1, 1), new, old]
    same_day = diagnosis("I15.000", new)
    assert "hypertension" in found(ended, same_day), "of one day, that it lasts is believed"


@pytest.mark.parametrize("status", ["refuted", "entered-in-error", "provisional", "differential"])
def test_what_is_not_stated_for_sure_is_no_identifier(status: str) -> None:
    assert found(diagnosis("I10", TODAY, verificationStatus=status)) == {}


def test_only_codes_of_diagnoses_count_and_only_from_their_beginning() -> None:
    assert found(diagnosis("I10", TODAY, system="urn:local")) == {}
    assert found(diagnosis("XI10", TODAY)) == {}
    assert "hypertension" in found(diagnosis("i10", TODAY))
    assert found(diagnosis("I10", TODAY + timedelta(days=1))) == {}, "tomorrow is not yet"
    assert "hypertension" in found(diagnosis("I10", None))


@pytest.mark.parametrize(("days", "is_told"), [(0, True), (364, True), (365, True), (366, False)])
def test_an_acute_infectious_disease_counts_for_a_year_though_it_is_over(
    days: int, *, is_told: bool
) -> None:
    case = diagnosis("B05.900", TODAY - timedelta(days=days), clinicalStatus="resolved")
    assert ("measles" in found(case)) is is_told
    assert found(diagnosis("B05.900", None)) == {}, "without a day nothing says that it is recent"


@pytest.mark.parametrize(("days", "is_told"), [(293, True), (294, True), (295, False)])
def test_a_pregnancy_lasts_42_weeks_at_most_and_until_its_delivery(
    days: int, *, is_told: bool
) -> None:
    begun = diagnosis("Z34.900", TODAY - timedelta(days=days))
    assert ("pregnant" in found(begun)) is is_told
    assert "pregnant" not in found(begun, sex="male")
    delivered = diagnosis("O80.900", TODAY - timedelta(days=42), clinicalStatus="resolved")
    assert found(begun, delivered).keys() == {"after_delivery"}
    earlier = diagnosis("O80.900", TODAY - timedelta(days=43), clinicalStatus="resolved")
    assert found(begun, earlier).keys() == set()
    before = diagnosis("O80.900", TODAY - timedelta(days=400))
    assert ("pregnant" in found(begun, before)) is is_told, "an earlier child ends no pregnancy"


@pytest.mark.parametrize(
    ("index", "words"),
    [("18.4", "Underweight"), ("18.5", "Normal weight"), ("23.9", "Normal weight"),
     ("24.0", "Overweight"), ("27.9", "Overweight"), ("28.0", "Obesity"),
     ("27.94", "Overweight"), ("27.95", "Obesity")],
)  # fmt: skip
def test_the_weight_is_classed_by_the_index_that_is_shown(index: str, words: str) -> None:
    told = found(measured("39156-5", Decimal(index), "kg/m2", TODAY))["bmi"]
    assert (told.en, told.decision.reasons) == (words, ("reported",))


def test_the_index_is_computed_of_the_newest_weight_and_the_height_of_an_adult() -> None:
    weight, height = measured("29463-7", 81, "kg", TODAY), measured("8302-2", 170, "cm", TODAY)
    told = found(weight, height)["bmi"]
    assert (told.detail, told.decision.reasons) == ("BMI 28.0", ("computed",))
    assert told.rows == (weight, height)
    older = measured("39156-5", 20, "kg/m2", TODAY - timedelta(days=1))
    assert found(weight, height, older)["bmi"].detail == "BMI 28.0"
    grams, metres = (
        measured("29463-7", 81000, "g", TODAY),
        measured("8302-2", Decimal("1.7"), "m", TODAY),
    )
    assert found(grams, metres)["bmi"].detail == "BMI 28.0"
    assert found(weight).keys() == {"weight"}
    assert found(weight, measured("8302-2", 0, "cm", TODAY)).keys() == {"weight"}
    child = {"birth": "2008-11-23"}
    assert found(weight, height, **child).keys() == {"weight"}, "17 on this day"
    assert found(weight, height, birth="2008-11-22").keys() == {"bmi"}
    old = measured("29463-7", 81, "kg", TODAY - timedelta(days=731))
    assert found(old, height) == {}
    wrong = measured("29463-7", 181, "kg", TODAY, status="entered-in-error")
    assert found(weight, wrong, height)["bmi"].detail == "BMI 28.0"
    assert found(measured("29463-7", 81, "[lb_av]", TODAY), height) == {}


def test_a_blood_type_is_read_by_its_parts_and_never_chosen_among_contradictions() -> None:
    day = date(2020, 1, 1)
    group = typed("883-9", day, valueCodeableConcept=concept(LOINC, "LA19710-5"))
    rhesus = typed("10331-7", day, valueCodeableConcept={"text": "Rh阳性"})
    assert found(group, rhesus)["type"].en == "A, Rh positive"
    assert found(rhesus)["type"].zh == "Rh阳性"
    other = typed("882-1", TODAY, valueString="B型")
    told = found(group, rhesus, other)
    assert told.keys() == {"contradictory"}
    assert len(told["contradictory"].rows) == 3
    digit = typed("883-9", day, valueCodeableConcept=concept("urn:local", "1"))
    assert found(digit) == {}, "a bare digit says nothing"


def test_every_entry_of_the_definitions_can_be_met_and_says_where_it_is_from() -> None:
    by = definitions()
    assert {one.group for one in by.identifier} | {"weight", "blood"} == {g.code for g in by.group}
    assert sum(one.group == "infectious" for one in by.identifier) == 42
    for one in by.identifier:
        assert one.source
        assert one.zh
        if one.conditions:
            told = found(diagnosis(one.conditions[0], TODAY))
            assert one.code in told, one.code
