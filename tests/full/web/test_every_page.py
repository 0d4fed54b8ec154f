"""Every page to which links lead in the demonstration, in every look, is held against the bar."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from ui.__main__ import FLAGS, look_around
from ui.node import demonstration, signed_in
from ui.report import Report
from ui.walk import declared

# What links lead to only once something was done by a form, or from outside. Each is opened by a
# test of its own: those of the journeys, and of the application.
NOT_BY_LINKS_MAX = 40


def test_every_page_keeps_the_bar_in_every_look(passable_folder: Path) -> None:
    program = os.environ.get("QUANMIN_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("no browser: install chromium or name one in QUANMIN_CHROMIUM")
    folder = passable_folder / "ui"
    report = Report(folder / "report")
    with demonstration(folder / "node") as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        for account in signed_in(browser, base, folder / "node").items():
            look_around(browser, base, account, "all", report, is_new=report.is_new)
        browser.close()
    faults = [
        f"{one.account} {one.found.address} {one.look.name}: {fault}"
        for one in report.seen
        for fault in one.faults
    ]
    assert not faults, "\n".join(faults)
    pages = {page.path for page in declared()}
    assert len(pages - report.paths()) <= NOT_BY_LINKS_MAX, sorted(pages - report.paths())
