"""Every page of a demonstration keeps the bar in every look, and comes in time on a slow line."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_page import faults_of_every_page

pytestmark = pytest.mark.browser

LANGUAGES = ("zh", "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_keeps_the_bar_in_every_look(passable_folder: Path, language: str) -> None:
    timed = LANGUAGES.index(language), len(LANGUAGES)
    folder = passable_folder / f"pages-{language}"
    faults = faults_of_every_page(folder, language, each_kind=True, timed=timed)
    assert not faults, "\n".join(faults)
