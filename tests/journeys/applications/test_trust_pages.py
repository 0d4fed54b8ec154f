"""What pages answer about access, and a record that is open in an emergency, in a real browser:
nothing scrolls sideways, and an accessibility checker finds nothing. `test_every_page.py` sees what
an address leads to; this is what follows from what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clinic import Clinic
from looking import LANGUAGES, acting, faults_on
from persons import asking, visit
from playwright.sync_api import Browser, Page
from pressing import press

from quanmin.trust import Actor

pytestmark = pytest.mark.browser

KEEPER = Actor("keeper", "security_administrator", "安全员", "")
DOCTOR = Actor("doctor-chen", "doctor", "陈医师", "hospital-c")
REASON = "昏迷送入急诊，无法询问过敏史，家属暂时联系不上"


@pytest.fixture(scope="module")
def staffed(served: Any) -> Any:
    """The clinic with a security administrator and a doctor of another hospital."""

    async def add(clinic: Clinic) -> None:
        for actor in (KEEPER, DOCTOR):
            await clinic.add(actor)
        hospital = asking(clinic.guard, "institution", "hospital-a")
        await hospital.create("Encounter", visit(clinic.ids["hospital-a man"]))

    served.ask(add)
    return served


def of_doctor(page: Page, served: Any) -> Iterator[str]:
    man = served.ids["hospital-b man"]
    page.goto(f"{served.address}/person/{man}")
    if page.locator("section.emergency").count():
        press(page, "section.emergency button")
        page.goto(f"{served.address}/person/{man}")
    press(page, "main p a[href^='/emergency']")
    page.fill("#reason", REASON)
    press(page, "main form button")
    yield "opened"


def of_keeper(page: Page, served: Any) -> Iterator[str]:
    page.goto(f"{served.address}/decisions?actor={DOCTOR.code}")
    page.fill("#record", f"Patient/{served.ids['hospital-b man']}")
    press(page, "main form.narrow[method=post] button")
    page.click("summary")
    yield "decisions/answer"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_scrolls_sideways_and_a_checker_finds_nothing(
    chromium: Browser, staffed: Any, axe: str, lang: str
) -> None:
    faults: list[str] = []
    seen = 0
    for actor, walk in ((DOCTOR.code, of_doctor), (KEEPER.code, of_keeper)):
        with acting(chromium, staffed, actor, lang) as page:
            for name in walk(page, staffed):
                seen += 1
                # What the words are makes no difference to the checker.
                faults += faults_on(page, name, axe if lang == "zh" else None)
    assert not faults, "\n".join(faults)
    assert seen == 2
