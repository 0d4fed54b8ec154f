"""A resident's way through their own record in a real browser, and its pages under the eyes of an
accessibility checker.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clinic import Clinic
from looking import acting, faults_on
from persons import asking, consent, to_institution
from playwright.sync_api import Browser, Page, expect
from pressing import press
from stores import patient as another

from quanmin.base.problems import NotFound
from quanmin.trust import Actor

pytestmark = pytest.mark.browser

# An institution that no other journey speaks of.
READER = "hospital-of-the-journey"
LOINC = "http://loinc.org"


@pytest.fixture(scope="module")
def measured(served: Any) -> Any:
    """The clinic with three values of one examination, and a consent by which another institution
    reads them.
    """

    async def add(clinic: Clinic) -> str:
        hospital = asking(clinic.guard, "institution", "hospital-a")
        patient = clinic.ids["hospital-a man"]
        unit = {"unit": "mmol/L"}
        made = ""
        for day, value in (("2026-04-02", 5.2), ("2026-05-06", 6.1), ("2026-06-10", 7.4)):
            body = {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": LOINC, "code": "14771-0", "display": "空腹血糖"}]},
                "subject": {"reference": f"Patient/{patient}"},
                "effectiveDateTime": day,
                "valueQuantity": {"value": value, **unit},
                "referenceRange": [{"low": {"value": 3.9, **unit}, "high": {"value": 6.1, **unit}}],
            }
            made = (await hospital.create("Observation", json.dumps(body).encode())).stored.id
        await clinic.add(Actor(f"institution-{READER}", "institution", "reader", READER))
        # The node knows an institution once it has sent something.
        await asking(clinic.guard, "institution", READER).create("Patient", another(name="顾远"))
        given = consent(patient, type="permit", actor=to_institution(READER))
        signed = given | {"sourceAttachment": {"title": "form"}}
        await hospital.create("Consent", json.dumps(signed).encode())
        return made

    served.ids["journey result"] = served.ask(add)
    return served


async def read(clinic: Clinic) -> bool:
    """Whether the other institution reads the newest value."""
    try:
        records = asking(clinic.guard, "institution", READER)
        await records.read("Observation", clinic.ids["journey result"])
    except NotFound:
        return False
    return True


def look(page: Page, name: str) -> None:
    """A picture for who wants to look: QUANMIN_PICTURES names the folder."""
    if folder := os.environ.get("QUANMIN_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_resident_reads_a_result_sees_who_looked_and_revokes_a_hospital(
    chromium: Browser, measured: Any
) -> None:
    assert measured.ask(read), "by the consent it reads what another has recorded"
    with acting(chromium, measured, "resident", "en") as page:
        page.goto(f"{measured.address}/my-record")
        press(page, "main .chips a[href$='/results']")
        press(page, "main table a >> text='Fasting blood sugar'")
        expect(page.locator("main")).to_contain_text("7.4 mmol/L above the range")
        expect(page.locator("figure svg[role=img]")).to_be_visible()
        page.goto(f"{measured.address}/my-record")
        press(page, "main .chips a[href='/my-record-access/looked']")
        row = page.locator("main tbody tr").filter(has_text=READER)
        expect(row.first).to_contain_text("read")
        page.goto(f"{measured.address}/my-record")
        press(page, "main .chips a[href='/my-record-access']")
        given = page.locator("main section").filter(has_text=READER)
        with page.expect_navigation():
            given.locator("a").click()
        press(page, "main form button")
        assert not measured.ask(read), "its next read is refused"
        expect(page.locator("main section").filter(has_text=READER)).to_contain_text("taken back")


def pages_of(page: Page, served: Any) -> Iterator[str]:
    man = served.ids["hospital-a man"]
    for name, path in (
        ("front", f"/person/{man}"),
        ("timeline", f"/person/{man}/timeline?until=2025"),
        ("results", f"/person/{man}/results"),
        ("result", f"/result/{served.ids['journey result']}"),
        ("download", f"/person/{man}/download"),
    ):
        page.goto(f"{served.address}{path}")
        yield name


@pytest.mark.parametrize(("lang", "large"), [("zh", 1), ("en", 0)])
def test_nothing_scrolls_sideways_and_a_checker_finds_nothing(
    chromium: Browser, measured: Any, axe: str, lang: str, large: int
) -> None:
    faults: list[str] = []
    with acting(chromium, measured, "resident", lang) as page:
        page.goto(f"{measured.address}/?large={large}")
        for name in pages_of(page, measured):
            faults += faults_on(page, name, axe)
            look(page, f"{name}-{lang}-{large}")
    assert not faults, "\n".join(faults)
