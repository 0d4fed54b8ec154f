"""A resident's way through the pages of access in a real browser, without script, at the width of a
narrow phone and of a desk, in both languages, under the eyes of an accessibility checker.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from books import CODE, Books, organization
from persons import asking, query
from playwright.sync_api import Browser, Page

from quanmin.base.problems import Conflict
from quanmin.trust.registers.proxies import Proxies

pytestmark = pytest.mark.browser

HOME = "/my-record-access"


def judged(page: Page, axe: str) -> list[str]:
    """What the checker finds wrong, and whether the page scrolls sideways."""
    page.evaluate(axe)
    found = page.evaluate(
        "async () => (await axe.run()).violations.map(one => one.id + ' ' + one.nodes[0].html)"
    )
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*found, *([f"{width} pixels too wide"] if width > 0 else [])]


def keep(page: Page, name: str) -> None:
    """A picture for who wants to look: QUANMIN_PICTURES names the folder."""
    if folder := os.environ.get("QUANMIN_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("lang", "width"), [("zh", 320), ("en", 320), ("zh", 1280), ("en", 1280)])
def test_a_consent_is_given_and_who_looked_is_read(
    chromium: Browser, served: Any, axe: str, lang: str, width: int
) -> None:
    async def fill(clinic: Any) -> None:
        books = Books(clinic.guard, clinic.pool)
        await books.put("home", organization())

    served.ask(fill)
    context = chromium.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    context.add_cookies([served.cookie("resident")])
    found = {}

    def look(name: str) -> None:
        keep(page, f"{name}-{lang}-{width}")
        found[name] = judged(page, axe)

    try:
        page.goto(f"{served.address}{HOME}/refuse?institution=all&lang={lang}")
        look("refuse")
        page.goto(f"{served.address}{HOME}/give?text=人民医院")
        look("find")
        page.goto(f"{served.address}{HOME}/give?institution={CODE}")
        look("give")
        page.select_option("#purpose", "TREAT")
        page.check("input[name=scope][value=all]")
        page.check("input[name=kind-HIV]")
        page.fill("#until", page.get_attribute("#until", "max") or "")
        with page.expect_navigation():
            page.click("main form button")
        look("confirm")
        with page.expect_navigation():
            page.click("main form button")
        look("who-may")
        page.goto(f"{served.address}{HOME}/looked?own=1")
        look("looked")
        page.goto(f"{served.address}{HOME}")
        page.click(f"a[href^='{HOME}/consents/']")
        look("end")
    finally:
        context.close()
    assert {name: faults for name, faults in found.items() if faults} == {}


async def become_parent(clinic: Any) -> str:
    """The resident is the parent of the woman of the clinic, as if she were a child; her Patient's
    address.
    """
    books, guard = Books(clinic.guard, clinic.pool), clinic.guard
    await books.put("home", organization())
    persons = [
        await clinic.pool.fetchval(
            "select person from people.link where patient = $1",
            guard.store.context.rid_of("Patient", clinic.ids[name]),
        )
        for name in ("hospital-a man", "hospital-a crowd")
    ]
    parent, child = persons
    # Another journey on the same node may have let them act for each other already.
    with suppress(Conflict):
        await Proxies(clinic.pool, ZoneInfo("Asia/Shanghai")).enter(
            parent,
            child,
            kind="parent",
            evidence="birth-certificate",
            born=date(2022, 1, 1),
            at=guard.now(),
            by="test",
        )
    return f"Patient/{clinic.ids['hospital-a crowd']}"


def test_a_parent_refuses_and_opens_for_a_child_by_the_keyboard_without_script(
    chromium: Browser, served: Any
) -> None:
    child = served.ask(become_parent)
    context = chromium.new_context(
        viewport={"width": 320, "height": 800}, java_script_enabled=False
    )
    page = context.new_page()
    context.add_cookies([served.cookie("resident")])

    def press(words: str) -> None:
        """What has these words is reached by the tabulator alone, and pressed by the keyboard."""
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.locator(":focus").filter(has_text=words).count():
                break
        with page.expect_navigation():
            page.keyboard.press("Enter")

    try:
        page.goto(f"{served.address}/acting-for?lang=en")
        press("Act for them")
        page.goto(f"{served.address}{HOME}")
        assert "for the person for whom you act" in page.inner_text("main")
        press("Refuse")
        press("Refuse all other institutions")
        press("Read it once more")
        assert "All other institutions" in page.inner_text("main")
        press("I refuse")
        assert "You refuse" in page.inner_text("main")
        said = served.ask(consents_of(child))
        assert [(one["status"], one["performer"]) for one in said] == [
            ("active", [{"type": "RelatedPerson", "display": "guardian"}])
        ]
        press("Take this refusal back")
        press("Take it back")
        assert [one["status"] for one in served.ask(consents_of(child))] == ["inactive"]
        page.goto(f"{served.address}{HOME}/looked")
        assert page.get_by_role("link", name="Complain").count() > 0
    finally:
        context.close()


def consents_of(patient: str) -> Callable[[Any], Coroutine[Any, Any, list[dict[str, Any]]]]:
    """The Consents about a Patient."""

    async def ask(clinic: Any) -> list[dict[str, Any]]:
        records = asking(clinic.guard, "operator")
        hits = await records.search(query(clinic.guard, "Consent", patient=patient))
        return [json.loads(hit.body or b"") for hit in hits.matches]

    return ask
