"""The page that shows how an application is added is followed word by word."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from clinic import Browser, Clinic
from contract_of import (
    faults_of_definitions,
    faults_of_folder,
    faults_of_rules,
    faults_of_words,
    undeclared,
)
from tidy.tree import ROOT

import quanmin.applications
from quanmin.trust import Actor, Role
from quanmin.trust.lifecycle.activities import enter_delivered, is_covered
from quanmin.trust.lifecycle.registered import Registered
from quanmin.web.application import Installed, discover

PAGE = ROOT / "docs" / "how-to" / "add-an-application.md"
NAME = "health_talks"
FILE = re.compile(r"^File `([^`]+)`:\n\n```[a-z]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (\w+) \| (opens|sends) ([^|]+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """The application, laid into a folder of its own as the page says."""
    files = dict(FILE.findall(PAGE.read_text("utf-8")))
    assert {"__init__.py", "application.py", "pages.py", "workflow.toml"} <= files.keys()
    for name, text in files.items():
        file = tmp_path / "more" / NAME / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    more = [*quanmin.applications.__path__, str(tmp_path / "more")]
    monkeypatch.setattr(quanmin.applications, "__path__", more)
    (found,) = [one for one in discover() if one.application.name == NAME]
    laid = [one for one in sys.modules if one.startswith(f"quanmin.applications.{NAME}")]
    for one in laid:
        monkeypatch.delitem(sys.modules, one)
    return found


async def test_the_application_of_the_page_does_what_the_page_says(
    clinic: Clinic, installed: Installed
) -> None:
    await registered(clinic, installed)
    pages = clinic.pages(installed=(installed,))
    browsers: dict[str, Browser] = {}
    talk = ""
    rows = ROW.findall(PAGE.read_text("utf-8"))
    assert len(rows) == PAGE.read_text("utf-8").partition("## 8.")[2].count("\n| ") - 1
    for role, does, where, given, sees in rows:
        if role not in browsers:
            named: Role = role
            await clinic.add(Actor(f"some-{role}", named, "Somebody", "hospital-a"))
            browsers[role] = await clinic.enter(f"some-{role}", pages)
        browser = browsers[role]
        path = talk if where == "the talk" else where.strip("`")
        answer = await browser.get(f"{path}?lang=en")
        if does == "sends":
            fields = dict(one.split("=", 1) for one in re.findall(r"`([^`]+)`", given))
            answer = await browser.send(path, **fields)
            if answer.status_code == 303:
                talk = answer.headers["location"]
                answer = await browser.get(talk)
        assert sees in answer.text, (role, does, where, given, answer.text)


async def registered(clinic: Clinic, installed: Installed) -> None:
    """Have its entry in the processing register as a start does, and refuse what is in none."""
    declared = [one.activity for one in discover() if one.activity is not None]
    assert installed.activity in declared
    async with clinic.pool.acquire() as connection, connection.transaction():
        await enter_delivered(connection, clinic.guard.now(), declared)
        assert await is_covered(connection, "application", NAME)
    guard = clinic.guard
    guard.registered = Registered(guard.store.looking_up(), guard.revoked, "refuse")


def test_the_application_of_the_page_keeps_the_contract(installed: Installed) -> None:
    assert faults_of_folder(installed) == []
    assert undeclared(installed) == []
    assert faults_of_words(installed) == []
    assert faults_of_definitions(installed) == []
    assert faults_of_rules(installed, "quanmin.applications") == []
