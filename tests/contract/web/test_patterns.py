"""The pattern page over HTTP: in both languages, for whoever works here, light, and as a PDF."""

from __future__ import annotations

import gc
import gzip
import re
from types import FrameType

import pytest
from clinic import Browser, Clinic

from quanmin.web.patterns import SECTIONS

HAN = re.compile(r"[\u4e00-\u9fff]")
FIRST_VIEW_BYTES_MAX = 100 * 1024


async def weight(browser: Browser, page: str) -> int:
    """What a browser fetches for a page, packed."""
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    parts = [page.encode(), *[(await browser.get(path)).content for path in files]]
    return sum(len(gzip.compress(one, 5)) for one in parts)


async def test_every_component_is_there_in_both_languages(clinic: Clinic) -> None:
    browser = await clinic.enter("centre")
    chinese = (await browser.get("/patterns?lang=zh")).text
    english = (await browser.get("/patterns?lang=en")).text
    for one in SECTIONS:
        assert f'<h2 id="{one.name}">{one.title.zh}</h2>' in chinese
        assert f'<h2 id="{one.name}">{one.title.en}</h2>' in english
    told = re.sub(r'<a [^>]*lang="zh"[^>]*>[^<]*</a>', "", english)
    assert HAN.findall(told) == []
    assert await weight(browser, chinese) <= FIRST_VIEW_BYTES_MAX


async def test_no_name_is_used_twice_and_nothing_is_styled_inline(clinic: Clinic) -> None:
    browser = await clinic.enter("centre")
    page = (await browser.get("/patterns?lang=zh")).text
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert not re.search(r'\sstyle="', page)
    for used in re.findall(r"url\(#([^)]+)\)", page):
        assert used in names


async def test_a_page_leaves_nothing_to_the_collector_of_rings(clinic: Clinic) -> None:
    """What refers to itself stays until the collector stops everybody to look for it."""
    browser = await clinic.enter("centre")
    await browser.get("/patterns?lang=zh")
    gc.collect()
    gc.disable()
    try:
        await browser.get("/patterns?lang=zh")
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [one for one in gc.garbage if isinstance(one, FrameType)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not [one for one in left if "quanmin" in one.f_code.co_filename]


async def test_a_resident_is_refused(clinic: Clinic) -> None:
    browser = await clinic.enter("resident")
    assert (await browser.get("/patterns")).status_code == 403


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_the_drawings_are_a_pdf(clinic: Clinic, lang: str) -> None:
    browser = await clinic.enter("centre")
    answer = await browser.get(f"/patterns.pdf?lang={lang}")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'inline; filename="patterns.pdf"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.startswith(b"%PDF-1.7")
