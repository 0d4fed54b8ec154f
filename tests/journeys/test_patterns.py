"""The pattern page in a real browser: every component of the kit in both languages, normal and
large text, from the narrowest phone to the desk, under the eyes of an accessibility checker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

_CHECK = (
    "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
)
# The size at which each text of a drawing is seen, for those that are; print's paper is no screen.
_SIZES = """() => [...document.querySelectorAll('figure svg text')].filter(
  one => one.getClientRects().length).map(one => parseFloat(getComputedStyle(one).fontSize)
  * one.getScreenCTM().a)"""


@contextmanager
def opened(
    chromium: Browser, served: Any, *, lang: str, large: int, width: int
) -> Iterator[tuple[Page, list[str]]]:
    """The pattern page, and what the browser complains of."""
    context = chromium.new_context(viewport={"width": width, "height": 800}, bypass_csp=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        context.add_cookies([served.cookie("centre")])
        page.goto(f"{served.address}/patterns?lang={lang}&large={large}")
        yield page, said
    finally:
        context.close()


@pytest.mark.parametrize("seen", [("zh", 0, 1280), ("en", 1, 320)], ids=str)
def test_an_accessibility_checker_finds_nothing_and_nothing_is_too_small_or_too_wide(
    chromium: Browser, served: Any, axe: str, seen: tuple[str, int, int]
) -> None:
    lang, large, width = seen
    with opened(chromium, served, lang=lang, large=large, width=width) as (page, said):
        if folder := os.environ.get("QUANMIN_PICTURES"):
            name = f"patterns-{lang}-{large}-{width}.png"
            page.screenshot(path=Path(folder) / name, full_page=True)
        smallest = min(page.evaluate(_SIZES))
        needed = page.evaluate("document.documentElement.scrollWidth")
        for details in page.query_selector_all("details:not([open]) summary"):
            details.click()
        page.evaluate(axe)
        found = page.evaluate(_CHECK)
    assert len(found["passes"]) > 20
    assert [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ] == []
    assert needed <= width
    assert smallest >= (18 if large else 12)
    assert said == []
