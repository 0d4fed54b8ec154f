"""Finds the pages: every account follows the links from its first page, one address for each
declared page.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from urllib.parse import urljoin, urlsplit

import msgspec
from playwright.sync_api import Error
from playwright.sync_api import Page as Tab
from starlette.routing import compile_path

from quanmin.web.application import discover
from quanmin.web.route import Page
from quanmin.web.whole import KIT_PAGES

# Leads away from the session, or is no page.
_NOT_FOLLOWED = re.compile(r"^/(sign-out|static|fhir|oauth)\b|\.(csv|pdf|json|svg|png)$")
_ADDRESSES_OF_A_PAGE_MAX = 2


class Found(msgspec.Struct, frozen=True):
    """An address, and the path under which its page is declared."""

    path: str
    address: str


@cache
def declared() -> tuple[Page, ...]:
    """Every page that is opened by GET, of the kit and of all applications; sheets and papers are
    handed out and not seen.
    """
    pages = [*KIT_PAGES]
    for installed in discover():
        pages += installed.application.pages
    return tuple(
        page for page in pages if "GET" in page.methods and not _NOT_FOLLOWED.search(page.path)
    )


def path_of(address: str) -> str:
    """The path under which the page at an address is declared; "" where none is."""
    path = urlsplit(address).path
    for page in declared():
        if compile_path(page.path)[0].match(path):
            return page.path
    return ""


def walk(tab: Tab, base: str) -> Iterator[Found]:
    """The pages to which links lead from the first, nearest first; a page has a few addresses at
    most, since a list and the same list sorted are one page.
    """
    waiting, met, counts = deque(["/"]), {"/"}, dict[str, int]()
    while waiting:
        address = waiting.popleft()
        path = path_of(address)
        if not path or counts.get(path, 0) >= _ADDRESSES_OF_A_PAGE_MAX:
            continue
        try:
            answer = tab.goto(base + address, wait_until="load")
        except Error:  # what is downloaded is no page
            continue
        kind = answer.headers.get("content-type", "") if answer else ""
        if not kind.startswith("text/html"):
            continue
        counts[path] = counts.get(path, 0) + 1
        yield Found(path, address)
        for href in tab.eval_on_selector_all("a[href]", "all => all.map(one => one.href)"):
            here = urlsplit(urljoin(base, href))
            if here.netloc != urlsplit(base).netloc or _NOT_FOLLOWED.search(here.path):
                continue
            next_address = here.path + (f"?{here.query}" if here.query else "")
            if next_address not in met and not re.search(r"[?&](lang|large)=", next_address):
                met.add(next_address)
                waiting.append(next_address)
