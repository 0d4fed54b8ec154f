"""Which steps are open, why the others are not, and which Task a step makes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from trials.infection_card.application import FORM

from quanmin.base.problems import Conflict, Forbidden, Invalid, Problem
from quanmin.fhir.json import Json
from quanmin.fhir.translations import translated
from quanmin.fhir.validation import validate
from quanmin.trust import Actor
from quanmin.web.application import discover
from quanmin.workflow.states import (
    Asking,
    Case,
    due,
    fire,
    offers,
    read_case,
    take,
)
from quanmin.workflow.states.model import Step, Workflow, parse_duration

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 22, 12, tzinfo=ZONE)
FACTS = {"disease": "measles", "diagnosed": NOON - timedelta(hours=1), "cards_of_person": 1}
DUTY = frozenset({"infection_report"})
DOCTOR = Actor("dr-li", "doctor", "李医生", "hospital-a")
CHECKER = Actor("cdc-wu", "public_health_worker", "吴", "cdc", duties=DUTY)

OF_THE_WORKFLOW = {
    "system": "https://quanmin.example/fhir/workflow/infection-card",
    "code": "infection_card",
}


def workflow() -> Workflow:
    (installed,) = discover("trials")
    assert installed.application.workflow is not None
    return installed.application.workflow


FLOW = workflow()


def asking(actor: Actor = DOCTOR, hours: float = 0, **facts: Any) -> Asking:
    moment = NOON + timedelta(hours=hours)
    return Asking(actor=actor, moment=moment, zone=ZONE, facts=FACTS | facts)


def card(status: str = "completed", questionnaire: str = FORM) -> dict[str, Any]:
    body = {"resourceType": "QuestionnaireResponse", "status": status}
    return {
        "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000009",
        "resource": {**body, "questionnaire": questionnaire},
        "request": {"method": "POST", "url": "QuestionnaireResponse"},
    }


def stored(task: Json, version: int = 1) -> Case:
    """The case as it is read again after it was stored."""
    kept = json.loads(json.dumps(task)) | {"id": "t1"}
    kept["meta"] = {**kept.get("meta", {}), "versionId": str(version)}
    return read_case(FLOW, kept, ZONE)


def entered() -> Case:
    head = {"for": {"reference": "Patient/p1"}}
    return stored(take(FLOW, "enter", None, asking(), recorded=[card()], head=head).task)


def returned() -> Case:
    return stored(take(FLOW, "return", entered(), asking(CHECKER, 1), words="No onset date").task)


def reasons(problem: Problem) -> list[str]:
    return [issue.text.rpartition("(")[2].rstrip(")") for issue in problem.issues]


def refused(kind: type[Problem], code: str, case: Case | None, asked: Asking, **more: Any) -> Any:
    with pytest.raises(kind) as told:
        take(FLOW, code, case, asked, **more)
    return reasons(told.value)


# ---- what is open --------------------------------------------------------------------------------


def test_of_no_case_the_steps_are_told_that_begin_one() -> None:
    (offer,) = offers(FLOW, None, asking())
    assert (offer.step.code, offer.decision.allowed) == ("enter", True)
    (offer,) = offers(FLOW, None, asking(disease="fracture"))
    assert offer.decision.reasons == ("not-notifiable",)


def test_each_step_of_a_case_is_told_with_every_reason_against_it() -> None:
    told = {one.step.code: one.decision.reasons for one in offers(FLOW, entered(), asking())}
    assert told == {
        "confirm": ("role:doctor", "duty:infection_report", "took:enter"),
        "return": ("role:doctor", "duty:infection_report"),
        "correct": ("state:entered",),
        "withdraw": ("state:entered",),
        "escalate": ("by-timer",),
    }


def test_a_rule_is_asked_with_what_it_names_and_refuses_what_is_not_known() -> None:
    nothing = Asking(actor=CHECKER, moment=NOON, zone=ZONE)
    told = {one.step.code: one.decision.reasons for one in offers(FLOW, entered(), nothing)}
    assert told["confirm"] == ("not-known:cards_of_person",)
    assert refused(Invalid, "confirm", entered(), asking(CHECKER, cards_of_person=2)) == [
        "duplicate"
    ]


@pytest.mark.parametrize(("seconds", "is_open"), [(-1, True), (0, True), (1, False)])
def test_a_rule_is_handed_the_moment_it_is_asked_at(seconds: int, *, is_open: bool) -> None:
    diagnosed = NOON + timedelta(seconds=seconds)
    (offer,) = offers(FLOW, None, asking(diagnosed=diagnosed))
    assert offer.decision.allowed is is_open


def test_every_reason_of_the_engine_has_words_in_both_languages() -> None:
    codes = ("state:x", "by-timer", "role:x", "duty:x", "took:x", "not-known:x", "not-recorded:x",
             "words", "duplicate")  # fmt: skip
    for code in codes:
        zh, en = FLOW.told(code, "zh"), FLOW.told(code, "en")
        assert len({zh, en, code}) == 3
    assert FLOW.told("unheard-of", "en") == "unheard-of"


# ---- what a step makes ---------------------------------------------------------------------------


def test_a_beginning_makes_a_task_that_says_where_it_stands_since_when_and_until_when() -> None:
    head = {"for": {"reference": "Patient/p1"}, "owner": {"reference": "Organization/cdc"}}
    taken = take(FLOW, "enter", None, asking(), recorded=[card()], head=head)
    url = "https://quanmin.example/fhir/workflow/infection-card"
    now = "2026-11-22T12:00:00.000+08:00"
    assert taken.task == {
        "resourceType": "Task",
        "meta": {"security": [OF_THE_WORKFLOW]},
        "instantiatesUri": f"{url}|1",
        "status": "requested",
        "businessStatus": {
            "coding": [{"system": f"{url}/state", "code": "entered", "display": "To be checked"}]
        },
        "intent": "order",
        "code": {
            "coding": [
                {
                    "system": url,
                    "code": "infection_card",
                    "display": "Infectious disease report card",
                }
            ]
        },
        "for": {"reference": "Patient/p1"},
        "owner": {"reference": "Organization/cdc"},
        "authoredOn": now,
        "lastModified": now,
        "executionPeriod": {"start": now},
        "restriction": {"period": {"start": now, "end": "2026-11-22T14:00:00.000+08:00"}},
        "output": [
            {
                "type": {
                    "coding": [
                        {"system": f"{url}/step", "code": "enter", "display": "Enter the card"}
                    ]
                },
                "valueReference": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000009"},
            }
        ],
        "note": [
            {
                "extension": [{"url": f"{url}/step", "valueCode": "enter"}],
                "authorReference": {"identifier": {"value": "dr-li"}, "display": "李医生"},
                "time": now,
                **translated("text", "录入报告卡", {"en": "Enter the card"}),
            }
        ],
    }
    assert [entry["request"] for entry in taken.entries] == [
        {"method": "POST", "url": "QuestionnaireResponse"},
        {"method": "POST", "url": "Task"},
    ]
    assert taken.entries[0]["resource"]["meta"] == {"security": [OF_THE_WORKFLOW]}
    assert take(FLOW, "enter", None, asking(), recorded=[card()], head=head) == taken


def test_a_step_makes_the_next_version_and_keeps_what_others_wrote_into_the_task() -> None:
    case = entered()
    case.task["description"] = "written elsewhere"
    taken = take(FLOW, "return", case, asking(CHECKER, 1), words="No onset date")
    task = taken.task
    assert task["status"] == "on-hold"
    assert task["businessStatus"]["coding"][0]["code"] == "returned"
    assert task["statusReason"] == {"text": "No onset date"}
    assert task["description"] == "written elsewhere"
    assert task["restriction"]["period"] == {
        "start": "2026-11-22T13:00:00.000+08:00",
        "end": "2026-11-25T13:00:00.000+08:00",
    }
    (entry,) = taken.entries
    assert entry["request"] == {"method": "PUT", "url": "Task/t1", "ifMatch": 'W/"1"'}
    assert [notice.code for notice in taken.notices] == ["to_correct"]
    assert case.task["status"] == "requested"


def test_an_end_closes_the_execution_period_and_stops_the_clock() -> None:
    task = take(FLOW, "confirm", entered(), asking(CHECKER, 1)).task
    assert task["status"] == "completed"
    assert task["executionPeriod"] == {
        "start": "2026-11-22T12:00:00.000+08:00",
        "end": "2026-11-22T13:00:00.000+08:00",
    }
    assert task["restriction"]["period"] == {"start": "2026-11-22T13:00:00.000+08:00"}
    assert not any(one.decision.allowed for one in offers(FLOW, stored(task), asking(CHECKER, 2)))


def test_the_history_tells_who_took_which_step_when_and_why() -> None:
    case = stored(take(FLOW, "correct", returned(), asking(hours=2), recorded=[card()]).task)
    told = [(one.step, one.by, one.name, one.words, one.at) for one in case.history]
    assert told == [
        ("enter", "dr-li", "李医生", "", NOON),
        ("return", "cdc-wu", "吴", "No onset date", NOON + timedelta(hours=1)),
        ("correct", "dr-li", "李医生", "", NOON + timedelta(hours=2)),
    ]
    assert "statusReason" not in case.task
    assert len(case.task["output"]) == 2


def test_every_task_is_valid_r4() -> None:
    cases = [entered(), returned(), stored(fire(FLOW, entered(), "limit", later(25), ZONE).task)]
    for case in cases:
        assert validate("Task", json.dumps(case.task).encode()) == []


def test_a_label_is_added_and_the_version_that_was_read_stays() -> None:
    label = {"system": "urn:labels", "code": "R"}
    taken = take(
        FLOW,
        "return",
        entered(),
        asking(CHECKER),
        words="why",
        head={"meta": {"security": [label]}},
    )
    assert taken.task["meta"] == {"versionId": "1", "security": [OF_THE_WORKFLOW, label]}
    assert taken.entries[0]["request"]["ifMatch"] == 'W/"1"'


# ---- what is refused -----------------------------------------------------------------------------


def test_a_step_from_another_state_is_a_conflict() -> None:
    assert refused(Conflict, "correct", entered(), asking(), recorded=[card()]) == ["state:entered"]


def test_a_step_of_somebody_else_is_forbidden() -> None:
    without = Actor("cdc-wu", "public_health_worker", "吴", "cdc")
    assert refused(Forbidden, "confirm", entered(), asking(without)) == ["duty:infection_report"]
    assert refused(Forbidden, "escalate", entered(), asking(CHECKER)) == ["by-timer"]


def test_who_took_an_earlier_step_does_not_take_the_later_one() -> None:
    both = Actor(DOCTOR.code, "public_health_worker", "李医生", "cdc", duties=DUTY)
    assert refused(Forbidden, "confirm", entered(), asking(both)) == ["took:enter"]


def test_a_step_asks_for_what_it_records() -> None:
    assert refused(Invalid, "enter", None, asking()) == [
        "not-recorded:QuestionnaireResponse",
        f"not-recorded:{FORM.partition('|')[0]}",
    ]
    for wrong in (card("in-progress"), card(questionnaire="urn:other")):
        assert len(refused(Invalid, "enter", None, asking(), recorded=[wrong])) == 1


@pytest.mark.parametrize("words", ["", "  \n"])
def test_a_step_asks_for_its_reason(words: str) -> None:
    assert refused(Invalid, "return", entered(), asking(CHECKER), words=words) == ["words"]


def test_what_is_the_workflows_to_say_cannot_be_set() -> None:
    with pytest.raises(Invalid, match="status of a Task"):
        take(FLOW, "enter", None, asking(), recorded=[card()], head={"status": "completed"})
    with pytest.raises(Invalid, match="no step of this name"):
        take(FLOW, "fly", entered(), asking())


def test_a_task_without_its_version_is_not_written_over() -> None:
    case = entered()
    del case.task["meta"]["versionId"]
    with pytest.raises(Invalid, match="which version it is"):
        take(FLOW, "return", case, asking(CHECKER), words="x")


@pytest.mark.parametrize("part", ["code", "businessStatus", "executionPeriod", "restriction"])
def test_a_task_of_something_else_is_no_case(part: str) -> None:
    task = {name: value for name, value in entered().task.items() if name != part}
    with pytest.raises(Invalid):
        read_case(FLOW, task, ZONE)


# ---- timers --------------------------------------------------------------------------------------


def later(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


MINUTE = 1 / 60


@pytest.mark.parametrize(
    ("hours", "codes"),
    [
        (2 - MINUTE, []),
        (2, ["reminder"]),
        (24 - MINUTE, ["reminder"]),
        (24, ["reminder", "limit"]),
        (24 + MINUTE, ["reminder", "limit"]),
    ],
)
def test_a_clock_runs_out_at_its_minute(hours: float, codes: list[str]) -> None:
    assert [one.timer.code for one in due(FLOW, entered(), later(hours), ZONE)] == codes


def test_a_notice_goes_out_once_and_the_clock_goes_on() -> None:
    taken = fire(FLOW, entered(), "reminder", later(2.5), ZONE)
    assert [notice.code for notice in taken.notices] == ["waiting"]
    case = stored(taken.task, 2)
    assert case.state == "entered"
    assert case.due == later(24)
    assert due(FLOW, case, later(23.9), ZONE) == ()
    assert [one.timer.code for one in due(FLOW, case, later(24), ZONE)] == ["limit"]
    with pytest.raises(Conflict):
        fire(FLOW, case, "reminder", later(3), ZONE)


def test_a_clock_begins_anew_with_the_state() -> None:
    case = stored(fire(FLOW, entered(), "reminder", later(2), ZONE).task)
    case = stored(take(FLOW, "return", case, asking(CHECKER, 3), words="why").task)
    case = stored(take(FLOW, "correct", case, asking(hours=4), recorded=[card()]).task)
    assert due(FLOW, case, later(6) - timedelta(minutes=1), ZONE) == ()
    assert [one.timer.code for one in due(FLOW, case, later(6), ZONE)] == ["reminder"]


def test_a_step_that_leads_nowhere_leaves_the_case_its_state_and_its_time_limit() -> None:
    noting = Step(code="note", zh="备注", en="Note", begins_in=frozenset({"entered"}),
                  roles=frozenset({"doctor"}), needs_words=True)  # fmt: skip
    flow = msgspec.structs.replace(FLOW, steps={**FLOW.steps, "note": noting})
    reminded = stored(fire(FLOW, entered(), "reminder", later(2), ZONE).task)
    taken = take(flow, "note", reminded, asking(hours=3), words="the mother was called")
    case = stored(taken.task)
    assert (case.state, case.since, case.due) == ("entered", NOON, later(24))
    assert [(one.step, one.words) for one in case.history[2:]] == [
        ("note", "the mother was called")
    ]
    assert due(flow, case, later(23.9), ZONE) == (), "the reminder went out before"
    assert "statusReason" not in taken.task, "it is no reason for the state"


def test_a_timer_takes_its_step_in_the_name_of_the_node() -> None:
    taken = fire(FLOW, entered(), "limit", later(24), ZONE)
    case = stored(taken.task)
    assert case.state == "escalated"
    assert [(one.timer, one.step, one.by) for one in case.history[1:]] == [
        ("limit", "", "node"),
        ("", "escalate", "node"),
    ]
    assert [notice.code for notice in taken.notices] == ["overdue"]
    assert case.due is None


def test_a_timer_that_is_not_due_does_not_fire() -> None:
    for code in ("limit", "correction", "unheard-of"):
        with pytest.raises(Conflict):
            fire(FLOW, entered(), code, later(24) - timedelta(minutes=1), ZONE)


def after(text: str, start: str, zone: ZoneInfo = ZONE) -> str:
    duration = parse_duration(text)
    assert duration is not None
    begun = datetime.fromisoformat(start).replace(tzinfo=zone)
    return duration.after(begun, zone).astimezone(zone).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("PT2H", "2026-12-31T23:00", "2027-01-01T01:00"),
        ("PT90M", "2026-11-22T12:00", "2026-11-22T13:30"),
        ("P14D", "2026-11-22T12:00", "2026-12-06T12:00"),
        ("P2W", "2026-11-22T12:00", "2026-12-06T12:00"),
        ("P1M", "2026-01-31T08:00", "2026-02-28T08:00"),
        ("P1M", "2028-01-31T08:00", "2028-02-29T08:00"),
        ("P3M", "2026-11-30T08:00", "2027-02-28T08:00"),
        ("P1Y", "2028-02-29T08:00", "2029-02-28T08:00"),
        ("P1M1D", "2026-01-31T08:00", "2026-03-01T08:00"),
        ("P1DT1H", "2026-11-22T23:30", "2026-11-24T00:30"),
    ],
)
def test_a_duration_ends_by_the_calendar(text: str, start: str, end: str) -> None:
    assert after(text, start) == end


def test_days_keep_their_time_of_day_where_clocks_are_changed_and_hours_pass() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert after("P1D", "2026-03-28T12:00", berlin) == "2026-03-29T12:00"
    assert after("PT24H", "2026-03-28T12:00", berlin) == "2026-03-29T13:00"
    assert after("P1D", "2026-03-28T02:30", berlin) == "2026-03-29T03:30"


@pytest.mark.parametrize("text", ["P", "PT", "P1", "1D", "P-1D", "PT1S", "P1.5D", "P1D2M", "P0D"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert parse_duration(text) is None


def test_bounds_hold_for_every_day_of_two_years() -> None:
    for text in ("P1M", "P3M", "P1D", "PT24H", "P1Y"):
        duration = parse_duration(text)
        assert duration is not None
        least, most = duration.seconds_bounds
        for zone in (ZONE, ZoneInfo("Europe/Berlin")):
            start = datetime(2027, 1, 1, 1, 30, tzinfo=UTC)
            for day in range(730):
                begun = start + timedelta(days=day)
                lasted = (duration.after(begun, zone) - begun).total_seconds()
                assert least <= lasted <= most
