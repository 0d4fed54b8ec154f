"""The bar that pages are held against notices each thing that it is there for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, sync_playwright
from ui.judge import Judge
from ui.looking import FLAGS
from ui.looks import Look

pytestmark = pytest.mark.browser

FRAME = """<!doctype html><html lang="{lang}" class="{size}"><head><title>{title}</title><style>
body {{ font-size: 20px; line-height: 1.5; margin: 0 }}
button {{ min-height: 60px; min-width: 60px }}
:focus-visible {{ outline: 3px solid #b45309 }} .skip {{ position: absolute; left: -99rem }}
.skip:focus {{ left: 0 }} td a {{ display: inline-block; min-height: 60px }}
button {{ font: inherit }} @media print {{ button, .skip {{ display: none }} }}
</style></head><body><a class="skip" href="#main">{skip}</a>
<main id="main" tabindex="-1"><h1>{title}</h1>{inner}</main></body></html>"""
LARGE = Look("zh", is_large=True, has_script=True, width=320)
NORMAL = Look("en", is_large=False, has_script=True, width=320)
TABLE = """<table>
<caption>Stock</caption><thead><tr><th scope="col">Lot</th></tr></thead>
<tbody><tr><td>A1</td></tr></tbody></table><p><a href="/stock.csv">Sheet of the stock</a></p>"""

# What stands on the page, how it is seen, what is noticed of it ("": nothing).
SEEN = [
    (TABLE, NORMAL, ""),
    ("<form><button>保存</button></form><p>一二三四</p>", LARGE, ""),
    ("<div style='width: 400px'>x</div>", NORMAL, "scrolls sideways by 80 px"),
    ("<form><button style='min-height: 40px'>Save</button></form>", NORMAL, "is 40 px high"),
    ("<form><button style='min-width: 40px; padding: 0'>x</button></form>", NORMAL, "40 px wide"),
    ("<form><button style='min-height: 50px'>保存</button></form>", LARGE, "is 50 px high"),
    ("<ul><li><a href='/x'>一个链接</a></li></ul>", LARGE, "px high"),
    ("<p>在句子里有<a href='/x'>一个链接</a>，其后还有字</p>", LARGE, ""),
    ("<label><input type=checkbox> Yes</label>", NORMAL, "px high"),
    ("<p style='font-size: 16px'>小字</p>", LARGE, "is written in 16.0 px"),
    ("<svg viewBox='0 0 640 100' width=320><text y=50 font-size=20>字</text></svg>", LARGE, "10.0"),
    ("<p style='line-height: 1.2'>行距太小</p>", LARGE, "stand too close"),
    ("<p>这里是中文</p>", NORMAL, "not in the language"),
    ("<p lang=zh>这里是中文</p>", NORMAL, ""),
    ("<p>Nothing was translated here</p>", LARGE, "not in the language"),
    ("<label>Duty 1</label>", LARGE, "not in the language"),
    (
        "<p role=alert><span lang=en>write some more letters</span></p>",
        LARGE,
        "not in the language",
    ),
    ("<p title='这里'>x</p>", NORMAL, "not in the language"),
    (TABLE.replace("<caption>Stock</caption>", ""), NORMAL, "a table has no name"),
    (TABLE.replace(' scope="col"', ""), NORMAL, "no scope"),
    (TABLE.replace("/stock.csv", "/stock"), NORMAL, "cannot be had as a sheet"),
    ("<h1>Another</h1>", NORMAL, "not one heading"),
    ("<form><input name=x style='height: 44px'></form>", NORMAL, "has no button"),
]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    program = os.environ.get("QUANMIN_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no browser: install chromium or name one in QUANMIN_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        context = browser.new_context(viewport={"width": 320, "height": 800})
        yield Judge(context, "http://localhost", NORMAL, "")
        browser.close()


def show(judge: Judge, inner: str, look: Look = NORMAL) -> None:
    """Let the page say this."""
    words = {"zh": ("zh-CN", "标题", "跳到正文"), "en": ("en", "Title", "Skip to the content")}
    lang, title, skip = words[look.language]
    size = "large" if look.is_large else ""
    page = FRAME.format(lang=lang, size=size, title=title, skip=skip, inner=inner)
    judge.page.goto("about:blank")
    judge.page.set_content(page)


@pytest.mark.parametrize(("inner", "look", "noticed"), SEEN)
def test_what_is_seen(judge: Judge, inner: str, look: Look, noticed: str) -> None:
    show(judge, inner, look)
    found = judge.by_bar(look)
    assert (noticed in "\n".join(found)) if noticed else found == []


@pytest.mark.parametrize(
    ("inner", "noticed"),
    [
        ("<p><a href='/x'>one</a> <a href='/y'>two</a></p>", ""),
        ("<a href='/x' style='outline: none'>one</a>", "one does not see"),
        ("<a href='/x' style='outline: none; box-shadow: 0 0 2px'>one</a>", "one does not see"),
        ("<a href='/x' style='outline-color: #ddd'>one</a>", "one does not see"),
        ("<a href='/x' style='position: fixed; top: -99px'>one</a>", "out of sight"),
        ("<a href='/x' onkeydown='event.preventDefault()'>one</a><a href='/y'>two</a>", "2 of 3"),
        ("<a href='/x' tabindex=1>one</a>", "the first stop is"),
    ],
)
def test_what_the_tab_key_meets(judge: Judge, inner: str, noticed: str) -> None:
    show(judge, inner)
    found = [*judge.by_keyboard()]
    assert (noticed in "\n".join(found)) if noticed else found == []


@pytest.mark.parametrize(
    ("inner", "noticed"),
    [
        (TABLE + "<button>Save</button>", ""),
        ("<button style='display: block !important'>Save</button>", "is printed"),
        ("<div style='width: 900px'>x</div>", "px too wide"),
        (TABLE.replace("<thead>", "<thead style='display: block'>"), "not repeated on paper"),
    ],
)
def test_what_is_printed(judge: Judge, inner: str, noticed: str) -> None:
    show(judge, inner)
    found = judge.when_printed()
    assert (noticed in "\n".join(found)) if noticed else found == []


@pytest.mark.parametrize("way", ["onclick", "onmouseover", "onmousemove"])
def test_what_is_said_by_who_is_touched(judge: Judge, way: str) -> None:
    show(judge, f"<button {way}=\"console.log('touched')\">Save</button>")
    judge.when_touched()
    judge.page.wait_for_timeout(50)
    assert "console: touched" in judge.when_touched()


ALERT = "<div role=alert tabindex=-1 autofocus><a href='#why'>Why</a></div>"
FIELD = "<p id=told>Say why</p><input id=why name=why required {more}><button>Send</button>"
MARKED = FIELD.format(more="aria-invalid=true aria-describedby=told")
FORM = "<form method=post action='http://localhost/send'>{fields}</form>"


@pytest.mark.parametrize(
    ("status", "answer", "noticed"),
    [
        (422, ALERT + FORM.format(fields=MARKED), ""),
        (409, "<div role=alert tabindex=-1 autofocus>Somebody was first</div>", ""),
        (200, ALERT + FORM.format(fields=MARKED), "it answers 200"),
        (422, FORM.format(fields=MARKED), "does not say what is wrong"),
        (422, ALERT.replace(" autofocus", "") + FORM.format(fields=MARKED), "has not the focus"),
        (422, ALERT.replace("#why", "#who") + FORM.format(fields=MARKED), "leads nowhere"),
        (422, ALERT + FORM.format(fields=FIELD.format(more="")), "no field is marked"),
        (422, ALERT + FORM.format(fields=MARKED.replace("by=told", "by=none")), "nothing is said"),
    ],
)
def test_what_is_said_when_a_form_is_refused(
    judge: Judge, status: int, answer: str, noticed: str
) -> None:
    page = FRAME.format(lang="en", size="", title="Title", skip="Skip", inner=answer)
    sent: list[str] = []

    def refuse(route: Route) -> None:
        sent.append(route.request.post_data or "")
        route.fulfill(status=status, content_type="text/html", body=page)

    judge.page.route("http://localhost/send", refuse)
    show(judge, FORM.format(fields=FIELD.format(more="value=because")))
    found = judge.when_refused()
    judge.page.unroute("http://localhost/send")
    assert sent == ["why="]
    assert (noticed in "\n".join(found)) if noticed else found == []
