"""The pages of applications in the manual are what the applications declare."""

from __future__ import annotations

import draw_applications
from tidy.tree import assert_clean

from quanmin.web.application import discover


def test_pages_of_applications_are_what_they_declare() -> None:
    wanted = draw_applications.all_files()
    assert len(wanted) == len(discover()) + 1
    assert_clean(draw_applications.stale(wanted))


def test_a_stale_page_of_an_application_is_noticed() -> None:
    wanted = draw_applications.all_files()
    changed = {path: f"{text} " for path, text in wanted.items()}
    assert len(draw_applications.stale(changed)) == len(wanted)
    assert draw_applications.stale({})


def test_a_page_tells_all_that_an_application_declares() -> None:
    (trial,) = discover("trials")
    text = draw_applications.page(trial, "trials")
    for said in (
        "# Report cards (传染病报告卡)",
        "For whom: doctors who report and public-health workers who check.",
        "| reads | Patient, QuestionnaireResponse, Task |",
        "| `/cards/{id}` | GET, POST | all of them |  |",
        "[Infectious disease report card](../reference/workflows/infection_card.md)",
        "| `infection_card.centre-checks` |",
        "| `infection_card.waiting` | task |",
        "| A second card | `may_confirm` | cards_of_person = 2 |",
    ):
        assert said in text
