"""The pages of petitions, the processing register and incidents in a real browser, on the narrowest
phone, under the eyes of an accessibility checker.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clinic import Clinic
from playwright.sync_api import Browser, Page

from quanmin.trust import Actor
from quanmin.trust.lifecycle.activities import enter_delivered
from quanmin.trust.lifecycle.incidents import Incidents, Scope, incident_rules
from quanmin.trust.lifecycle.petitions import Filing, Petitions

pytestmark = pytest.mark.browser

_CHECK = (
    "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
)


@pytest.fixture(scope="module")
def filed(served: Any) -> dict[str, str]:
    """A petition that was refused, an incident, and who answers for them; gives their addresses."""

    async def fill(clinic: Clinic) -> dict[str, str]:
        guard = clinic.guard
        security = Actor("security", "security_administrator", "安全管理员", "")
        await clinic.add(security)
        async with clinic.pool.acquire() as connection, connection.transaction():
            await enter_delivered(connection, guard.now())
        (mine,) = await clinic.sign_in.actors.of_account("resident")
        (ours,) = await clinic.sign_in.actors.of_account("hospital-a")
        asked = guard.records(mine, purpose="PATRQT", request_id="r").desk(Petitions)
        about = f"Observation/{clinic.ids['hospital-a Observation']}"
        words = "结果不是我的" * 3
        petition = await asked.file(Filing("correction", about, wrong=words, should=words))
        await asked.file(Filing("erasure", institution="hospital-a", wrong=words))
        answering = guard.records(ours, purpose="PATRQT", request_id="r").desk(Petitions)
        await answering.take(petition, "refuse", "与原始单据一致，不予更正")
        await clinic.pool.execute("update trust.petition set due = 1 where kind = 'erasure'")
        keeping = guard.records(security, purpose="HSYSADMIN", request_id="r").desk(Incidents)
        now = datetime.now(UTC)
        scope = Scope(
            int((now - timedelta(days=999)).timestamp()) * 1_000_000,
            int((now + timedelta(days=999)).timestamp()) * 1_000_000,
            senders=("hospital-a",),
        )
        parts = {one.code: "一台已登录的电脑失窃，正在核查" for one in incident_rules().part}
        number = await keeping.open("一台已登录的笔记本电脑失窃", parts, scope)
        return {"petition": f"/petitions/{petition}", "incident": f"/breaches/{number}"}

    found: dict[str, str] = served.ask(fill)
    return found


def everywhere(page: Page, served: Any, filed: dict[str, str]) -> Iterator[str]:
    """Bring the page to each kind of page in turn, as whom it is for, and say which it is."""
    petition, incident = filed["petition"], filed["incident"]
    about = f"Observation/{served.ids['hospital-a Observation']}"
    for actor, name, path in (
        ("resident", "own", "/petitions"),
        ("resident", "choose", "/petitions/new"),
        ("resident", "correction", f"/petitions/new?kind=correction&about={about}"),
        ("resident", "objection", "/petitions/new?kind=objection"),
        ("resident", "petition", petition),
        ("hospital-a", "worklist", "/petitions"),
        ("hospital-a", "answer", petition),
        ("hospital-a", "numbers", "/petitions/numbers"),
        ("security", "watch", "/petitions"),
        ("security", "register", "/processing_register"),
        ("security", "entry", "/processing_register/entry/care"),
        ("security", "edit", "/processing_register/edit?code=care"),
        ("security", "uses", "/processing_register/uses"),
        ("security", "print", "/processing_register/print"),
        ("security", "incidents", "/breaches"),
        ("security", "open", "/breaches/new"),
        ("security", "incident", incident),
        ("security", "report", f"{incident}/report"),
    ):
        page.context.add_cookies([served.cookie(actor)])
        page.goto(served.address + path)
        yield name


def test_an_accessibility_checker_finds_nothing_and_no_page_scrolls_sideways(
    chromium: Browser, served: Any, filed: dict[str, str], axe: str
) -> None:
    lang, width = "en", 320  # the longer words
    context = chromium.new_context(viewport={"width": width, "height": 800}, bypass_csp=True)
    page, faults = context.new_page(), []
    try:
        page.goto(f"{served.address}/sign-in?lang={lang}")
        for name in everywhere(page, served, filed):
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                faults.append(f"{name}: {needed} wide at {width}")
            page.evaluate(axe)
            found = page.evaluate(_CHECK)
            assert len(found["passes"]) > 5
            faults += [
                f"{name}: {one['id']}: {node['target']} {node['failureSummary']}"
                for one in found["violations"]
                for node in one["nodes"]
            ]
    finally:
        context.close()
    assert not faults, "\n".join(faults)
