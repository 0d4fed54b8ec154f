"""Finds the pages: every account follows the links from its first page and the ways that are told
of in `ways.toml`, to a few addresses of each declared page.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.routing import compile_path

from quanmin.web.application import discover
from quanmin.web.route import Page
from quanmin.web.whole import KIT_PAGES
from ui.visitor import Visitor

# Leads away from the session, or is no page.
_NOT_FOLLOWED = re.compile(
    r"^/(sign-out|static|fhir|oauth)\b|^/offline/contact$|\.(csv|pdf|json|svg|png|js|webmanifest)$"
)
OPENED_MAX: Final = 2
"""So many addresses of a page are opened for what they lead to."""


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


# Pages to which no account of a demonstration comes, each with what it wants.
_ELSEWHERE: Final = {
    "/sign-in/external": "leads on to the other issuer, which a demonstration has not",
    "/sign-in/external/back": "leads on to the first page, from another issuer",
    "/sign-in/external/out": "leads on, and asks only whoever came from another issuer",
    "/adverse-events/{id}/papers/{paper}": "hands out a file",
    "/record/{type}/{id}/file": "hands out a file",
    "/made/{number}/file": "hands out a file",
    "/account/applications/{family}": "an application that somebody has allowed",
    "/offline-devices/{device}/revocation": "a device that somebody has taken along",
    "/my-record": "leads on to one's own /person/{id}",
    "/post": "asks whoever has several posts; no account of a demonstration has",
    "/messages/{number}/again": "a channel that refused a message",
    "/tenants/{code}": "a node that is divided, in which institutions see less of each other",
    "/transfers/{number}/withdraw": "an approval of the authorities for a transfer abroad",
    "/retention/deletions/{deletion}/certificate": "records older than all of a demonstration",
    "/retention/deletions/{deletion}/confirm": "records older than all of a demonstration",
    "/retention/deletions/{deletion}/withdraw": "records older than all of a demonstration",
}


def looked_at() -> set[str]:
    """The paths of all pages that are to be seen."""
    return {page.path for page in declared()} - _ELSEWHERE.keys()


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((compile_path(page.path)[0], page.path) for page in declared())


def path_of(address: str) -> str:
    """The path under which the page at an address is declared; "" where none is."""
    path = urlsplit(address).path
    return next((declared for pattern, declared in _patterns() if pattern.match(path)), "")


def walk(visitor: Visitor, begins: Sequence[str] = ("/",)) -> Iterator[Found]:
    """The pages to which links lead from those where the walk begins, nearest first; a page has
    few addresses, since a list and the same list sorted are one page.
    """
    waiting, met, counts = deque(begins), set(begins), dict[str, int]()
    while waiting:
        address = waiting.popleft()
        path = path_of(address)
        if not path or counts.get(path, 0) >= OPENED_MAX:
            continue
        opened = visitor.get(address)
        if opened is None or visitor.status != 200 or path_of(opened.address) != path:
            continue
        counts[path] = counts.get(path, 0) + 1
        yield Found(path, address)
        for link in opened.links:
            here = urlsplit(link)
            if here.netloc != urlsplit(visitor.base).netloc or _NOT_FOLLOWED.search(here.path):
                continue
            next_address = here.path + (f"?{here.query}" if here.query else "")
            if next_address not in met and not re.search(r"[?&](lang|large|sheet)=", next_address):
                met.add(next_address)
                waiting.append(next_address)
