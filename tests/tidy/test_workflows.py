"""The pictures and pages of workflows in the manual are those of the workflow.toml files."""

from __future__ import annotations

import draw_workflows
from tidy.tree import assert_clean


def test_pages_of_workflows_are_those_of_their_files() -> None:
    wanted = draw_workflows.all_files()
    assert draw_workflows.EXAMPLE in wanted
    assert_clean(draw_workflows.stale(wanted))


def test_a_stale_page_is_noticed() -> None:
    wanted = draw_workflows.all_files()
    changed = {path: f"{text} " for path, text in wanted.items()}
    assert len(draw_workflows.stale(changed)) == len(wanted)


def test_a_page_tells_states_steps_and_timers() -> None:
    (trial,) = draw_workflows.with_workflow("trials")
    found = draw_workflows.page(trial)
    text = found["docs/reference/workflows/infection_card.md"]
    assert "| Return for correction | 退回订正 | To be checked, Overdue, escalated |" in text
    assert "| Not checked for a day | 二十四小时未审核 | To be checked | 24 h | Escalate |" in text
    assert {path.rpartition("/")[2] for path in found} == {
        *("infection_card.md", "infection_card.svg", "infection_card.zh.svg"),
    }
