"""A resident's way through their own record in a real browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clinic import Clinic
from looking import acting
from persons import asking, consent, to_institution
from playwright.sync_api import Browser, expect
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


def test_a_resident_reads_a_result_sees_who_looked_and_revokes_a_hospital(
    chromium: Browser, measured: Any
) -> None:
    assert measured.ask(read), "by the consent it reads what another has recorded"
    assert opened_by_the_hospital(chromium, measured) == 200
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
    assert opened_by_the_hospital(chromium, measured) == 404, "and the page of it as well"


def opened_by_the_hospital(chromium: Browser, measured: Any) -> int:
    """What the page of the result answers to the other institution's staff."""
    with acting(chromium, measured, f"institution-{READER}", "zh") as page:
        answer = page.goto(f"{measured.address}/result/{measured.ids['journey result']}")
        return answer.status if answer else 0
