"""Timers that go by a clock of the case, which its application winds up: a card that must be sent
within two hours of the diagnosis is late by then, whenever it was begun.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from trials import infection_card
from trials.infection_card import rules

from quanmin.base.problems import Invalid, Unusable
from quanmin.fhir.json import Json
from quanmin.fhir.validation import validate
from quanmin.trust import Actor
from quanmin.workflow.states import (
    Asking,
    Case,
    Workflow,
    due,
    fire,
    load_workflow,
    read_case,
    take,
)
from quanmin.workflow.states.drawing import table

FOLDER = Path(str(infection_card.__file__)).parent
ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 22, 12, tzinfo=ZONE)
CARD = {
    "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000009",
    "resource": {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": "https://quanmin.example/fhir/Questionnaire/infection-card",
    },
    "request": {"method": "POST", "url": "QuestionnaireResponse"},
}
CLOCK = '\n[[clock]]\ncode = "report"\nzh = "报告时限"\nen = "the time to report"\n'
REMINDER = 'after = "PT2H"\nnotice'
LIMIT = 'after = "PT24H"\nstep'


def load(folder: Path, *changes: tuple[str, str], more: str = CLOCK) -> Workflow:
    """The trial workflow with a reminder half an hour before its clock, and a step at its end."""
    text = (FOLDER / "workflow.toml").read_text("utf-8")
    usual = (
        (REMINDER, 'clock = "report"\nbefore = "PT30M"\nnotice'),
        (LIMIT, 'clock = "report"\nstep'),
    )
    for old, new in changes or usual:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "workflow.toml").write_text(text + more, "utf-8")
    (folder / "definitions").mkdir(exist_ok=True)
    (folder / "definitions" / "card.json").write_bytes(
        (FOLDER / "definitions" / "card.json").read_bytes()
    )
    roles = frozenset({"doctor", "public_health_worker"})
    writes = frozenset({"Task", "QuestionnaireResponse"})
    return load_workflow(folder, roles=roles, writes=writes, rules=rules)


def entered(flow: Workflow, **clocks: datetime) -> Case:
    doctor = Actor("dr-li", "doctor", "Dr Li", "hospital-a")
    facts = {"disease": "measles", "diagnosed": NOON}
    asking = Asking(actor=doctor, moment=NOON, zone=ZONE, facts=facts)
    return stored(flow, take(flow, "enter", None, asking, recorded=[CARD], clocks=clocks).task)


def stored(flow: Workflow, task: Json) -> Case:
    kept = json.loads(json.dumps(task)) | {"id": "t1", "meta": {"versionId": "1"}}
    assert validate("Task", json.dumps(kept).encode()) == []
    return read_case(flow, kept, ZONE)


def codes(flow: Workflow, case: Case, moment: datetime) -> list[str]:
    return [one.timer.code for one in due(flow, case, moment, ZONE)]


@pytest.mark.parametrize("hours", [2, 24])
def test_a_clock_runs_out_at_its_minute(tmp_path: Path, hours: int) -> None:
    flow = load(tmp_path)
    # The diagnosis was an hour before the card.
    end = NOON + timedelta(hours=hours - 1)
    case = entered(flow, report=end)
    minute, half_hour = timedelta(minutes=1), timedelta(minutes=30)
    assert codes(flow, case, end - half_hour - minute) == []
    assert codes(flow, case, end - half_hour) == ["reminder"]
    assert codes(flow, case, end - minute) == ["reminder"]
    assert codes(flow, case, end) == ["reminder", "limit"]
    assert codes(flow, case, end + minute) == ["reminder", "limit"]
    assert case.due == end - half_hour


def test_a_clock_that_ran_out_before_the_case_began_is_due_at_once(tmp_path: Path) -> None:
    flow = load(tmp_path)
    case = entered(flow, report=NOON - timedelta(hours=3))
    assert codes(flow, case, NOON) == ["reminder", "limit"]
    assert case.due == NOON
    case = stored(flow, fire(flow, case, "reminder", NOON + timedelta(minutes=1), ZONE).task)
    assert codes(flow, case, NOON + timedelta(minutes=2)) == ["limit"]


def test_a_case_without_the_clock_waits_for_nothing(tmp_path: Path) -> None:
    flow = load(tmp_path)
    case = entered(flow)
    assert case.due is None
    assert codes(flow, case, NOON + timedelta(days=400)) == []


def test_a_clock_is_wound_up_again_and_other_inputs_stay(tmp_path: Path) -> None:
    flow = load(tmp_path)
    first = entered(flow, report=NOON + timedelta(hours=2))
    other = {"type": {"text": "of others"}, "valueString": "stays"}
    case = read_case(flow, {**first.task, "input": [other, *first.task["input"]]}, ZONE)
    checker = Actor("cdc", "public_health_worker", "Wu", "cdc",
                    duties=frozenset({"infection_report"}))  # fmt: skip
    asking = Asking(actor=checker, moment=NOON + timedelta(hours=1), zone=ZONE)
    later = NOON + timedelta(hours=30)
    taken = take(flow, "return", case, asking, words="No onset", clocks={"report": later})
    again = stored(flow, taken.task)
    assert dict(again.clocks) == {"report": later}
    assert again.task["input"][0] == other
    assert len(again.task["input"]) == 2


def test_a_clock_that_the_workflow_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="has no clock tea"):
        entered(load(tmp_path), tea=NOON)


@pytest.mark.parametrize(
    ("change", "more", "fault"),
    [
        ((REMINDER, f'clock = "tea"\n{REMINDER}'), CLOCK, "clock tea: there is none"),
        ((REMINDER, f'clock = "report"\n{REMINDER}'), CLOCK, "say `after` how long"),
        ((REMINDER, f'before = "PT1H"\n{REMINDER}'), "", "say `after` how long"),
        ((REMINDER, "notice"), "", "say `after` how long"),
        ((REMINDER, 'clock = "report"\nbefore = "P1D"\nnotice'), CLOCK, "no hours and minutes"),
        ((REMINDER, REMINDER), CLOCK, "clock report: no timer goes by it"),
    ],
)
def test_a_faulty_clock_is_told(
    tmp_path: Path, change: tuple[str, str], more: str, fault: str
) -> None:
    with pytest.raises(Unusable) as told:
        load(tmp_path, change, more=more)
    assert any(fault in issue.text for issue in told.value.issues)


def test_the_table_says_by_which_clock_a_step_happens(tmp_path: Path) -> None:
    flow = load(tmp_path)
    rows = {row[0]: row[3] for row in table(flow, "en")}
    assert rows["Escalate"] == "the time to report"
    assert flow.limit(flow.timers["reminder"], "en") == "30 min before: the time to report"
    assert flow.limit(flow.timers["reminder"], "zh") == "报告时限前 30 分钟"
