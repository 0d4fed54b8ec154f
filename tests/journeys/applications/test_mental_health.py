"""The pages about severe mental disorders in a real browser, in both languages, standard and large,
with somebody in them: nothing that a checker finds, no sideways scroll.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from books import Books, organization
from clinic import Clinic
from disorders import charge, register, visit
from looking import acting, faults_on
from playwright.sync_api import Browser
from vaccinating import registered

from quanmin.demo.numbering import credit_code
from quanmin.trust import Actor
from quanmin.web.mental_health import HOME

pytestmark = pytest.mark.browser
IS_WHOLE = os.environ.get("QUANMIN_TESTS") == "full"
WAYS = [(one, large) for one in ("zh", "en") for large in "01"] if IS_WHOLE else [("zh", "1")]


HERE = credit_code("580103", 31)
KEEPER = Actor("mh-gu", "public_health_worker", "顾", f"sender-{HERE}")


@pytest.fixture(scope="module")
def pages(served: Any) -> dict[str, str]:
    """The pages of a person whose emergency is open, and of that."""

    async def begin(clinic: Clinic) -> tuple[str, str]:
        await Books(clinic.guard, clinic.pool).enter(organization(HERE))
        await charge(clinic, KEEPER)
        keeper = await clinic.enter(KEEPER.code)
        patient = await registered(keeper, "古月", "1990-01-01", "012")
        await register(clinic, keeper, patient=patient)
        await visit(clinic, keeper, "1", patient=patient)
        sent = await visit(clinic, keeper, "4", patient=patient, referred="青市第四人民医院")
        await keeper.client.aclose()
        return f"{HOME}/of/{patient}", str(sent.headers["location"])

    person, case = served.ask(begin)
    lists = {one: f"{HOME}/{one}" for one in ("find", "counts", "rows", "emergencies")}
    forms = {one: f"{person}/{one}" for one in ("visit", "end")}
    due = f"{HOME}/due?status=planned"
    return {"register": HOME, "due": due, "person": person, "case": case, **lists, **forms}


@pytest.mark.parametrize("way", WAYS)
def test_every_page_is_for_everybody(
    served: Any, chromium: Browser, axe: str, pages: dict[str, str], way: tuple[str, str]
) -> None:
    language, large = way
    found: list[str] = []
    with acting(chromium, served, KEEPER.code, language) as opened:
        for name, path in pages.items():
            join = "&" if "?" in path else "?"
            opened.goto(f"{served.address}{path}{join}lang={language}&large={large}")
            found += faults_on(opened, name, axe)
        opened.goto(f"{served.address}{pages['person']}")
        opened.click("main ol a")
        found += faults_on(opened, "a sheet", axe)
    assert found == []
