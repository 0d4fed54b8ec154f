"""Severe mental disorders by the norm: the clocks to the day, what a visit comes to, the forms, and
counts that give nobody away.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from planning import facts, item_of

from quanmin.applications.mental_health.keeping import judged
from quanmin.applications.mental_health.rules import is_in_time
from quanmin.applications.mental_register.counting import counted
from quanmin.applications.mental_register.rules import has_visits_enough
from quanmin.fhir.json import decode
from quanmin.fhir.validation import validate
from quanmin.web.application import discover
from quanmin.workflow.forms import compile_form
from quanmin.workflow.mental import norm, number
from quanmin.workflow.plans import Item

FOLDER = files("quanmin").joinpath("applications", "mental_health", "definitions")
FORMS = ("mental-registration", "mental-visit", "mental-end")
PLAN = next(
    one.application.plans[0].plan for one in discover() if one.application.name == "mental_register"
)
VISIT = {
    "grade": "0",
    "symptoms": "gone",
    "insight": "whole",
    "reaction": "none",
    "illness": "none",
    "settled": "no",
    **dict.fromkeys(("care", "housework", "work", "learning", "contact"), "good"),
}


def item(series: str, today: str, *events: str) -> Item:
    someone = facts("1980-01-01", *events, states=["mental-disorder 2026-01-01 -"])
    return item_of(PLAN, series, someone, today)


@pytest.mark.parametrize(
    ("visits", "due"),
    [
        (["2026-03-01 unstable"], "2026-03-15"),
        (["2026-03-01 basic"], "2026-03-15"),
        (["2026-02-01 unstable", "2026-03-01 basic"], "2026-03-15"),
        (["2026-02-01 basic", "2026-03-01 basic"], "2026-04-01"),
        (["2026-01-15 basic", "2026-01-31 basic"], "2026-02-28"),
        (["2026-03-01 basic-settled"], "2026-06-01"),
        (["2026-02-01 basic-settled", "2026-03-01 basic"], "2026-03-15"),
        (["2026-03-01 stable"], "2026-06-01"),
        (["2026-11-30 stable"], "2027-02-28"),
        (["2027-11-30 stable"], "2028-02-29"),
        (["2026-05-31 stable"], "2026-08-31"),
        (["2026-03-01"], "2026-03-15"),
        (["2026-03-01 stable", "2026-03-01 basic"], "2026-03-15"),
        (["2026-03-01 basic-settled", "2026-03-01 unstable"], "2026-03-15"),
        (["2026-03-01 stable", "2026-03-01 basic-settled"], "2026-06-01"),
        (["2026-02-01 basic", "2026-03-01 stable", "2026-03-01 basic"], "2026-04-01"),
    ],
)
def test_the_next_visit_is_due_by_what_the_last_ones_found(visits: list[str], due: str) -> None:
    events = [f"mental-visit {one}" for one in visits]
    day = date.fromisoformat(due)
    said = {
        shift: item("mental-follow-up", str(day.fromordinal(day.toordinal() + shift)), *events)
        for shift in (-1, 0, 1)
    }
    assert {str(one.due) for one in said.values()} == {due}
    assert [one.status for one in said.values()] == ["planned", "due", "overdue"]


@pytest.mark.parametrize(
    ("late", "to"),
    [(7, ""), (8, "township-hospital"), (31, "township-hospital"), (32, "county-cdc")],
)
def test_what_stays_overdue_is_told_on(late: int, to: str) -> None:
    day = date(2026, 3, 15)
    on = day.fromordinal(day.toordinal() + late)
    found = item("mental-follow-up", str(on), "mental-visit 2026-03-01 unstable")
    assert (found.status, found.escalated_to) == ("escalated" if to else "overdue", to)


def test_who_is_registered_is_visited_at_once_and_examined_every_year() -> None:
    assert str(item("mental-follow-up", "2026-01-01").due) == "2026-01-01"
    for on, status in (("2027-02-27", "planned"), ("2027-02-28", "due"), ("2027-03-01", "overdue")):
        done = item("mental-examination", on, "health-examination 2026-02-28")
        assert (str(done.due), done.status) == ("2027-02-28", status)


@pytest.mark.parametrize(
    ("found", "class_"),
    [
        ({}, "stable"),
        ({"grade": "1"}, "basic"),
        ({"grade": "2"}, "basic"),
        ({"grade": "2", "settled": "yes"}, "basic-settled"),
        ({"grade": "3", "settled": "yes"}, "unstable"),
        ({"grade": "5"}, "unstable"),
        ({"symptoms": "some"}, "basic"),
        ({"symptoms": "marked"}, "unstable"),
        ({"insight": "part"}, "basic"),
        ({"insight": "none"}, "unstable"),
        ({"learning": "poor"}, "basic"),
        ({"learning": "fair"}, "stable"),
        ({"reaction": "mild"}, "stable"),
        ({"reaction": "severe"}, "unstable"),
        ({"illness": "severe"}, "unstable"),
    ],
)
def test_a_visit_comes_to_a_class(found: dict[str, str], class_: str) -> None:
    said = {link: {"code": code} for link, code in {**VISIT, **found}.items()}
    assert judged(said).class_ == class_


@pytest.mark.parametrize(
    ("acts", "is_harm"),
    [({}, False), ({"trouble": 9}, False), ({"self-harm": 1}, True), ({"suicide": 1}, True)],
)
def test_harm_to_oneself_is_known(acts: dict[str, int], *, is_harm: bool) -> None:
    said = {link: {"code": code} for link, code in VISIT.items()}
    assert judged({**said, **acts}).self_harm is is_harm


@pytest.mark.parametrize("name", FORMS)
def test_forms_are_questionnaires_of_r4(name: str) -> None:
    body = FOLDER.joinpath(f"{name}.json").read_bytes()
    assert validate("Questionnaire", body) == []
    assert compile_form(decode(body)).by_link


def test_the_plan_is_a_plan_definition_of_r4() -> None:
    folder = files("quanmin").joinpath("applications", "mental_register", "definitions")
    assert validate("PlanDefinition", folder.joinpath("mental-2017.json").read_bytes()) == []


@pytest.mark.parametrize(
    ("form", "link", "kind"),
    [
        ("mental-visit", "grade", "grade"),
        ("mental-registration", "disorder", "disorder"),
        ("mental-end", "end", "end"),
    ],
)
def test_forms_offer_what_the_norm_has_in_its_words(form: str, link: str, kind: str) -> None:
    whole = decode(FOLDER.joinpath(f"{form}.json").read_bytes())
    (asked,) = [one for one in whole["item"] if one["linkId"] == link]
    offered = {}
    for one in asked["answerOption"]:
        coding = one["valueCoding"]
        english = coding["_display"]["extension"][0]["extension"][1]["valueString"]
        offered[coding["code"]] = (coding["display"], english)
    assert offered == {code: (one["zh"], one["en"]) for code, one in norm()[kind].items()}


def test_the_numbers_of_the_norm_are_met_to_the_minute_and_to_the_visit() -> None:
    found, hours = datetime(2028, 2, 28, 9, 30, tzinfo=UTC), number("inform_hours")
    last = datetime(2028, 2, 29, 9, 30, tzinfo=UTC)
    assert is_in_time(found=found, informed=last, hours=hours).allowed
    assert not is_in_time(found=found, informed=last + timedelta(minutes=1), hours=hours).allowed
    days, least = [date(2026, month, 1) for month in (1, 4, 7, 10)], number("visits_a_year")
    year: dict[str, Any] = {"since": date(2025, 1, 1), "day": date(2026, 11, 22), "least": least}
    assert has_visits_enough(visits=days, **year).allowed
    assert not has_visits_enough(visits=days[1:], **year).allowed


def test_counts_are_by_township_and_grade() -> None:
    told = [("青镇", "0"), ("青镇", ""), ("白镇", "3"), ("青镇", "0")]
    assert counted(told, ["", "0", "3"]) == {"白镇": [0, 0, 1], "青镇": [1, 2, 0]}
