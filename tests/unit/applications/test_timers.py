"""The timers of workflows run as long as the norms say."""

from __future__ import annotations

from quanmin.web.application import discover


def test_each_timer_runs_as_long_as_its_norm_says() -> None:
    """Whoever changes one says so here as well, with the source in the workflow."""
    workflows = (one.application for one in discover())
    assert {
        f"{one.name} {code}": timer.after
        for one in workflows
        if one.workflow is not None
        for code, timer in one.workflow.timers.items()
        if timer.after
    } == {
        "adverse_events urgent-limit": "PT2H",
        "adverse_events limit": "PT48H",
        "adverse_events grading": "P30D",
        "chronic_followup unchecked": "P14D",
        "infectious_contacts unvisited": "P1D",
        "infectious_report correction_waits": "PT24H",
        "infectious_report hand_over_waits": "PT24H",
        "infectious_report done": "P1Y",
        "mental_health treatment": "P14D",
        "mental_health visit": "P14D",
    }
