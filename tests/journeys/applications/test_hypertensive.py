"""A hypertensive is found, followed, fails twice in a row, is referred and returns, in a real
browser. The same over HTTP, with every refusal on the way: tests/contract/applications.
"""

from __future__ import annotations

from typing import Any

import pytest
from chronic import COUNTY_OF_JOURNEYS, DOCTOR, WORKER, ago, measured, registered, settle, visit_of
from clinic import Clinic
from looking import acting
from playwright.sync_api import Browser, Page, expect
from pressing import fill_in, press

pytestmark = pytest.mark.browser

SEND = '.actions button[value="send"]'
# Where a case is among its steps.
HERE = ".steps [aria-current=step]"


@pytest.fixture(scope="module")
def centre(served: Any) -> Any:
    """A health centre and a hospital, and somebody whose pressure was high on two days."""

    async def found(clinic: Clinic) -> tuple[str, list[str]]:
        await settle(clinic, COUNTY_OF_JOURNEYS)
        worker = await clinic.enter(WORKER.code)
        patient = await registered(worker, "高秀英", "1970-03-01", "028")
        for days in (33, 32):
            await measured(worker, patient, ago(clinic, days), systolic="150", diastolic="95")
        await worker.client.aclose()
        return patient, [ago(clinic, days) for days in (31, 30, 16, 1, 0)]

    served.ids["hypertensive"], served.days = served.ask(found)
    return served


def visit(page: Page, case: str, on: str, pressure: str) -> None:
    """Fill in the form of a visit."""
    page.goto(f"{case}/visit")
    fill_in(page, visit_of(on, pressure))
    press(page, SEND)


def take(page: Page, step: str, words: str) -> None:
    """Take a step of the case that is open."""
    page.fill(f"#words-{step}", words)
    press(page, f'form:has(input[value="{step}"]) button')


def test_a_hypertensive_is_found_followed_fails_twice_is_referred_and_returns(
    centre: Any, chromium: Browser
) -> None:
    third, enrolled, first, second, last = centre.days
    home = f"{centre.address}/chronic/of/{centre.ids['hypertensive']}"
    with acting(chromium, centre, WORKER.code, "en") as page:
        page.goto(f"{home}/measurement")
        fill_in(page, {"day": third, "systolic": "162", "diastolic": "95"})
        press(page, SEND)
        expect(page.locator("main")).to_contain_text("Days with high pressure: 3.")
        page.goto(f"{home}/enrolment")
        fill_in(page, {"disease": "hypertension", "enrolled": enrolled, "beside": "some"})
        press(page, "main form .actions button")
        case, main = page.url, page.locator("main")
        visit(page, case, first, "150/95")
        expect(main).to_contain_text("Adjust the medicines, see again within 2 weeks")
        visit(page, case, second, "150/95")
        expect(main).to_contain_text("Refer, and see how it went within 2 weeks")
        expect(main.locator(HERE)).to_have_text("Referred")
        expect(main).to_contain_text("Time runs until")
    with acting(chromium, centre, DOCTOR.code, "zh") as page:
        page.goto(f"{centre.address}/chronic/patients?state=referred")
        press(page, "main tbody a >> text=高秀英")
        take(page, "see", "加用氨氯地平")
        take(page, "return", "继续用药，血压已降")
        expect(page.locator("main").locator(HERE)).to_have_text("已转回")
    with acting(chromium, centre, WORKER.code, "zh") as page:
        page.goto(case)
        expect(page.locator("main")).to_contain_text("继续用药，血压已降")
        visit(page, case, last, "132/84")
        expect(page.locator("main")).to_contain_text("继续，3个月内随访")
        expect(page.locator("main").locator(HERE)).to_have_text("管理中")
