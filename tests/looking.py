"""Looks at pages in a real browser: does something scroll sideways, what does a checker find."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Browser, Page

WIDTHS: Final = (320, 1280)
# What the words are makes no difference to a checker; the long tests see both, and every page.
LANGUAGES: Final = ("zh", "en") if os.environ.get("QUANMIN_TESTS") == "full" else ("zh",)


@contextmanager
def acting(chromium: Browser, served: Any, actor: str, lang: str) -> Iterator[Page]:
    """A page in a browser in which an actor has entered."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800},
        extra_http_headers={"Accept-Language": lang},
    )
    try:
        context.add_cookies([served.cookie(actor)])
        yield context.new_page()
    finally:
        context.close()


def faults_on(page: Page, name: str, axe: str | None) -> Iterator[str]:
    """What is wrong with the page that is open; without `axe` it is looked at for width alone."""
    # After a click the next document may have begun and have no root yet.
    page.wait_for_load_state()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        needed = page.evaluate("document.documentElement.scrollWidth")
        if needed > width:
            yield f"{name}: needs {needed} of {width}"
    if axe is None:
        return
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',"
        " 'best-practice']})"
    )
    for one in found["violations"]:
        for node in one["nodes"]:
            yield f"{name}: {one['id']}: {node['target']} {node['failureSummary']}"
