"""A measles case is reported within its clock and reviewed: at the doctor's desk, at the hospital,
at the centre, in a real browser; and the pages on the way have nothing that a checker finds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from looking import acting, faults_on
from playwright.sync_api import Browser, Page
from pressing import fill_in, press
from reporting import answers, now_of, settle

from quanmin.node.demo_registers import fill_terminology
from quanmin.node.settings import Settings

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def county(served: Any) -> Any:
    served.ask(settle)
    return served


def picture(page: Page, name: str) -> None:
    """A picture of the page on a phone, where pictures are asked for."""
    if folder := os.environ.get("QUANMIN_PICTURES"):
        page.set_viewport_size({"width": 360, "height": 800})
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def taken(page: Page, where: str, step: str) -> None:
    page.goto(where)
    press(page, f'form:has(input[value="{step}"]) button')


def steps_of(page: Page) -> tuple[list[str], str]:
    """The states that a case has been in, in order, and the one that is marked as where it is."""
    shown = page.locator(".steps li:not(.then)").evaluate_all(
        "all => all.map(one => one.firstChild.textContent.trim())"
    )
    here = page.locator(".steps [aria-current=step]")
    assert here.count() == 1
    return shown, here.inner_text().strip()


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
        for name in ("do", "case/disease"):
            fields.pop(name)
        fill_in(page, {**fields, "case/disease~find": "麻疹"})
        press(page, 'button.hidden ~ .actions button[value="send"], .actions button[value="send"]')
        where = page.url
        assert steps_of(page) == (["待院内审核"], "待院内审核")
        found += look(page, "card of the doctor")
    with acting(chromium, county, "pre-sun", "en") as page:
        page.goto(f"{county.address}/infectious?state=entered")
        found += look(page, "cards")
        taken(page, where, "check")
        assert "in time" in page.inner_text("main")
        assert page.locator(".steps .done").count() == 1
        assert "next:" in page.inner_text(".steps .then")
    with acting(chromium, county, "cdc-wu", "zh") as page:
        page.goto(county.address)
        assert "传染病报告卡" in page.inner_text("main")
        taken(page, where, "confirm")
        assert steps_of(page) == (["待院内审核", "待疾控审核", "终审通过"], "终审通过")
        found += look(page, "card of the centre")
        since = f"{county.ask(now):%Y-%m-%d}"
        page.goto(f"{county.address}/epidemic?since={since[:8]}01&until={since}")
        assert "1 例" in page.inner_text("main")
        found += look(page, "picture")
    assert found == []


def test_a_diagnosis_is_looked_for_and_chosen_with_the_keyboard(
    county: Any, chromium: Browser, axe: str
) -> None:
    async def know_codes(clinic: Any) -> None:
        await fill_terminology(clinic.guard, Settings())

    county.ask(know_codes)
    told: list[str] = []
    box, field = 'input[name="case/icd10~find"]', '[id="case/icd10"]'
    with acting(chromium, county, "dr-li", "zh") as page:
        page.on("console", lambda message: told.append(message.text))
        page.on("request", lambda request: told.append(request.url))
        page.goto(f"{county.address}/infectious/of/{county.ids['hospital-a Patient']}")
        page.type(box, "gxy")
        page.wait_for_selector("[role=option]")
        found = list(faults_on(page, "card with codes", axe))
        picture(page, "picker-open")
        shown = page.inner_text(f"{field} [role=status]")
        assert page.get_attribute(box, "aria-expanded") == "true"
        page.press(box, "ArrowDown")
        chosen = page.inner_text('[aria-selected="true"]')
        active = page.get_attribute(box, "aria-activedescendant")
        assert page.inner_text(f"#{active}") == chosen
        page.press(box, "Escape")
        assert page.get_attribute(box, "aria-expanded") == "false"
        page.press(box, "ArrowDown")
        page.press(box, "ArrowDown")
        page.press(box, "Enter")
        assert page.input_value(box) == ""
        assert page.is_checked('input[name="case/icd10"] >> nth=0')
        assert "高血压" in page.inner_text(f"{field} [data-chosen]")
        found += faults_on(page, "card with a code", axe)
        picture(page, "picker-chosen")
    assert "查到" in shown or "显示" in shown
    assert "高血压" in chosen
    assert found == []
    assert not [one for one in told if "gxy" in one or not one.startswith(county.address)]


def test_a_card_that_is_begun_outlives_a_broken_line_and_its_session(
    county: Any, chromium: Browser
) -> None:
    form = f"{county.address}/infectious/of/{county.ids['hospital-a Patient']}"
    with acting(chromium, county, "dr-li", "en") as page:
        page.goto(form)
        page.fill('[name="person/address"]', "Lane 7, typed before")
        page.context.set_offline(True)
        page.click('.actions button[value="send"]')
        page.wait_for_selector("[data-kept-said]:text('No line')")
        page.fill('[name="person/address"]', "Lane 8, typed without a line")
        page.click('.actions button[value="send"]')
        page.wait_for_selector("[data-kept-said]:text('No line')")
        picture(page, "no-line")
        assert page.input_value('[name="person/address"]') == "Lane 8, typed without a line"
        page.context.set_offline(False)
        page.wait_for_selector("[data-kept-said]:text('Kept at')")
        page.context.clear_cookies()
        page.fill('[name="person/workplace"]', "typed while signed out")
        page.click('.actions button[value="send"]')
        page.wait_for_selector("[data-kept-said]:text('Sign in in another tab')")
        page.context.add_cookies([county.cookie("dr-li")])
        press(page, '.actions button[value="send"]')
        assert "Something is to be mended." in page.inner_text("main")
        assert page.input_value('[name="person/address"]') == "Lane 8, typed without a line"
        assert page.input_value('[name="person/workplace"]') == "typed while signed out"


def test_a_card_that_is_begun_is_found_when_the_browser_is_opened_again(
    county: Any, chromium: Browser, axe: str
) -> None:
    form = f"{county.address}/infectious/port"
    with acting(chromium, county, "pre-sun", "zh") as page:
        page.clock.install()
        page.goto(form)
        page.fill('[name="person/name"]', "张三")
        page.clock.fast_forward(6000)
        page.wait_for_selector("[data-kept-said]:text('保存')")
        picture(page, "kept")
    with acting(chromium, county, "pre-sun", "zh") as page:
        page.goto(county.address)
        press(page, 'a[href="/drafts"]')
        found = [*faults_on(page, "drafts", axe)]
        press(page, 'a[href="/infectious/port"]')
        found += faults_on(page, "a form that was begun", axe)
        picture(page, "begun")
        press(page, 'button[value="resume"]')
        assert page.input_value('[name="person/name"]') == "张三"
        page.goto(form)
        page.fill('[name="person/name"]', "李四")
        assert "上面还有" in page.inner_text("[data-kept-said]")
        page.click('button[value="forget"]')
        page.wait_for_selector("form[data-begun]", state="detached")
        assert page.input_value('[name="person/name"]') == "李四"
        press(page, '.actions button[value="draft"]')
        press(page, 'button[value="resume"]')
        assert page.input_value('[name="person/name"]') == "李四"
    assert found == []
