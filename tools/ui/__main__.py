"""`python -m ui`: see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from rich.progress import Progress

from ui.axe import axe_source
from ui.judge import judging
from ui.looks import ALL, pairwise
from ui.node import demonstration, signed_in
from ui.report import Report, Seen
from ui.slow import timed
from ui.walk import Found, declared, walk

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


def main() -> int:
    """Look at all pages and write the report; 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m ui", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the node and the report are put")
    parser.add_argument(
        "--looks",
        choices=("one", "pairs", "all"),
        default="one",
        help="another look for each page; those in which all pairs of choices meet; all",
    )
    parser.add_argument("--timed", action="store_true", help="measure on a slow line too")
    parser.add_argument("--account", action="append", help="of these accounts only")
    asked = parser.parse_args()
    program = os.environ.get("QUANMIN_CHROMIUM") or shutil.which("chromium")
    if program is None:
        print("no browser: install chromium or name one in QUANMIN_CHROMIUM", file=sys.stderr)
        return 2
    report = Report(asked.folder / "report")
    with demonstration(asked.folder / "node") as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        accounts = signed_in(browser, base, asked.folder / "node")
        for account, cookies in accounts.items():
            if not asked.account or account in asked.account:
                seen = look_around(browser, base, (account, cookies), asked.looks, report)
                if asked.timed:
                    time_each(browser, base, (account, cookies), seen, report)
        browser.close()
    if not asked.account:
        report.never_seen = sorted({page.path for page in declared()} - report.paths())
    report.write()
    print(f"{report.folder / 'index.html'}: {report.summary()}")
    return 1 if report.fault_count else 0


def look_around(
    browser: Browser,
    base: str,
    account: tuple[str, list[Any]],
    looks: str,
    report: Report,
    *,
    is_new: Callable[[Found], bool] = lambda _: True,
) -> list[Found]:
    """Every page that is new of those to which links lead this account, seen in one look (another
    for each page), in looks in which all pairs of choices meet, or in all.
    """
    code, cookies = account
    axe, pairs = axe_source(), pairwise()
    with judging(browser, base, pairs[0], cookies, axe) as judge:
        pages = [found for found in walk(judge.page, base) if is_new(found)]
    with Progress() as progress:
        task = progress.add_task(
            code, total=len(pages) * {"one": 1, "pairs": len(pairs)}.get(looks, len(ALL))
        )
        for number, look in enumerate(ALL if looks == "all" else pairs):
            chosen = pages[number :: len(pairs)] if looks == "one" else pages
            with judging(browser, base, look, cookies, axe) as judge:
                for found in chosen:
                    is_whole = looks != "all" or look in pairs
                    faults = judge.all_faults(base + found.address, is_whole=is_whole)
                    picture = report.picture(code, found, look)
                    judge.page.screenshot(path=picture, full_page=True)
                    report.seen.append(Seen(code, found, look, tuple(faults), picture.name))
                    progress.advance(task)
    return pages


def time_each(
    browser: Browser,
    base: str,
    account: tuple[str, list[Any]],
    pages: list[Found],
    report: Report,
) -> None:
    """How each page comes on a slow line."""
    for found in pages:
        report.slow[account[0], found] = timed(browser, base + found.address, account[1])


if __name__ == "__main__":
    sys.exit(main())
