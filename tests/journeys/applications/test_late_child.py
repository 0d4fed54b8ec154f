"""A child is vaccinated late, moves to another county and catches up: over HTTP, and in a real
browser.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from clinic import Browser, Clinic
from looking import acting
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect
from pressing import fill_in, press
from vaccinating import ROUTE, SITE, give, identity, points, received, registered, said, store

from quanmin.demo.numbering import credit_code
from quanmin.trust import Actor
from quanmin.trust.sign_in import cookie_name
from quanmin.workflow.stock import PRODUCT_SYSTEM

pytestmark = pytest.mark.browser

CODES = credit_code("580104", 41), credit_code("580105", 42)
HERE = Actor("late-wu", "public_health_worker", "吴护士", f"sender-{CODES[0]}")
THERE = Actor("late-li", "public_health_worker", "李护士", f"sender-{CODES[1]}")
AGE_DAYS = 600
LATE = "/vaccination/due?status=overdue&series=dtap"


@pytest.fixture(scope="module")
def counties(served: Any) -> Any:
    """Vaccination points in two counties, both with the vaccine."""

    async def stocked(clinic: Clinic) -> None:
        await points(clinic, (HERE, CODES[0]), (THERE, CODES[1]))
        for actor in (HERE, THERE):
            worker = await clinic.enter(actor.code)
            await received(worker, await store(worker), product="DTaP", number="D1", count="9")
            await worker.client.aclose()

    served.ask(stocked)
    return served


async def over_http(served: Any, clinic: Clinic, code: str) -> Browser:
    """A browser without script, by a socket of the node that serves the others."""
    browser = await clinic.enter(code)
    cookie = browser.client.cookies[cookie_name(is_secure=False)]
    await browser.client.aclose()
    browser.client = httpx.AsyncClient(
        base_url=served.address,
        headers={"Accept-Language": "en", "Origin": served.address},
        cookies={cookie_name(is_secure=False): cookie},
        trust_env=False,
    )
    return browser


def now(served: Any) -> datetime:
    async def told(clinic: Clinic) -> datetime:
        return datetime.fromtimestamp(clinic.guard.now() / 1_000_000, ZoneInfo("Asia/Shanghai"))

    found: datetime = served.ask(told)
    return found


def dose(moment: datetime, trace: int) -> dict[str, str]:
    return {"given": f"{moment:%Y-%m-%dT%H:%M:%S}", "trace": f"8300000000000000{trace:04d}"}


def row(text: str) -> str:
    """The line of what is due of the vaccine, of a page in words."""
    found = re.search(
        r"Diphtheria.*?(?=Diphtheria|Measles|Japanese|Hepatitis|Mening|Polio|$)", text
    )
    return found[0] if found else text


def test_over_http_a_course_begun_late_goes_on_in_another_county(counties: Any) -> None:
    today = now(counties)
    born = f"{today - timedelta(days=AGE_DAYS):%Y-%m-%d}"
    first, early = today - timedelta(days=40), today - timedelta(days=13)

    async def late(clinic: Clinic) -> None:
        here = await over_http(counties, clinic, HERE.code)
        child = await registered(here, "迟小童", born, "024")
        assert "迟小童" in said(await here.get(LATE)), "it has missed the first dose"
        fields = dose(first, 1)
        sent = await give(here, child, fields.pop("given"), product="DTaP", lot="D1", **fields)
        assert sent.status_code == 303, said(sent)
        await here.client.aclose()

    async def moved(clinic: Clinic) -> None:
        there = await over_http(counties, clinic, THERE.code)
        child = await registered(there, "迟小童", born, "024")
        page = f"/vaccination/of/{child}"
        told = said(await there.get(page))
        assert f"{first:%Y-%m-%d}" in told, "what was given there is known here"
        assert re.match(r"Diphtheria\D* 2 Overdue", row(told)), row(told)
        fields = dose(early, 2)
        refused = await give(there, child, fields.pop("given"), product="DTaP", lot="D1", **fields)
        assert refused.status_code == 422
        assert f"the first day is {first + timedelta(days=28):%Y-%m-%d}" in said(refused)
        fields = dose(today, 2)
        sent = await give(there, child, fields.pop("given"), product="DTaP", lot="D1", **fields)
        assert sent.status_code == 303, said(sent)
        told = said(await there.get(page))
        assert re.match(r"Diphtheria\D* 3 ", row(told)), "caught up, never begun anew"
        assert f"{today + timedelta(days=28):%Y-%m-%d}" in row(told)
        assert "迟小童" not in said(await there.get(LATE))
        here = await over_http(counties, clinic, HERE.code)
        assert "迟小童" not in said(await here.get(LATE)), "nor is it looked for where it lived"
        for browser in (here, there):
            await browser.client.aclose()

    counties.ask(late)
    counties.ask(moved)


def test_in_a_browser_the_same_child_is_found_late_and_caught_up(
    counties: Any, chromium: Chromium
) -> None:
    today = now(counties)
    born = f"{today - timedelta(days=AGE_DAYS):%Y-%m-%d}"
    person = {"name": "迟小满", "sex": "female", "born": born, "identity": identity(born, "022")}
    with acting(chromium, counties, HERE.code, "en") as page:
        page.goto(f"{counties.address}/registration")
        fill_in(page, person)
        press(page, "main form .actions button")
        page.goto(f"{counties.address}{LATE}")
        press(page, "main tbody a >> text=迟小满")
        _record(page, dose(today - timedelta(days=40), 3))
        expect(page.locator("main")).to_contain_text("D1")
    with acting(chromium, counties, THERE.code, "zh") as page:
        page.goto(f"{counties.address}/registration")
        fill_in(page, person)
        press(page, "main form .actions button")
        child = page.url.rpartition("/")[2]
        page.goto(f"{counties.address}/vaccination/of/{child}")
        due = page.locator("main table").first.locator("tr").filter(has_text="百白破").first
        expect(due).to_contain_text("2")
        _record(page, dose(today, 4))
        expect(due.locator("td").first).to_have_text("3")
        page.goto(f"{counties.address}{LATE}")
        expect(page.locator("main")).not_to_contain_text("迟小满")


def _record(page: Page, given: dict[str, str]) -> None:
    press(page, "main .actions a.button")
    fields = {"product": f"{PRODUCT_SYSTEM}|DTaP", "lot": "D1", **given, "site": SITE}
    fill_in(page, {**fields, "route": ROUTE, "asked": "true"})
    press(page, '.actions button[value="send"]')
