"""A picture goes with the report of an adverse event, in a real browser: it stays when something
else is to be mended, and the page has nothing that a checker finds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from looking import acting, faults_on
from playwright.sync_api import Browser
from pressing import press
from sent_files import PICTURE
from vaccinating import give, moment, points, received, registered, store

from quanmin.demo.numbering import credit_code
from quanmin.trust import Actor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# A point that no other journey speaks of.
CODE = credit_code("580103", 43)
WORKER = Actor("reaction-wu", "public_health_worker", "吴护士", f"sender-{CODE}")


async def vaccinated(clinic: Any) -> str:
    """A child who has had a dose."""
    await points(clinic, (WORKER, CODE))
    worker = await clinic.enter(WORKER.code)
    child = await registered(worker, "王小明", "2025-01-01")
    await received(worker, await store(worker))
    await give(worker, child, moment(clinic))
    return child


def test_a_picture_stays_until_the_report_is_sent(
    served: Any, chromium: Browser, axe: str, tmp_path: Path
) -> None:
    child = served.ask(vaccinated)
    picture = tmp_path / "皮疹.png"
    picture.write_bytes(PICTURE)
    found: list[str] = []
    for lang in ("zh", "en"):
        with acting(chromium, served, WORKER.code, lang) as page:
            page.goto(f"{served.address}/adverse-events/of/{child}?lang={lang}")
            found += faults_on(page, f"report {lang}", axe)
            page.set_input_files('input[name="papers~file"]', picture)
            press(page, '.actions button[value="send"]')
            assert page.is_checked('input[name="papers"]')
            assert "皮疹.png" in page.inner_text("fieldset[id=papers]")
            found += faults_on(page, f"report to be mended {lang}", axe)
            if folder := os.environ.get("QUANMIN_PICTURES"):
                page.set_viewport_size({"width": 360, "height": 800})
                page.screenshot(path=Path(folder) / f"papers-{lang}.png", full_page=True)
    assert found == []
