"""A measles case is reported within its clock and reviewed: at the doctor's desk, at the hospital,
at the centre, in a real browser; and the pages on the way have nothing that a checker finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from looking import acting, faults_on
from playwright.sync_api import Browser, Page
from pressing import press
from reporting import answers, now_of, settle

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def county(served: Any) -> Any:
    served.ask(settle)
    return served


def fill(page: Page, fields: dict[str, str]) -> None:
    """Fill a form in as a person does."""
    for name, value in fields.items():
        field = page.locator(f'[name="{name}"]')
        if field.first.get_attribute("type") == "radio":
            page.check(f'[name="{name}"][value="{value}"]')
        elif field.first.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def taken(page: Page, where: str, step: str) -> None:
    page.goto(where)
    press(page, f'form:has(input[value="{step}"]) button')


def test_a_measles_case_is_reported_within_its_clock_and_reviewed(
    county: Any, chromium: Browser, axe: str
) -> None:
    async def now(clinic: Any) -> datetime:
        return now_of(clinic)

    found: list[str] = []

    def look(page: Page, name: str) -> Iterator[str]:
        yield from faults_on(page, name, axe)

    with acting(chromium, county, "dr-li", "zh") as page:
        page.goto(f"{county.address}/infectious/of/{county.ids['hospital-a Patient']}")
        found += look(page, "card to fill in")
        fields = answers(county.ask(now))
        fields.pop("do")
        fill(page, fields)
        press(page, 'button.hidden ~ .actions button[value="send"], .actions button[value="send"]')
        where = page.url
        assert "待院内审核" in page.inner_text("main")
        found += look(page, "card of the doctor")
    with acting(chromium, county, "pre-sun", "en") as page:
        page.goto(f"{county.address}/infectious?state=entered")
        found += look(page, "cards")
        taken(page, where, "check")
        assert "in time" in page.inner_text("main")
    with acting(chromium, county, "cdc-wu", "zh") as page:
        page.goto(county.address)
        assert "传染病报告卡" in page.inner_text("main")
        taken(page, where, "confirm")
        assert "终审通过" in page.inner_text("main")
        found += look(page, "card of the centre")
        since = f"{county.ask(now):%Y-%m-%d}"
        page.goto(f"{county.address}/epidemic?since={since[:8]}01&until={since}")
        assert "1 例" in page.inner_text("main")
        found += look(page, "picture")
    assert found == []
