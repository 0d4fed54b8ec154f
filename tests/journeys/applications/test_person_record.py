"""A doctor's way through the pages in a real browser: with and without script, in both languages,
from the narrowest phone to the desk, by keyboard, and under the eyes of an accessibility checker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from looking import LANGUAGES
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

FIRST_VIEW_BYTES_MAX = 100 * 1024
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


def everywhere(page: Page, served: Any) -> Iterator[str]:
    """Bring the page to each kind of page in turn, and say which it is."""
    man = served.ids["hospital-a man"]
    yield "find"
    find(page, "王")
    yield "hits"
    find(page, "诸葛")
    yield "nobody"
    for name, path in (
        ("timeline", f"/person/{man}"),
        ("nothing", f"/person/{man}/timeline?kind=vaccination"),
        ("patient", f"/record/Patient/{man}"),
        ("result", f"/record/Observation/{served.ids['hospital-a Observation']}"),
        ("history", f"/record/Patient/{man}/history"),
        ("problem", "/person/nobody"),
    ):
        page.goto(served.address + path)
        for details in page.query_selector_all("details:not([open]) summary"):
            details.click()
        yield name


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
        page.click("text=空腹血糖 >> nth=0")
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


@pytest.mark.parametrize("large", [0, 1])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_page_scrolls_sideways(chromium: Browser, served: Any, lang: str, large: int) -> None:
    with opened(chromium, served, lang=lang, large=large) as page:
        wide = {}
        for name in everywhere(page, served):
            for width in (320, 360, 768, 1280):
                page.set_viewport_size({"width": width, "height": 800})
                needed = page.evaluate("document.documentElement.scrollWidth")
                if needed > width:
                    wide[name, width] = needed
        assert wide == {}


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


# In every other look these pages are seen by the journey through every page.
@pytest.mark.parametrize(
    "setting", [{"lang": "en", "width": 1280}, {"lang": "zh", "width": 360, "large": 1}]
)
def test_an_accessibility_checker_finds_nothing(
    chromium: Browser, served: Any, axe: str, setting: dict[str, Any]
) -> None:
    with opened(chromium, served, bypass_csp=True, **setting) as page:
        faults = []
        for name in everywhere(page, served):
            page.evaluate(axe)
            found = page.evaluate(
                "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',"
                " 'best-practice']})"
            )
            assert len(found["passes"]) > 5
            faults += [
                f"{name}: {one['id']}: {node['target']} {node['failureSummary']}"
                for one in found["violations"]
                for node in one["nodes"]
            ]
        assert not faults, "\n".join(faults)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_words_of_another_language_are_marked_as_such(
    chromium: Browser, served: Any, lang: str
) -> None:
    with opened(chromium, served, lang=lang) as page:
        foreign = {}
        for name in everywhere(page, served):
            texts = page.evaluate(_TEXTS, "zh-CN" if lang == "zh" else "en")
            pattern = r"[a-zA-Z]{3,} [a-zA-Z]{3,}" if lang == "zh" else r"[\u4e00-\u9fff]"
            found = [text for text in texts if re.search(pattern, text)]
            if found:
                foreign[name] = found
        assert foreign == {}


# Every text that is shown in the language of the page itself, names of elements and codes aside.
_TEXTS = """language => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (element.closest('pre, code, input')) continue;
    if (element.closest('[lang]').lang === language) found.push(walker.currentNode.data.trim());
  }
  return found;
}"""


def test_the_first_view_is_light_silent_and_from_this_node_only(
    chromium: Browser, served: Any
) -> None:
    with opened(chromium, served) as page:
        man = served.ids["hospital-a man"]
        requests: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        sizes: list[int] = []
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.on("Network.loadingFinished", lambda done: sizes.append(done["encodedDataLength"]))
        for path in ("/", "/people", f"/person/{man}", f"/record/Patient/{man}"):
            sizes.clear()
            page.goto(served.address + path, wait_until="networkidle")
            assert 0 < sum(sizes) <= FIRST_VIEW_BYTES_MAX
        assert requests
        assert [url for url in requests if not url.startswith(served.address)] == []
        assert complaints == []


@pytest.mark.parametrize("path", ["/", "/people", "timeline"])
def test_everything_is_reached_by_keyboard_with_a_visible_ring(
    chromium: Browser, served: Any, path: str
) -> None:
    with opened(chromium, served) as page:
        path = f"/person/{served.ids['hospital-a man']}" if path == "timeline" else path
        page.goto(served.address + path)
        controls = page.evaluate(
            "[...document.querySelectorAll("
            "'a[href], button, select, input:not([type=hidden]), summary')]"
            ".filter(one => one.checkVisibility()).length"
        )
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        reached = 1
        while reached < controls:
            page.keyboard.press("Tab")
            ring = page.evaluate(
                "(() => {const style = getComputedStyle(document.activeElement);"
                " const box = document.activeElement.getBoundingClientRect();"
                " return [style.outlineStyle, parseFloat(style.outlineWidth),"
                # A page is scrolled by whole pixels, and a line need not end on one.
                " box.top > -1 && box.bottom < innerHeight + 1];})()"
            )
            assert ring[0] == "solid"
            assert ring[1] >= 2
            assert ring[2]
            reached += 1
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body")


def test_the_skip_link_leads_to_the_content(chromium: Browser, served: Any) -> None:
    with opened(chromium, served) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()


def test_large_text_is_large_and_easy_to_hit(chromium: Browser, served: Any) -> None:
    with opened(chromium, served, lang="zh", large=1, width=360) as page:
        for _ in everywhere(page, served):
            style = page.evaluate(
                "(() => {const style = getComputedStyle(document.body);"
                " return [parseFloat(style.fontSize), parseFloat(style.lineHeight)];})()"
            )
            assert style[0] >= 18
            assert style[1] >= 1.5 * style[0]
            heights = page.evaluate(
                "[...document.querySelectorAll('button, .button, .chips a, input[type=search]')]"
                ".map(one => one.getBoundingClientRect().height)"
            )
            assert all(height >= 60 for height in heights)


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
