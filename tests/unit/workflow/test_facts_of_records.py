"""Facts come out of records by a table, and what cannot be read is named; items become Tasks."""

from __future__ import annotations

import tomllib
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from planning import day, facts, item_of, shipped

from quanmin.base.problems import Invalid
from quanmin.fhir.json import encode
from quanmin.fhir.validation import validate
from quanmin.workflow.chronic import high_days
from quanmin.workflow.plans import Event, Found, State, compile_facts, due_items, facts_of, task_of
from quanmin.workflow.plans.lines import died
from quanmin.workflow.plans.mapping import first_day
from quanmin.workflow.vaccination import given

TABLE = """
[definition]
source = "the test"
owner = "the test"
version = "1"
effective = 2026-01-01

[[event]]
resource = "Immunization"
where = "status = 'completed'"
code = "vaccineCode.coding.where(system = 'urn:vaccines').code"
on = "occurrence.ofType(dateTime)"
codes = { "17" = "dtap", "18" = "mmr" }

[[event]]
resource = "Observation"
where = "status = 'final' and code.coding.where(code = '85354-9').exists()"
code = "'hypertension-visit'"
on = "effective.ofType(dateTime)"
detail = '''iif(component.where(code.coding.code = '8480-6').value.ofType(Quantity).value >= 180
  or component.where(code.coding.code = '8462-4').value.ofType(Quantity).value >= 110, 'crisis',
  'satisfied')'''

[[state]]
resource = "Condition"
where = "verificationStatus.coding.where(code = 'entered-in-error').empty()"
code = "code.coding.where(code = 'I10').select('hypertension')"
since = "onset.ofType(dateTime)"
until = "abatement.ofType(dateTime)"

[[group]]
resource = "Observation"
where = "code.coding.where(code = '8339-4').exists() and value.ofType(Quantity).value < 2000"
code = "'birth-weight-under-2000g'"
"""
ZONE = ZoneInfo("Asia/Shanghai")
CHILD = {"resourceType": "Patient", "id": "p", "birthDate": "2025-01-01", "gender": "female"}


def read(*resources: dict[str, Any], **patient: Any) -> Found:
    found = facts_of(compile_facts(tomllib.loads(TABLE)), {**CHILD, **patient}, resources, ZONE)
    assert found is not None
    return found


def dose(on: str, code: str = "17", status: str = "completed") -> dict[str, Any]:
    coding = [{"system": "urn:vaccines", "code": code}]
    return {"resourceType": "Immunization", "id": "i", "status": status,
            "vaccineCode": {"coding": coding}, "occurrenceDateTime": on}  # fmt: skip


def pressure(systolic: int, diastolic: int) -> dict[str, Any]:
    parts = [
        {"code": {"coding": [{"code": code}]}, "valueQuantity": {"value": value}}
        for code, value in (("8480-6", systolic), ("8462-4", diastolic))
    ]
    return {"resourceType": "Observation", "status": "final", "component": parts,
            "code": {"coding": [{"code": "85354-9"}]},
            "effectiveDateTime": "2026-01-05T09:00:00+08:00"}  # fmt: skip


def test_a_dose_is_an_event_of_its_day_where_it_was_given() -> None:
    found = read(dose("2025-03-01"), dose("2025-06-30T17:30:00Z", "18"))
    assert found.facts.events == (Event(day("2025-03-01"), "dtap"), Event(day("2025-07-01"), "mmr"))
    assert (found.facts.born, found.facts.sex) == (day("2025-01-01"), "female")
    assert not found.unread


def test_what_is_not_asked_for_is_no_fact() -> None:
    found = read(dose("2025-03-01", status="entered-in-error"), dose("2025-03-01", "99"), CHILD)
    assert found.facts.events == ()
    assert not found.unread


@pytest.mark.parametrize("on", ["2025-03", "2025", ""])
def test_an_event_without_its_day_is_named(on: str) -> None:
    found = read(dose(on))
    assert (found.facts.events, found.unread) == (
        (), (("Immunization/i", "an event is of a day, and this tells none"),)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("systolic", "diastolic", "result"),
    [(179, 109, "satisfied"), (180, 109, "crisis"), (179, 110, "crisis"), (181, 111, "crisis")],
)
def test_a_result_is_what_a_path_says(systolic: int, diastolic: int, result: str) -> None:
    (event,) = read(pressure(systolic, diastolic)).facts.events
    assert event == Event(day("2026-01-05"), "hypertension-visit", result)


def test_a_state_holds_from_the_first_to_the_last_day_of_what_is_said() -> None:
    whole = {"resourceType": "Condition", "id": "c", "code": {"coding": [{"code": "I10"}]}}
    cases: tuple[tuple[dict[str, str], str | None, str | None], ...] = (
        ({}, None, None),
        ({"onsetDateTime": "2025-02", "abatementDateTime": "2026-02"}, "2025-02-01", "2026-02-28"),
        ({"onsetDateTime": "2025-02-03", "abatementDateTime": "2026"}, "2025-02-03", "2026-12-31"),
    )
    for more, since, until in cases:
        days = [None if one is None else day(one) for one in (since, until)]
        assert read({**whole, **more}).facts.states == (State("hypertension", *days),)


FIRST, LAST = "0001-01-01", "9999-12-31"
PRESSURE = {"code": {"coding": [{"code": "8480-6"}]}, "valueQuantity": {"value": 150}}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (FIRST, FIRST),
        (f"{FIRST}T00:00:00+14:00", FIRST),
        (LAST, LAST),
        (f"{LAST}T23:59:59.999-12:00", LAST),
    ],
)
def test_the_first_and_the_last_day_of_fhir_are_days_in_every_zone(text: str, first: str) -> None:
    assert first_day(text, ZONE) == day(first)
    assert died({"deceasedDateTime": text}, ZONE) == day(first)
    dose = {"resourceType": "Immunization", "status": "completed", "occurrenceDateTime": text,
            "vaccineCode": {"coding": [{"system": "urn:vaccines", "code": "17"}]}}  # fmt: skip
    (event,) = read(dose).facts.events
    assert event.on == day(first)
    born = {"resourceType": "Patient", "birthDate": text[:10]}
    found = facts_of(compile_facts(tomllib.loads(TABLE)), born, [dose], ZONE)
    assert found is not None
    for name in ("immunization-2026", "hypertension-2017"):
        assert due_items(shipped(name), found.facts, day("2026-11-23"))
    (told,) = given(found.facts, [dose], day("2026-11-23"), ZONE, language="en")
    assert told.on == first
    pressure = {"status": "final", "effectiveDateTime": text, **PRESSURE}
    assert high_days([pressure], ZONE) == 1


@pytest.mark.parametrize(("grams", "is_light"), [(1999, True), (2000, False), (2001, False)])
def test_a_group_is_of_who_is_below_a_weight(grams: int, *, is_light: bool) -> None:
    weight = {"resourceType": "Observation", "code": {"coding": [{"code": "8339-4"}]},
              "valueQuantity": {"value": grams}}  # fmt: skip
    assert ("birth-weight-under-2000g" in read(weight).facts.groups) is is_light


@pytest.mark.parametrize("birth", ["", "2025", "2025-01"])
def test_without_a_day_of_birth_no_plan_applies(birth: str) -> None:
    table = compile_facts(tomllib.loads(TABLE))
    assert facts_of(table, {**CHILD, "birthDate": birth}, [], ZONE) is None


def test_all_faults_of_a_table_are_told_at_once() -> None:
    table = {
        "event": [{"resource": "Immunization", "code": "vaccineCod", "when": "x"}],
        "state": [{"resource": "Condition", "code": "code."}],
        "fact": [],
    }
    with pytest.raises(Invalid) as caught:
        compile_facts(table)
    assert [issue.expression for issue in caught.value.issues] == [
        "fact", "event[0].on", "event[0].when", "event[0].code", "state[0].code",
    ]  # fmt: skip
    with pytest.raises(Invalid, match="cannot be used"):
        compile_facts({})


def test_a_due_item_is_a_task_of_r4() -> None:
    plan = shipped("immunization-2026")
    someone = facts("2025-01-01")
    task = task_of(plan, item_of(plan, "dtap", someone, "2025-03-01"), "Patient/p")
    assert validate("Task", encode(task)) == []
    assert task["restriction"] == {"period": {"start": "2025-03-01", "end": "2025-04-30"}}
    assert task["instantiatesCanonical"].endswith("ActivityDefinition/vaccination|1")
    later = task_of(plan, item_of(plan, "dtap", someone, "2025-06-01"), "Patient/p")
    assert later["identifier"] == task["identifier"]
    assert (task["priority"], later["priority"]) == ("routine", "urgent")
    settled = due_items(plan, facts("1990-01-01"), day("2026-01-01"))[0]
    with pytest.raises(ValueError, match="not dated"):
        task_of(plan, settled, "Patient/p")
