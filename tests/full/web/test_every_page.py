"""Every page of a demonstration keeps the bar in every look and whoever sees it, and comes in time
on a slow line.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from every_page import faults_of_every_page

pytestmark = pytest.mark.browser

LANGUAGES = ("zh", "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_keeps_the_bar_in_every_look(passable_folder: Path, language: str) -> None:
    part = LANGUAGES.index(language), len(LANGUAGES)
    faults = faults_of_every_page(passable_folder / f"pages-{language}", language, part)
    assert not faults, "\n".join(faults)
