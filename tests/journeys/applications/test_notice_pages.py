"""A message that was refused is sent again, in a real browser: nothing scrolls sideways, and an
accessibility checker finds nothing. The other pages of notices `test_every_page.py` sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clinic import Clinic
from looking import LANGUAGES, acting, faults_on
from playwright.sync_api import Browser, Page
from pressing import press
from sending import Hands, delivery

from quanmin.trust.notices import Contact, tell_account

pytestmark = pytest.mark.browser


@pytest.fixture
def told(served: Any) -> Any:
    """The clinic with notices for a resident, and a message that a server of mail did not take."""

    async def add(clinic: Clinic) -> None:
        context = clinic.guard.store.context
        contact = Contact("mail", "zhang@example.org", "zh")
        await clinic.sign_in.notices.choose("resident", [contact], None, context)
        for kind in ("petition-moved", "new-browser"):
            await tell_account(clinic.pool, "resident", clinic.guard.now(), kind)
        settings = {"mail_server": "127.0.0.1:1", "mail_from": "a@health.test"}
        broken = delivery(
            clinic.pool, clinic.guard, Path(), Hands(), attempts_max=1, gather_seconds=0,
            **settings,
        )  # fmt: skip
        await broken.work()

    served.ask(add)
    return served


def of_operator(page: Page, served: Any) -> Iterator[str]:
    page.goto(f"{served.address}/messages")
    press(page, "main td a")
    yield "send again"
    press(page, "main form[method=post] button")
    yield "messages, sent again"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_scrolls_sideways_and_a_checker_finds_nothing(
    chromium: Browser, told: Any, axe: str, lang: str
) -> None:
    faults: list[str] = []
    seen = 0
    with acting(chromium, told, "centre", lang) as page:
        for name in of_operator(page, told):
            seen += 1
            faults += faults_on(page, name, axe)
    assert not faults, "\n".join(faults)
    assert seen == 2
