"""Examples of rules that do not hold, or are missing, are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from trials.infection_card import rules

from quanmin.web.application import discover
from quanmin.workflow.states import faults_of_examples

YES = """
[[example]]
title = "One card"
rule = "may_confirm"
given = { cards_of_person = 1 }
then = { allowed = true }
"""
NO = """
[[example]]
title = "Two cards"
rule = "may_confirm"
given = { cards_of_person = 2 }
then = { allowed = false, reasons = ["duplicate"] }
"""


def faults(folder: Path, text: str) -> list[str]:
    (folder / "examples").mkdir()
    (folder / "examples" / "a.toml").write_text(text, "utf-8")
    (one,) = discover("trials")
    return faults_of_examples(folder, {"may_confirm": rules.may_confirm}, one.application.workflow)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (YES, "rules.py: may_confirm has no example of a no"),
        (NO, "rules.py: may_confirm has no example of a yes"),
        (YES + NO.replace("person = 2", "person = 1"), "it is True for []"),
        (YES + NO.replace('["duplicate"]', "[]"), "it is False for ['duplicate']"),
        (YES + NO.replace('"duplicate"', '"twice"'), "no words for the reason twice"),
        (YES + NO.replace("may_confirm", "may_fly"), "there is no rule may_fly"),
        (YES + NO.replace("cards_of", "cows_of"), "unexpected keyword argument 'cows_of_person'"),
        (YES + NO.replace("then = {", "thus = {"), "Object contains unknown field `thus`"),
    ],
)
def test_an_example_that_does_not_hold_is_noticed(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in one for one in faults(tmp_path, text))


def test_examples_that_hold_have_no_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, YES + NO) == []
