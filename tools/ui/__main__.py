"""`python -m ui`: see the package."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.progress import track

from ui.looking import Eyes
from ui.node import demonstration
from ui.report import Report
from ui.tour import Tour
from ui.walk import looked_at


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
    parser.add_argument("--page", action="append", help="of these declared paths only")
    asked = parser.parse_args()
    program = os.environ.get("QUANMIN_CHROMIUM") or shutil.which("chromium")
    if program is None:
        print("no browser: install chromium or name one in QUANMIN_CHROMIUM", file=sys.stderr)
        return 2
    report = Report(asked.folder / "report")
    with demonstration(asked.folder / "node") as base, sync_playwright() as playwright:
        eyes = Eyes(playwright, program, base)
        tour = Tour(asked.folder / "node", base)
        report.lost = tour.faults
        for code, visitor, found in tour.accounts(each_max=2):
            if asked.account and code not in asked.account:
                continue
            pages = [one for one in found if not asked.page or one.path in asked.page]
            looks = eyes.look(code, visitor.cookies(), pages, asked.looks, report.picture)
            for seen in track(looks, code or "nobody"):
                report.seen.append(seen)
            for page in pages if asked.timed else ():
                report.slow[code, page] = eyes.time(page.address, visitor.cookies())
        tour.close()
        eyes.close()
    if not asked.account and not asked.page:
        report.never_seen = sorted(looked_at() - report.paths())
    report.write()
    print(f"{report.folder / 'index.html'}: {report.summary()}")
    return 1 if report.fault_count or report.never_seen or report.lost else 0


if __name__ == "__main__":
    sys.exit(main())
