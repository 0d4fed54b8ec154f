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

_RESIDENTS = ("demo-resident", "demo-mother")


def faults_of_every_page(
    folder: Path, wanted: str, *, each_kind: bool = False, timed: tuple[int, int] | None = None
) -> list[str]:
    """What is wrong with the pages in the looks that are wanted: each as one account sees it, or as
    one of the staff and one of the residents; which of how many parts of them are timed as well.
    """
    program = os.environ.get("QUANMIN_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no browser: install chromium or name one in QUANMIN_CHROMIUM")
    with demonstration(folder) as base, sync_playwright() as playwright:
        eyes, tour = Eyes(playwright, program, base), Tour(folder, base)
        faults = [*tour.faults, *_faults(eyes, tour, wanted, each_kind=each_kind, timed=timed)]
        tour.close()
        eyes.close()
    return faults


def _faults(
    eyes: Eyes, tour: Tour, wanted: str, *, each_kind: bool, timed: tuple[int, int] | None
) -> Iterator[str]:
    seen: set[str] = set()
    for code, visitor, found in tour.accounts(each_max=1):
        kind = "resident " if each_kind and code in _RESIDENTS else ""
        pages = [page for page in found if kind + page.path not in seen]
        seen |= {page.path for page in pages} | {kind + page.path for page in pages}
        for one in eyes.look(code, visitor.cookies(), pages, wanted, is_brief=not timed):
            where = f"{code} {one.found.address} {one.look.name}"
            yield from (f"{where}: {fault}" for fault in one.faults)
        for page in pages if timed else ():
            if timed and _is_of(page, *timed):
                slow = eyes.time(page.address, visitor.cookies())
                yield from (f"{code} {page.address}: {fault}" for fault in slow.faults)
    yield from (f"{path} was never seen" for path in sorted(looked_at() - seen))


def _is_of(page: Found, part: int, parts: int) -> bool:
    return zlib.crc32(page.path.encode()) % parts == part
