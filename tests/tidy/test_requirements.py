"""What is said to be met is shown by a test that exists, and the page says what the data say."""

from __future__ import annotations

import re

import build_requirements_pages as requirements
import pytest
from build_requirements_pages import BULK, GUIDES, Guide, Unanswered
from shared import archive
from tidy.tree import ROOT, assert_clean

_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def missing_tests(said: dict[str, tuple[str, str]]) -> list[str]:
    """Requirements that are met by a test that is not there."""
    found = []
    for number, (verdict, why) in said.items():
        named = _NAMED.fullmatch(why)
        if verdict != "met":
            continue
        path = ROOT / named[1] if named else ROOT
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if named is None or not re.search(rf"^(?:async )?def {named[2]}\b", text, re.MULTILINE):
            found.append(f"requirement {number}: there is no test {why}")
    return found


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_every_requirement_said_to_be_met_has_its_test(guide: Guide) -> None:
    assert_clean(missing_tests(requirements.answers(guide)))


def test_a_test_that_is_not_there_is_noticed() -> None:
    here = "tests/tidy/test_requirements.py"
    assert missing_tests({"1": ("met", f"`{here}::test_nothing`"), "2": ("declined", "why")})
    assert missing_tests({"1": ("met", "`tests/tidy/nowhere.py::test_nothing`")})


@pytest.mark.shared
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_the_pages_of_requirements_are_up_to_date(guide: Guide) -> None:
    rows = requirements.rows_of(archive("inferno_requirements.tar.xz"), guide)
    written = requirements.page(guide, rows, requirements.answers(guide))
    current = guide.page_file.read_text(encoding="utf-8")
    assert current == written, "run tools/build_requirements_pages.py"


def test_a_requirement_without_an_answer_is_noticed() -> None:
    row = {"Req Set": "guide_2.0.0", "ID": "1", "Requirement": "all", "Conformance": "SHALL"}
    with pytest.raises(Unanswered, match="no answer"):
        requirements.page(BULK, [row], {})
    with pytest.raises(Unanswered, match="no requirement"):
        requirements.page(BULK, [], {"9": ("chosen", "why")})
