"""Presses what leads to another page, in a browser of the tests."""

from __future__ import annotations

from playwright.sync_api import Page


def press(page: Page, what: str) -> None:
    """Press it and wait for the page that follows: a click alone may return while the next document
    has no content yet.
    """
    with page.expect_navigation():
        page.click(what)


def fill_in(page: Page, fields: dict[str, str]) -> None:
    """Fill a form in as a person does."""
    for name, value in fields.items():
        field = page.locator(f'[name="{name}"]')
        if field.first.get_attribute("type") in {"radio", "checkbox"}:
            page.check(f'[name="{name}"][value="{value}"]')
        elif field.first.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
