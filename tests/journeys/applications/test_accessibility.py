"""The pages of applications under the eyes of an accessibility checker, on a phone and at the desk.

In the quick tests the first page of each that brings a workflow; in the long ones every page that
is opened by its address alone, in both languages, with normal and large text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from clinic import Clinic
from contract_of import SIGNING_IN
from looking import acting, faults_on
from playwright.sync_api import Browser

from quanmin.trust import Actor
from quanmin.web.application import Application, discover
from quanmin.web.route import Page
from quanmin.web.text import LANGUAGES

IS_WHOLE = os.environ.get("QUANMIN_TESTS") == "full"
EVERY = [one.application for one in discover()]


def looked_at(application: Application) -> list[Page]:
    """The pages of an application that are looked at."""
    plain = [
        one
        for one in application.pages
        if "GET" in one.methods and "{" not in one.path and not one.path.endswith(".csv")
    ]
    if IS_WHOLE:
        return plain
    return [one for one in plain if application.workflow and one.path == application.home]


@pytest.fixture(scope="module")
def staff(served: Any) -> dict[str, str]:
    """An account of every role at a hospital, by role."""

    async def settle(clinic: Clinic) -> dict[str, str]:
        person = await clinic.pool.fetchval("select person from people.link limit 1")
        found: dict[str, str] = {}
        for role in sorted(SIGNING_IN):
            code, is_resident = f"looks-{role.replace('_', '-')}", role == "resident"
            of = str(person) if is_resident else None
            await clinic.add(Actor(code, role, "检查员", "" if of else "hospital-a", of))
            found[role] = code
        return found

    return dict(served.ask(settle))


def faults_of(
    chromium: Browser, served: Any, axe: str, staff: dict[str, str], application: Application
) -> Iterator[str]:
    for page in looked_at(application):
        role = next(iter(sorted(SIGNING_IN & (page.access.roles or SIGNING_IN))))
        ways = [(one, large) for one in LANGUAGES for large in "01"] if IS_WHOLE else [("zh", "0")]
        for language, large in ways:
            with acting(chromium, served, staff[role], language) as opened:
                answer = opened.goto(
                    f"{served.address}{page.path}?lang={language}&large={large}",
                    wait_until="domcontentloaded",
                )
                if answer is not None and answer.status == 403 and page.access.charge:
                    continue  # asks for a duty, which nobody has here
                yield from faults_on(opened, f"{page.path} {language} {large}", axe)


def test_pages_of_applications_are_for_everybody(
    served: Any, chromium: Browser, axe: str, staff: dict[str, str]
) -> None:
    found = [one for app in EVERY for one in faults_of(chromium, served, axe, staff, app)]
    assert found == []
