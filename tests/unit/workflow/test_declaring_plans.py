"""An application's plans.toml is loaded, or everything that is wrong with it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from falling_due import IMMUNIZATION

from quanmin.base.problems import Unusable
from quanmin.trust import Role
from quanmin.trust.due import Escalating, Reminder
from quanmin.trust.notices import NoticeKind
from quanmin.workflow.plans import Declared, load_plans

HEAD = "[definition]\nsource = 't'\nowner = 't'\nversion = '1'\neffective = 2026-01-01\n"
PLAN = """
[[plan]]
code = "trial"
definition = "hypertension-2017"
activities = ["activities"]
facts = "facts"
"""
NOTICES = """
[[plan.reminder]]
kind = "trial.due"
days = -7
[[plan.escalation]]
to = "county-cdc"
kind = "trial.late"
roles = ["public_health_worker"]
kinds = ["cdc"]
"""
READS = frozenset({"Patient", "Immunization", "Condition"})
KINDS = {
    code: NoticeKind(code=code, class_="task", zh=words, en=words)
    for code, words in (("trial.due", "{what}"), ("trial.late", "{due}"), ("trial.who", "{name}"))
}
Load = Callable[..., tuple[Declared, ...]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads what stands in plans.toml, beside a table of facts."""
    folder = tmp_path / "trial"
    (folder / "definitions").mkdir(parents=True)
    (folder / "definitions" / "facts.toml").write_text(HEAD + IMMUNIZATION, "utf-8")

    def loaded(text: str, **more: Any) -> tuple[Declared, ...]:
        (folder / "definitions" / "plans.toml").write_text(HEAD + text, "utf-8")
        return load_plans(folder, "trial", **{"reads": READS, "kinds": KINDS, **more})

    return loaded


def test_a_plan_that_all_share_is_declared_with_facts_of_ones_own(load: Load) -> None:
    (found,) = load(PLAN + NOTICES)
    assert found.plan.url.endswith("hypertension-2017")
    assert found.types == READS
    assert found.reminders == (Reminder("trial.due", -7),)
    workers, cdc = frozenset[Role]({"public_health_worker"}), frozenset({"cdc"})
    assert found.escalations == (Escalating("county-cdc", "trial.late", workers, cdc),)


def test_its_stamp_is_another_when_the_table_is(load: Load, tmp_path: Path) -> None:
    (before,) = load(PLAN)
    table = tmp_path / "trial" / "definitions" / "facts.toml"
    table.write_text(table.read_text("utf-8").replace('"dtap" = "dtap", ', ""), "utf-8")
    (after,) = load(PLAN + NOTICES)
    assert (after.stamp != before.stamp, len(before.stamp)) == (True, 32)
    (again,) = load(PLAN)
    assert again.stamp == after.stamp, "what is told of it does not change where people stand"


def test_an_application_without_the_file_has_no_plan(tmp_path: Path) -> None:
    assert load_plans(tmp_path, "trial", reads=READS) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAN.replace('"trial"', '"other"'), "other: its code is trial"),
        (PLAN.replace('"hypertension-2017"', '"none"'), "No such file"),
        (PLAN.replace('facts = "facts"', 'facts = "none"'), "No such file"),
        (PLAN + PLAN, "trial: is declared twice"),
        (PLAN + NOTICES.replace("county-cdc", "nobody"), "escalates nothing to nobody"),
        (PLAN + NOTICES.replace("trial.due", "trial.x"), "has no kind trial.x"),
        (PLAN + NOTICES.replace("trial.due", "trial.who"), "may name due, what"),
        (PLAN + NOTICES.replace("public_health_worker", "ghost"), "ghost"),
        (PLAN + "more = 1", "more"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(load: Load, text: str, said: str) -> None:
    with pytest.raises(Unusable, match=r"plans\.toml") as told:
        load(text)
    assert said in told.value.text


def test_a_type_that_the_application_does_not_read_is_refused(load: Load) -> None:
    with pytest.raises(Unusable, match="does not read Condition, Immunization"):
        load(PLAN, reads=frozenset({"Patient"}))
