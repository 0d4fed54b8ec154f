"""Presses what leads to another page, in a browser of the tests."""

from __future__ import annotations

from playwright.sync_api import Page


def press(page: Page, what: str) -> None:
    """Press it and wait for the page that follows: a click alone may return while the next document
    has no content yet.
    """
    with page.expect_navigation():
        page.click(what)
