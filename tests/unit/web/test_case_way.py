"""Where a case stands on its way, for the steps that its page shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
import pytest

from quanmin.web.application import discover
from quanmin.web.cases import OpenCase
from quanmin.workflow.states import Case, Event, Step

NOON = datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("Asia/Shanghai"))


def at(state: str, *history: dict[str, str]) -> OpenCase:
    """A case of the trial application in a state, after these steps and timers."""
    (trial,) = discover("trials")
    workflow = trial.application.workflow
    assert workflow is not None
    case = Case(
        task={},
        state=state,
        since=NOON,
        begun=NOON,
        due=None,
        history=tuple(Event(at=NOON, **one) for one in history),
    )
    nothing = cast("Any", None)
    return OpenCase(case, workflow, (), nothing, nothing)


ENTERED, RETURNED = {"step": "enter"}, {"step": "return"}


@pytest.mark.parametrize(
    ("state", "history", "way"),
    [
        (
            "entered",
            [ENTERED],
            (["To be checked"], 0, ["Confirmed", "Returned for correction", "Overdue, escalated"]),
        ),
        (
            "returned",
            [ENTERED, RETURNED],
            (["To be checked", "Returned for correction"], 1, ["To be checked", "Withdrawn"]),
        ),
        (
            "entered",
            [ENTERED, RETURNED, {"step": "correct"}],
            (
                ["Returned for correction", "To be checked"],
                1,
                ["Confirmed", "Returned for correction", "Overdue, escalated"],
            ),
        ),
        (
            "ended",
            [ENTERED, {"timer": "reminder"}, {"timer": "limit"}, {"step": "confirm"}],
            (["To be checked", "Overdue, escalated", "Confirmed"], 2, []),
        ),
        ("ended", [{"step": "of an older workflow"}], (["Confirmed"], 0, [])),
    ],
)
def test_it_shows_where_a_case_was_where_it_is_and_where_it_may_go(
    state: str, history: list[dict[str, str]], way: tuple[list[str], int, list[str]]
) -> None:
    assert at(state, *history).way("en") == way


def test_a_step_that_leaves_a_case_in_its_state_is_none_of_its_way() -> None:
    case = at("entered", ENTERED, {"step": "note"})
    note = Step(code="note", zh="备注", en="Note", begins_in=frozenset({"entered"}))
    noted = msgspec.structs.replace(case.workflow, steps={**case.workflow.steps, "note": note})
    assert replace(case, workflow=noted).way("en") == case.way("en")


def test_it_does_so_in_both_languages() -> None:
    assert at("ended").way("zh")[0] != at("ended").way("en")[0]
