"""A doctor's way through the pages in a real browser, with and without script, in both languages.
How each of the pages looks, `test_every_page.py` sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

WORDS = {
    "zh": {"found": "2 条登记", "history": "本记录的历史版本", "version": "版本 2"},
    "en": {"found": "2 registrations", "history": "History of this record", "version": "Version 2"},
}


@contextmanager
def opened(
    chromium: Browser, served: Any, *, width: int = 1280, actor: str = "centre", **more: Any
) -> Iterator[Page]:
    """A page in a new browser context in which an actor has entered; `lang`, `large` as wished."""
    lang, large = more.pop("lang", "en"), more.pop("large", 0)
    context = chromium.new_context(viewport={"width": width, "height": 800}, **more)
    try:
        page = context.new_page()
        context.add_cookies([served.cookie(actor)])
        page.goto(f"{served.address}/people?lang={lang}&large={large}")
        yield page
    finally:
        context.close()


def find(page: Page, term: str) -> None:
    page.fill("#term", term)
    with page.expect_navigation():
        page.click("main form button")


@pytest.mark.parametrize("has_script", [True, False])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_doctor_finds_a_person_and_reads_down_to_a_change(
    chromium: Browser, served: Any, lang: str, *, has_script: bool
) -> None:
    with opened(chromium, served, lang=lang, java_script_enabled=has_script) as page:
        find(page, "zhangwei")
        expect(page.get_by_role("status")).to_have_text(WORDS[lang]["found"])
        assert "zhang" not in page.url
        page.get_by_role("rowheader").first.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("张伟")
        expect(page.locator(".banner")).to_contain_text("青霉素")
        # Other journeys of the same clinic give the man more results.
        page.locator("li").filter(has_text="11.5 mmol/L").get_by_role("link").first.click()
        expect(page.locator(".lead")).to_contain_text("11.5 mmol/L")
        page.go_back()
        man = served.ids["hospital-a man"]
        page.click(f'#registrations + ul a[href="/record/Patient/{man}"]')
        page.get_by_role("link", name=WORDS[lang]["history"]).click()
        expect(page.locator("section h2").first).to_have_text(WORDS[lang]["version"])
        expect(page.locator("ins").first).to_have_text("已婚")


def test_the_language_of_a_result_is_switched_without_searching_again(
    chromium: Browser, served: Any
) -> None:
    with opened(chromium, served, java_script_enabled=False) as page:
        find(page, "张伟")
        page.get_by_role("button", name="中文").click()
        expect(page.get_by_role("status")).to_have_text("2 条登记")
        page.get_by_role("button", name="长辈模式").click()
        expect(page.get_by_role("status")).to_have_text("2 条登记")
        expect(page.locator("html.large")).to_have_count(1)


def test_a_sheet_is_downloaded(chromium: Browser, served: Any) -> None:
    with opened(chromium, served) as page:
        find(page, "王")
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download as CSV").click()
        path = waiting.value.path()
        assert path.read_text(encoding="utf-8").count("\n") == 27


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_word_is_broken_in_the_columns_of_a_timeline(
    chromium: Browser, served: Any, lang: str
) -> None:
    with opened(chromium, served, lang=lang, bypass_csp=True) as page:
        page.goto(f"{served.address}/person/{served.ids['hospital-a man']}")
        page.add_style_tag(content=".entry > * { overflow-wrap: normal !important }")
        broken = page.locator(".entry > .kind, .entry > .number").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
        )
        assert broken == []


def test_who_is_here_is_said_in_the_language_of_the_page(chromium: Browser, served: Any) -> None:
    for lang, words in (("zh", "节点管理员"), ("en", "Node operator")):
        with opened(chromium, served, lang=lang) as page:
            expect(page.locator("footer")).to_contain_text(words)


def test_the_skip_link_leads_to_the_content(chromium: Browser, served: Any) -> None:
    with opened(chromium, served) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()


def test_a_table_becomes_cards_on_a_phone(chromium: Browser, served: Any) -> None:
    with opened(chromium, served, width=360) as page:
        find(page, "张伟")
        assert (
            page.locator("table.cards tbody tr").first.evaluate(
                "row => getComputedStyle(row).display"
            )
            == "block"
        )
        expect(page.get_by_role("row")).to_have_count(3)
        expect(page.get_by_role("cell").first).to_be_visible()


def test_print_leaves_the_chrome_out_and_keeps_the_person(chromium: Browser, served: Any) -> None:
    with opened(chromium, served) as page:
        page.goto(f"{served.address}/person/{served.ids['hospital-a man']}")
        page.emulate_media(media="print")
        expect(page.locator(".banner h1")).to_be_visible()
        expect(page.locator(".line")).to_be_visible()
        for chrome in ("header nav", ".tools", ".chips", "footer"):
            expect(page.locator(chrome)).to_be_hidden()
