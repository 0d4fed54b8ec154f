"""A workflow is checked as a whole when a node starts, and every fault is told with its place."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
from trials import infection_card
from trials.infection_card import rules

from quanmin.base.problems import Unusable
from quanmin.web.application import discover
from quanmin.workflow.states import Workflow, load_workflow

FOLDER = Path(str(infection_card.__file__)).parent
ROLES = frozenset({"doctor", "public_health_worker"})
WRITES = frozenset({"Task", "QuestionnaireResponse"})


def lay(folder: Path, *changes: tuple[str, str], more: str = "") -> Path:
    """The folder of the trial application with its workflow changed."""
    text = (FOLDER / "workflow.toml").read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "workflow.toml").write_text(text + more, "utf-8")
    (folder / "definitions").mkdir()
    card = (FOLDER / "definitions" / "card.json").read_bytes()
    (folder / "definitions" / "card.json").write_bytes(card)
    return folder


def load(folder: Path, module: types.ModuleType | None = rules) -> Workflow:
    return load_workflow(folder, roles=ROLES, writes=WRITES, rules=module)


def faults(folder: Path, *changes: tuple[str, str], more: str = "") -> list[str]:
    with pytest.raises(Unusable) as told:
        load(lay(folder, *changes, more=more))
    return [issue.text for issue in told.value.issues]


def step(code: str, **parts: str) -> str:
    said = {"zh": '"字"', "en": '"words"', "roles": '["doctor"]', **parts}
    return f'\n[[step]]\ncode = "{code}"\n' + "\n".join(
        f"{name.replace('begins', 'from')} = {value}" for name, value in said.items()
    )


def timer(code: str, **parts: str) -> str:
    said = {"zh": '"字"', "en": '"words"', **parts}
    return f'\n[[timer]]\ncode = "{code}"\n' + "\n".join(
        f"{name} = {value}" for name, value in said.items()
    )


STATE = '\n[[state]]\ncode = "{}"\nzh = "字"\nen = "words"\ntask = "on-hold"\n'


def test_a_sound_workflow_is_found_with_its_application() -> None:
    (installed,) = discover("trials")
    workflow = installed.application.workflow
    assert workflow is not None
    assert workflow.name == "infection_card"
    assert workflow.canonical == "https://quanmin.example/fhir/workflow/infection-card|1"
    assert list(workflow.states) == ["entered", "returned", "escalated", "ended", "withdrawn"]
    assert list(workflow.rules) == ["may_enter", "may_confirm"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('owner = "quanmin maintainers"\n', ""), "the top: Object missing required field `owner`"),
        (("effective = 2026-11-22", 'effective = "soon"'), "the top: Invalid"),
        (('url = "https:', 'url = "'), "the top: url names the workflow"),
        (('zh = "待审核"', 'zh = " "'), "state 1 (entered): has no words in zh"),
        (('en = "Confirm"', 'en = ""'), "step 2 (confirm): has no words in en"),
        (('en = "Not checked for a day"', 'en = ""'), "timer 2 (limit): has no words in en"),
        (('en = "Confirm"\n', ""), "step 2 (confirm): Object missing required field `en`"),
        (('to = "ended"', 'too = "ended"'), "step 2 (confirm): Object"),
        (('to = "ended"', 'to = "end"'), "step confirm: to end: there is none; known are ended"),
        (('from = ["returned"]', 'from = ["back"]'), "step correct: from back: there is none"),
        (('from = ["returned"]', 'from = ["ended"]'), "step correct: from ended: that is final"),
        (('from = ["returned"]', 'from = ["ended"]\nreopens = true'),
         "step correct: one that reopens leads from final states"),
        (('from = ["returned"]', 'from = ["returned"]\nreopens = true'),
         "step correct: one that reopens leads from final states"),
        (('task = "on-hold"', 'task = "waiting"'), "state returned: task waiting: no Task.status"),
        (('task = "on-hold"', 'task = "failed"'), "state returned: final is False, but a Task"),
        (("final = true", "final = false"), "state ended: final is False, but a Task"),
        (('"may_confirm"', '"may_check"'), "step confirm: rule may_check: there is none"),
        (('["public_health_worker"]', '["nurse"]'), "step confirm: role nurse: there is none"),
        (('["infection_report"]', '["cooking"]'), "step confirm: duty cooking: there is none"),
        (('roles = ["doctor"]\nneeds', "needs"), "step withdraw: nobody may take it"),
        (('roles = ["doctor"]\nneeds', 'roles = ["operator"]\nneeds'),
         "step withdraw: with an answer"),
        (('roles = ["doctor"]\nneeds', 'answer = "void"\nroles = ["doctor"]\nneeds'),
         "step withdraw: with an answer"),
        (('roles = ["doctor"]\nneeds',
          'answer = "void"\nroles = ["doctor", "operator"]\nneeds'),
         "step withdraw: with an answer"),
        (('not_after = ["enter"', 'not_after = ["begin"'), "step confirm: not_after begin"),
        (('records = ["Q', 'records = ["Flag", "Q'), "step enter: records Flag: there is none"),
        (("Questionnaire/infection-card", "Questionnaire/other"), "step enter: form https:"),
        (('notices = ["confirmed"]', ""), "notice confirmed: no step and no timer sends it"),
        (('["confirmed"]', '["agreed"]'), "step confirm: notice agreed: there is none"),
        (("to_subject = true", ""), "notice confirmed: goes to nobody"),
        (('after = "PT2H"', 'after = "2h"'), "timer reminder: after 2h: no duration like PT24H"),
        (('after = "PT2H"', 'after = "P0D"'), "timer reminder: after P0D: no duration"),
        (('state = "returned"', 'state = "ended"'), "timer correction: cannot fire: nothing waits"),
        (('notice = "waiting"', ""), "timer reminder: name a step that is taken, or a notice"),
        (('step = "escalate"', 'step = "go"'), "timer limit: step go: there is none"),
        (('step = "escalate"', 'step = "correct"'), "timer limit: cannot fire: step correct does"),
        (('to = "escalated"\n', ""), "timer limit: cannot fire: step escalate leaves the case"),
        (('to = "entered"\n', ""), "step enter: to: a step that begins a case leads to a state"),
        (('step = "escalate"', 'step = "confirm"'), "timer limit: cannot fire: step confirm asks"),
        (('state = "entered"\nafter = "PT2H"', 'state = "entered"\nafter = "P2D"'),
         "timer reminder: cannot fire: limit has taken the case out of entered by then"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place(
    tmp_path: Path, change: tuple[str, str], fault: str
) -> None:
    found = faults(tmp_path, change)
    place = f"{tmp_path.name}/workflow.toml: {fault}"
    assert any(one.startswith(place) for one in found), found


def test_a_state_that_nothing_leads_to_is_told(tmp_path: Path) -> None:
    more = STATE.format("lost") + step("leave", begins='["lost"]', to='"ended"')
    (fault,) = faults(tmp_path, more=more)
    assert fault.endswith("state lost: unreachable: no way leads to it from a beginning")


def test_a_state_without_way_out_is_told_and_so_is_a_circle_that_never_ends(tmp_path: Path) -> None:
    more = STATE.format("stuck") + step("fall", begins='["entered"]', to='"stuck"')
    more += step("turn", begins='["stuck"]', to='"stuck"')
    (fault,) = faults(tmp_path, more=more)
    assert fault.endswith("state stuck: no way out: no final state can be reached from it")


def test_a_workflow_that_cannot_begin_is_told(tmp_path: Path) -> None:
    found = faults(
        tmp_path, ('to = "entered"\nroles', 'from = ["returned"]\nto = "entered"\nroles')
    )
    assert any("no step begins a case" in fault for fault in found)


def test_a_code_that_stands_twice_is_told(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, more=STATE.format("returned"))
    assert fault.endswith("state 6 (returned): this code stands twice")


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    changes = (('zh = "待审核"', 'zh = ""'), ('"may_confirm"', '"no_rule"'), ("PT2H", "never"))
    assert len(faults(tmp_path, *changes)) == 3


def test_without_rules_or_the_right_to_write_tasks_it_does_not_load(tmp_path: Path) -> None:
    lay(tmp_path)
    with pytest.raises(Unusable, match="rule may_enter: there is none"):
        load(tmp_path, None)
    with pytest.raises(Unusable, match="a case is a Task"):
        load_workflow(tmp_path, roles=ROLES, writes=WRITES - {"Task"}, rules=rules)


@pytest.mark.parametrize("text", ["", "state = 3", "[[state]]", "state = [1, 2]", "= broken"])
def test_what_is_no_workflow_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "workflow.toml").write_text(text)
    with pytest.raises(Unusable):
        load(tmp_path)


def test_only_rules_count_that_the_module_defines_itself(tmp_path: Path) -> None:
    module = types.ModuleType("other")
    module.may_enter = rules.may_enter  # type: ignore[attr-defined]  # borrowed from elsewhere
    lay(tmp_path)
    with pytest.raises(Unusable, match="rule may_enter: there is none"):
        load(tmp_path, module)


def test_of_timers_at_the_same_moment_the_notice_goes_first(tmp_path: Path) -> None:
    more = timer("last_call", state='"entered"', after='"PT24H"', notice='"waiting"')
    workflow = load(lay(tmp_path, more=more))
    codes = [one.code for one in workflow.timers_of("entered")]
    assert codes == ["reminder", "last_call", "limit"]
