"""Every number of the follow-up of hypertension and diabetes as the applications use it: beside the
number, on it, beyond it; and what follows from one visit and from two.
"""

from __future__ import annotations

import tomllib
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from planning import day, facts, item_of, shipped
from questionnaires import around

from quanmin.applications.chronic_followup.rules import may_enrol
from quanmin.fhir.json import Json, decode, encode
from quanmin.fhir.validation import validate
from quanmin.web.application import discover
from quanmin.workflow import chronic, chronic_rates
from quanmin.workflow.chronic import DISEASES, Disease, Measured, Seen
from quanmin.workflow.forms import answers, compile_form, extract, fill
from quanmin.workflow.forms.checking import faults
from quanmin.workflow.forms.filling import Filling
from quanmin.workflow.plans import facts_of

FOLDER = files("quanmin").joinpath("applications", "chronic_followup")
EXAMPLES = tomllib.loads(
    FOLDER.joinpath("examples", "judging.toml").read_text("utf-8"), parse_float=Decimal
)
INSTALLED = {one.application.name: one.application for one in discover()}
DAY = timedelta(days=1)
ZONE: Final = ZoneInfo("Asia/Shanghai")
BORN = date(1960, 5, 1)
TODAY = date(2026, 11, 22)


@pytest.mark.parametrize("example", EXAMPLES["visit"], ids=lambda one: one["title"])
def test_a_visit_is_judged(example: dict[str, Any]) -> None:
    found = msgspec.convert(example["found"], Measured)
    judged = chronic.judge(example["disease"], found)
    assert (judged.result, judged.kind) == (example["result"], example["kind"])
    assert judged.is_on_target is example["on_target"]
    assert list(judged.because) == example["because"]
    assert all(chronic.word("reason", one, "zh") != one for one in judged.because)


def test_what_was_not_measured_is_not_on_target() -> None:
    for disease in DISEASES:
        assert chronic.judge(disease, Measured(age=60)).result == "unsatisfied"
    assert chronic.judge("hypertension", Measured(age=60, systolic=120)).result == "unsatisfied"


@pytest.mark.parametrize("example", EXAMPLES["grade"], ids=lambda one: str(one["pressure"]))
def test_a_pressure_has_its_grade(example: dict[str, Any]) -> None:
    assert chronic.grade(*example["pressure"]) == example["grade"]


def test_the_stratum_is_by_the_grade_and_what_is_beside_it() -> None:
    rows = {one: [chronic.stratum(n, one) for n in (1, 2, 3)] for one in chronic.codes("beside")}
    assert rows == {
        "none": ["low", "medium", "high"],
        "some": ["medium", "high", "very-high"],
        "many": ["high", "high", "very-high"],
        "disease": ["very-high"] * 3,
    }
    assert chronic.stratum(0, "many") == ""


# ---- who is found --------------------------------------------------------------------------------


def pressure(on: str, systolic: int = 150, diastolic: int = 80, status: str = "final") -> Json:
    return {
        "resourceType": "Observation",
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "effectiveDateTime": on,
        "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
             "valueQuantity": {"value": value, "code": "mm[Hg]"}}
            for code, value in (("8480-6", systolic), ("8462-4", diastolic))
        ],
    }  # fmt: skip


@pytest.mark.parametrize(("systolic", "diastolic", "days"), [
    (139, 89, 0), (140, 89, 1), (139, 90, 1), (141, 91, 1),
])  # fmt: skip
def test_a_pressure_is_high_from_140_or_90(systolic: int, diastolic: int, days: int) -> None:
    found = [pressure("2026-01-05", systolic, diastolic)]
    assert chronic.high_days(found, ZONE) == days


def test_days_of_high_pressure_are_those_where_the_node_stands() -> None:
    once = [pressure("2026-01-01T23:30:00Z"), pressure("2026-01-02T09:00:00+08:00")]
    assert chronic.high_days(once, ZONE) == 1
    twice = [pressure("2026-01-01T15:30:00Z"), pressure("2026-01-01T16:30:00Z")]
    assert chronic.high_days(twice, ZONE) == 2
    unsure = [pressure("2026-01"), pressure("", 150)]
    mistaken = pressure("2026-01-09", status="entered-in-error")
    assert chronic.high_days([*once, *unsure, mistaken], ZONE) == 1


@pytest.mark.parametrize(("age", "days", "reasons"), [
    (35, 3, ()), (36, 4, ()), (34, 3, ("too-young",)), (35, 2, ("no-diagnosis",)),
])  # fmt: skip
def test_somebody_of_35_is_found_by_three_days(
    age: int, days: int, reasons: tuple[str, ...]
) -> None:
    limits = chronic.limits()
    decision = may_enrol(
        age=age,
        age_min=limits["enrolment"]["age"],
        diagnosed=False,
        high_days=days,
        days_needed=limits["pressure"]["days"],
        is_doctor=True,
        has_case=False,
        enrolled=TODAY,
        moment=datetime(2026, 11, 22, 9, tzinfo=ZONE),
    )
    assert decision.reasons == reasons


# ---- what follows --------------------------------------------------------------------------------


def case_of(*visits: tuple[str, str], enrolled: str = "2026-01-01") -> Json:
    seen = [Seen(day(on), result, result == "satisfied") for on, result in visits]
    return {"input": chronic.holding({}, *seen, enrolled=day(enrolled))}


FOLLOWS = [
    ((), "satisfied", "continue", "2027-02-20"),
    ((), "unsatisfied", "adjust", "2026-12-04"),
    ((("2026-11-06", "unsatisfied"),), "unsatisfied", "refer", "2026-12-04"),
    ((("2026-11-06", "unsatisfied"),), "satisfied", "continue", "2027-02-20"),
    ((("2026-11-06", "adverse-reaction"),), "unsatisfied", "refer", "2026-12-04"),
    ((("2026-11-06", "unsatisfied"),), "adverse-reaction", "refer", "2026-12-04"),
    ((("2026-11-06", "satisfied"),), "adverse-reaction", "adjust", "2026-12-04"),
    ((("2026-11-06", "satisfied"),), "complication", "refer", "2026-12-04"),
    ((("2026-11-06", "satisfied"),), "crisis", "refer", "2026-12-04"),
    ((("2026-11-01", "unsatisfied"), ("2026-11-06", "satisfied")), "unsatisfied", "adjust",
     "2026-12-04"),
]  # fmt: skip


@pytest.mark.parametrize("disease", DISEASES)
@pytest.mark.parametrize(("before", "result", "measure", "due"), FOLLOWS)
def test_what_follows_from_a_visit(
    disease: Disease, before: tuple[tuple[str, str], ...], result: str, measure: str, due: str
) -> None:
    one = Seen(day("2026-11-20"), result, is_on_target=False)
    case = case_of(*before)
    item = chronic.follows(disease, case, BORN, [*chronic.visits_of(case), one], TODAY)
    assert (item.measure, item.due) == (measure, day(due))
    assert chronic.word("measure", item.measure, "zh") != item.measure


def test_a_visit_that_is_entered_late_does_not_undo_the_later_one() -> None:
    later = case_of(("2026-11-20", "satisfied"))
    one = Seen(day("2026-11-10"), "crisis", is_on_target=False)
    every = [*chronic.visits_of(later), one]
    assert chronic.follows("hypertension", later, BORN, every, TODAY).measure == "continue"


def test_days_that_others_wrote_by_halves_are_no_visits_and_break_nothing() -> None:
    case = case_of(("2026-11-20", "satisfied"))
    whole = chronic.holding(case, enrolled=day("2026-01-05"))
    halves = [{**one, "valueDate": one["valueDate"][:4]} for one in whole if "valueDate" in one]
    assert chronic.visits_of({"input": halves}) == []
    assert chronic.day_of({"input": halves}, "enrolled") is None
    assert not chronic_rates.counted({"input": halves}, 2026, TODAY).is_managed
    assert chronic_rates.counted({"input": whole}, 2026, TODAY).visits == 1


def test_a_visit_that_was_entered_in_error_counts_for_nothing_and_stays_to_be_seen() -> None:
    case = case_of(("2026-11-01", "unsatisfied"), ("2026-11-10", "unsatisfied"))
    case["input"] = chronic.holding(case, measure="refer")
    first, second = chronic.visits_of(case)
    case["input"] = chronic.taking_back(case, second, "adjust")
    assert chronic.visits_of(case) == [first]
    assert chronic.visits_of(case, mistaken=True) == [second]
    assert chronic.fact_of(case, "measure") == "adjust"
    assert chronic_rates.counted(case, 2026, TODAY).visits == 1
    case["input"] = chronic.holding(case, second, measure="refer")
    case["input"] = chronic.taking_back(case, first, "")
    assert chronic.visits_of(case) == [second], "the day was entered anew and stands"
    assert chronic.fact_of(case, "measure") == "", "nothing is called for"


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_two_weeks_are_fourteen_days(offset: int) -> None:
    plan = shipped("diabetes-2017")
    someone = facts(
        "1960-05-01", "diabetes-visit 2026-02-15 unsatisfied", states=["diabetes 2026-01-01 -"]
    )
    on = (day("2026-03-01") + offset * DAY).isoformat()
    item = item_of(plan, "diabetes-follow-up", someone, on)
    assert (item.due, item.status) == (
        day("2026-03-01"), ("planned", "due", "overdue")[offset + 1]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("last", "due"),
    [("2025-11-30", "2026-02-28"), ("2023-11-30", "2024-02-29"), ("2026-03-31", "2026-06-30"),
     ("2024-02-29", "2024-05-29")],
)  # fmt: skip
def test_three_months_of_visits_and_glucose_end_with_the_month(last: str, due: str) -> None:
    plan = shipped("diabetes-2017")
    events = (f"diabetes-visit {last} satisfied", f"fasting-glucose {last}")
    someone = facts("1960-05-01", *events, states=["diabetes 2020-01-01 -"])
    for series in ("diabetes-follow-up", "diabetes-glucose"):
        assert item_of(plan, series, someone, due).due == day(due)
    exam = item_of(plan, "diabetes-examination", someone, due)
    assert (exam.turn, exam.due) == ("first", day("2020-01-01"))


def test_who_is_not_enrolled_any_more_is_due_for_nothing() -> None:
    someone = facts("1960-05-01", states=["diabetes 2026-01-01 2026-06-30"])
    plan = shipped("diabetes-2017")
    assert item_of(plan, "diabetes-follow-up", someone, "2026-06-30").status == "escalated"
    assert item_of(plan, "diabetes-follow-up", someone, "2026-07-01").status == "not-applicable"


@pytest.mark.parametrize(("born", "on"), [
    ("1988-02-29", "2023-02-28"), ("1988-02-28", "2023-02-28"), ("1988-03-01", "2023-03-01"),
    ("1989-02-28", "2024-02-28"),
])  # fmt: skip
def test_who_is_due_for_the_first_pressure_is_of_the_age_to_be_enrolled(born: str, on: str) -> None:
    day_before = (day(on) - timedelta(days=1)).isoformat()
    least = chronic.limits()["enrolment"]["age"]
    for today, status, age in ((day_before, "planned", least - 1), (on, "due", least)):
        item = item_of(shipped("hypertension-2017"), "blood-pressure", facts(born), today)
        assert (item.status, chronic.age_on(day(born), day(today))) == (status, age)


# ---- what tells due lists ------------------------------------------------------------------------


def test_what_is_recorded_tells_the_plans() -> None:
    patient = {"resourceType": "Patient", "birthDate": "1960-05-01"}
    judged = chronic.judge("hypertension", Measured(age=66, systolic=180, diastolic=90))
    episode = chronic.episode_of("hypertension", "Patient/p", "Condition/c", date(2026, 1, 1))
    result = chronic.result_of("hypertension", "Patient/p", date(2026, 2, 1), judged)
    closed = {**episode, "period": {"start": "2025-01-01", "end": "2025-06-30"}}
    for one in (episode, result, chronic.diagnosis_of("diabetes", "Patient/p", TODAY)):
        assert validate(one["resourceType"], encode(one)) == []
    records = [episode, closed, result, {**result, "status": "entered-in-error"}]
    declared = {one.code: one for one in INSTALLED["chronic_people"].plans}
    told = facts_of(declared["chronic_people.hypertension"].table, patient, records, ZONE)
    assert told is not None
    assert [(one.code, one.detail) for one in told.facts.events] == [
        ("hypertension-visit", "crisis")
    ]
    assert sorted((one.since, one.until) for one in told.facts.states if one.since) == [
        (date(2025, 1, 1), date(2025, 6, 30)), (date(2026, 1, 1), None)
    ]  # fmt: skip
    other = facts_of(declared["chronic_people.diabetes"].table, patient, records, ZONE)
    assert other is not None
    assert not other.facts.events
    assert not other.facts.states


# ---- the forms -----------------------------------------------------------------------------------

WAYS = "https://quanmin.example/fhir/CodeSystem"
VISIT: Final = {
    "day": "2026-11-20",
    "way": f"{WAYS}/follow-up-way|outpatient",
    "systolic": "150",
    "diastolic": "95",
    "adherence": f"{WAYS}/medicine-adherence|regular",
    "reaction": "false",
    "complication": "false",
}


def filled(folder: str, name: str, **sent: str) -> Filling:
    """A form with these answers."""
    path = files("quanmin").joinpath("applications", folder, "definitions", f"{name}.json")
    head = {"status": "in-progress", "subject": {"reference": "Patient/p"}}
    texts = {key: [text] for key, text in sent.items()}
    start = {"resourceType": "QuestionnaireResponse", **head}
    return fill(compile_form(decode(path.read_bytes())), around(), texts, start)


def test_a_visit_is_taken_apart_into_records() -> None:
    more = {"pulse": "72", "weight": "70.5", "danger": f"{WAYS}/danger-sign|lie",
            "medicines.0/medicine-name": "氨氯地平", "medicines.0/medicine-times": "1",
            "medicines.0/medicine-dose": "5 mg"}  # fmt: skip
    filling = filled("chronic_followup", "hypertension-visit", **VISIT, **more)
    assert faults(filling) == []
    found = chronic.measured(answers(filling.response()), 60)
    assert found == Measured(age=60, systolic=150, diastolic=95, pulse=72, has_sign=True)
    made = [one["resource"] for one in extract(filling)["entry"]]
    for one in made:
        assert validate(one["resourceType"], encode(one)) == []
        assert one["subject"] == {"reference": "Patient/p"}
    by_code = {one["code"]["coding"][0]["code"]: one for one in made if "code" in one}
    assert chronic.pressure_of(by_code["85354-9"]) == (150, 95)
    assert by_code["85354-9"]["effectiveDateTime"] == "2026-11-20"
    assert by_code["29463-7"]["valueQuantity"]["value"] == Decimal("70.5")
    (medicine,) = (one for one in made if one["resourceType"] == "MedicationStatement")
    assert medicine["medicationCodeableConcept"] == {"text": "氨氯地平"}
    assert medicine["dosage"][0]["timing"]["repeat"]["frequency"] == 1


def test_a_medicine_that_was_chosen_keeps_its_code() -> None:
    more = {"medicines.0/medicine-name": "http://www.whocc.no/atc|C08CA05"}
    filling = filled("chronic_followup", "hypertension-visit", **VISIT, **more)
    made = [one["resource"] for one in extract(filling)["entry"]]
    (medicine,) = (one for one in made if one["resourceType"] == "MedicationStatement")
    coding = {"system": "http://www.whocc.no/atc", "code": "C08CA05"}
    assert medicine["medicationCodeableConcept"] == {"coding": [coding]}
    assert validate("MedicationStatement", encode(medicine)) == []


def test_a_visit_for_diabetes_has_its_glucose() -> None:
    without = filled("chronic_followup", "diabetes-visit", **VISIT)
    assert [one.link_id for one in faults(without)] == ["glucose"]
    filling = filled("chronic_followup", "diabetes-visit", **VISIT, glucose="7.0")
    assert faults(filling) == []
    assert chronic.measured(answers(filling.response()), 60).glucose == Decimal("7.0")


@pytest.mark.parametrize(("changes", "field"), [
    ({"systolic": "49", "diastolic": "30"}, "systolic"),
    ({"systolic": "301"}, "systolic"),
    ({"diastolic": "150"}, "diastolic"),
    ({"day": "2026-11-23"}, "day"),
    ({"reaction": "true"}, "reaction-words"),
    ({"complication": "true"}, "complication-words"),
    ({"reaction": ""}, "reaction"),
])  # fmt: skip
def test_a_visit_is_refused_with_what_to_mend(changes: dict[str, str], field: str) -> None:
    filling = filled("chronic_followup", "hypertension-visit", **{**VISIT, **changes})
    assert [one.link_id for one in faults(filling)] == [field]


def test_a_measurement_is_of_both_pressures_or_of_glucose() -> None:
    def wrong(**sent: str) -> list[str]:
        filling = filled("chronic_people", "chronic-measurement", day="2026-11-20", **sent)
        return [one.link_id for one in faults(filling)]

    assert wrong(systolic="140", diastolic="90") == []
    assert wrong(glucose="5.6") == []
    assert wrong(systolic="140") == ["day", "day"]
    assert wrong(systolic="140", glucose="5.6") == ["day"]
    assert wrong() == ["day"]


def test_what_is_measured_and_examined_tells_the_plans() -> None:
    measured = filled("chronic_people", "chronic-measurement", day="2026-02-01", systolic="140",
                      diastolic="90", glucose="7.1")  # fmt: skip
    examined = filled("chronic_people", "yearly-examination", day="2026-03-01", pulse="70",
                      systolic="130", diastolic="80", height="160", weight="60",
                      assessment="好")  # fmt: skip
    assert faults(examined) == []
    records = [one["resource"] for one in extract(measured)["entry"]]
    assert chronic.high_days([*records, *records], ZONE) == 1
    records.append({**examined.response(), "status": "completed"})
    patient = {"resourceType": "Patient", "birthDate": "1960-05-01"}
    events = {}
    for one in INSTALLED["chronic_people"].plans:
        told = facts_of(one.table, patient, records, ZONE)
        assert told is not None
        assert told.unread == ()
        events[one.code] = sorted((event.on.isoformat(), event.code) for event in told.facts.events)
    assert events == {
        "chronic_people.hypertension": [
            ("2026-02-01", "blood-pressure"), ("2026-03-01", "health-examination")
        ],
        "chronic_people.diabetes": [
            ("2026-02-01", "fasting-glucose"), ("2026-03-01", "health-examination")
        ],
    }  # fmt: skip


# ---- cases and rates -----------------------------------------------------------------------------


def test_states_are_called_as_the_workflow_calls_them() -> None:
    workflow = INSTALLED["chronic_followup"].workflow
    assert workflow is not None
    assert f"{workflow.head.url}|{workflow.name}" == chronic.CODE
    assert workflow.state_system == chronic.STATE_SYSTEM
    assert {code for code, one in workflow.states.items() if one.final} == chronic.ENDED
    for language in ("zh", "en"):
        said = {code: one.told(language) for code, one in workflow.states.items()}
        assert said == {code: chronic.word("state", code, language) for code in workflow.states}
    plans = INSTALLED["chronic_people"].plans
    for series in (one for each in plans for one in each.plan.series):
        assert chronic.word("series", series.id, "zh") != series.id


def test_an_enrolment_goes_by_the_diagnosis_that_there_is() -> None:
    diagnosis = {**chronic.diagnosis_of("diabetes", "Patient/p", TODAY), "id": "c1"}
    who = chronic.Enrolling("p", "王", 0, [], [diagnosis])
    recorded, head = chronic.enrolment("diabetes", who, TODAY, "")
    assert [one["resource"]["resourceType"] for one in recorded] == ["EpisodeOfCare"]
    episode = recorded[0]["resource"]
    assert episode["diagnosis"] == [{"condition": {"reference": "Condition/c1"}}]
    assert head["focus"] == {"reference": f"EpisodeOfCare/{episode['id']}"}
    other, _ = chronic.enrolment("hypertension", who, TODAY, "some")
    assert [one["resource"]["resourceType"] for one in other] == ["Condition", "EpisodeOfCare"]
    assert other[1]["resource"]["id"] != episode["id"]
    refuted = {"verificationStatus": {"coding": [{"code": "refuted"}]}}
    assert not chronic.is_diagnosis({**diagnosis, **refuted}, "diabetes")
    assert not chronic.is_diagnosis(diagnosis, "hypertension")


def test_rates_are_counted_from_cases() -> None:
    def counted(year: int, *visits: tuple[str, str], **more: str) -> chronic_rates.Counted:
        enrolled = more.pop("enrolled", "2025-06-01")
        task = case_of(*visits, enrolled=enrolled)
        closed = {name: day(text) for name, text in more.items()}
        return chronic_rates.counted({"input": chronic.holding(task, **closed)}, year, TODAY)

    bad = [(f"2026-0{n}-01", "unsatisfied") for n in range(1, 4)]
    good = ("2026-04-01", "satisfied")
    assert counted(2026, *bad, good) == chronic_rates.Counted(
        is_managed=True, visits=4, last=Seen(date(2026, 4, 1), "satisfied", is_on_target=True)
    )
    three = counted(2026, *bad[:2], good)
    assert (three.is_standard, three.is_controlled) == (False, True)
    four = counted(2026, good, *bad)
    assert (four.is_standard, four.is_controlled) == (True, True)
    worse = counted(2026, *bad, good, ("2026-05-01", "unsatisfied"))
    assert (worse.is_standard, worse.is_controlled) == (True, False)
    assert not counted(2024, good).is_managed
    assert counted(2025).is_managed
    assert not counted(2026, closed="2025-12-31").is_managed
    assert counted(2026, closed="2026-01-01").is_managed
    assert not counted(2026, enrolled="2026-11-23").is_managed
    assert counted(2026, enrolled="2026-11-22").is_managed
    anew = chronic_rates.together([counted(2026, *bad, closed="2026-03-31"), counted(2026, good)])
    assert (anew.visits, anew.is_standard, anew.is_controlled) == (4, True, True)
    assert not chronic_rates.together([counted(2024), counted(2024)]).is_managed
    found = chronic_rates.rates([three, four, worse, counted(2024)])
    assert (found.managed, found.standard, found.controlled) == (3, 2, 2)
    assert found.share(found.standard) == Decimal("66.7")
    assert chronic_rates.Rates().share(0) is None
