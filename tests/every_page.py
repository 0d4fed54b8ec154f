"""Every page of a demonstration, as its accounts see it, held against the bar of `tools/ui`."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from ui.looking import Eyes
from ui.node import demonstration
from ui.tour import Tour
from ui.walk import Found, looked_at


def faults_of_every_page(
    folder: Path, wanted: str, part: tuple[int, int] | None = None
) -> list[str]:
    """What is wrong with the pages in the looks that are wanted, each as one account sees it. With
    a `part` (which of how many) they are looked at closely, and this part of them is timed and seen
    in one look more as every other account sees them, two addresses of each.
    """
    program = os.environ.get("QUANMIN_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no browser: install chromium or name one in QUANMIN_CHROMIUM")
    with demonstration(folder) as base, sync_playwright() as playwright:
        eyes, tour = Eyes(playwright, program, base), Tour(folder, base)
        faults = [*tour.faults, *_faults(eyes, tour, wanted, part)]
        tour.close()
        eyes.close()
    return faults


def _faults(eyes: Eyes, tour: Tour, wanted: str, part: tuple[int, int] | None) -> Iterator[str]:
    seen: set[str] = set()
    for code, visitor, found in tour.accounts(each_max=2 if part else 1):
        first = {page.path: page for page in reversed(found) if page.path not in seen}
        seen |= first.keys()
        pages = [page for page in found if first.get(page.path) == page]
        others = [page for page in found if first.get(page.path) != page and _is_of(page, part)]
        for looks, several, is_brief in ((wanted, pages, not part), ("one", others, True)):
            for one in eyes.look(code, visitor.cookies(), several, looks, is_brief=is_brief):
                where = f"{code} {one.found.address} {one.look.name}"
                yield from (f"{where}: {fault}" for fault in one.faults)
        for page in pages:
            if _is_of(page, part):
                slow = eyes.time(page.address, visitor.cookies())
                yield from (f"{code} {page.address}: {fault}" for fault in slow.faults)
    yield from (f"{path} was never seen" for path in sorted(looked_at() - seen))


def _is_of(page: Found, part: tuple[int, int] | None) -> bool:
    return part is not None and zlib.crc32(page.path.encode()) % part[1] == part[0]
