"""First pages in a browser: on a phone and a desk, large, in both languages, by keyboard alone."""

from __future__ import annotations

from typing import Any

import pytest
from looking import acting
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser


def test_on_a_phone_the_menu_opens_and_closes_by_keyboard_and_without_script(
    chromium: Browser, served: Any
) -> None:
    context = chromium.new_context(
        viewport={"width": 320, "height": 800}, java_script_enabled=False
    )
    try:
        context.add_cookies([served.cookie("centre")])
        page = context.new_page()
        page.goto(f"{served.address}/people?lang=en")
        menu = page.get_by_role("navigation", name="Main menu")
        expect(menu).to_have_count(0)
        page.get_by_role("link", name="Menu", exact=True).press("Enter")
        expect(menu).to_be_visible()
        page.keyboard.press("Tab")
        expect(menu.get_by_role("link").first).to_be_focused()
        page.get_by_role("link", name="Close the menu").press("Enter")
        expect(menu).to_have_count(0)
        page.get_by_role("link", name="Menu", exact=True).press("Enter")
        menu.get_by_role("link", name="Registers").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Registers")
        page.get_by_role("main").get_by_role("link", name="Register of posts").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Register of posts")
    finally:
        context.close()


def test_residents_with_large_text_have_targets_of_sixty_pixels(
    chromium: Browser, served: Any
) -> None:
    with acting(chromium, served, "resident", "zh") as page:
        page.goto(f"{served.address}/?large=1")
        found = page.locator(".choose a")
        assert 1 <= found.count() <= 5
        for number in range(found.count()):
            box = found.nth(number).bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 60
        size = "parseFloat(getComputedStyle(document.body).fontSize)"
        assert page.evaluate(size) >= 18
