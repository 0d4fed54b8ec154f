"""Every page of a demonstration keeps the bar in one of the looks in which all pairs of language,
size of text, script and width meet; in the long tests in all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from every_page import faults_of_every_page

pytestmark = pytest.mark.browser


@pytest.mark.skipif(
    os.environ.get("QUANMIN_TESTS") == "full",
    reason="tests/full/web sees each of them, in all looks",
)
def test_every_page_keeps_the_bar(passable_folder: Path) -> None:
    faults = faults_of_every_page(passable_folder / "pages", "one")
    assert not faults, "\n".join(faults)
