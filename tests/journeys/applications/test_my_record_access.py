"""A resident's way through the pages of access in a real browser, without script, at the width of a
narrow phone and of a desk, in both languages, under the eyes of an accessibility checker.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from books import CODE, Books, organization
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

HOME = "/my-record-access"


def judged(page: Page, axe: str) -> list[str]:
    """What the checker finds wrong, and whether the page scrolls sideways."""
    page.evaluate(axe)
    found = page.evaluate(
        "async () => (await axe.run()).violations.map(one => one.id + ' ' + one.nodes[0].html)"
    )
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*found, *([f"{width} pixels too wide"] if width > 0 else [])]


def keep(page: Page, name: str) -> None:
    """A picture for who wants to look: QUANMIN_PICTURES names the folder."""
    if folder := os.environ.get("QUANMIN_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("lang", "width"), [("zh", 320), ("en", 320), ("zh", 1280), ("en", 1280)])
def test_a_consent_is_given_and_who_looked_is_read(
    chromium: Browser, served: Any, axe: str, lang: str, width: int
) -> None:
    async def fill(clinic: Any) -> None:
        books = Books(clinic.guard, clinic.pool)
        if not await clinic.pool.fetchval("select count(*) from trust.institution_entry"):
            await books.enter(organization())

    served.ask(fill)
    context = chromium.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    context.add_cookies([served.cookie("resident")])
    found = {}

    def look(name: str) -> None:
        keep(page, f"{name}-{lang}-{width}")
        found[name] = judged(page, axe)

    try:
        page.goto(f"{served.address}{HOME}/refuse?institution=all&lang={lang}")
        look("refuse")
        page.goto(f"{served.address}{HOME}/give?text=人民医院")
        look("find")
        page.goto(f"{served.address}{HOME}/give?institution={CODE}")
        look("give")
        page.select_option("#purpose", "TREAT")
        page.check("input[name=scope][value=all]")
        page.check("input[name=kind-HIV]")
        page.fill("#until", page.get_attribute("#until", "max") or "")
        with page.expect_navigation():
            page.click("main form button")
        look("confirm")
        with page.expect_navigation():
            page.click("main form button")
        look("who-may")
        page.goto(f"{served.address}{HOME}/looked?own=1")
        look("looked")
        page.goto(f"{served.address}{HOME}")
        page.click(f"a[href^='{HOME}/consents/']")
        look("end")
    finally:
        context.close()
    assert {name: faults for name, faults in found.items() if faults} == {}
