"""A resident reads a result, sees who looked and revokes a hospital, whose next read is refused: by
its system at the FHIR door, and on the pages of its staff.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import httpx
import pytest
from clinic import ADDRESS, Browser, Clinic
from persons import asking, consent, to_institution
from vaccinating import said

from quanmin.api import build
from quanmin.trust import Actor

READER = "hospital-c"


@pytest.fixture
async def door(clinic: Clinic) -> AsyncIterator[httpx.AsyncClient]:
    """The system of a hospital that reads by the person's consent, at the FHIR door."""
    system = Actor("system-c", "institution", "丙医院", READER)
    zone = ZoneInfo("Asia/Shanghai")
    application = build(clinic.guard, clinic.actors, link_key=bytes(32), zone=zone)
    token = await clinic.actors.enrol(system)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application),
        base_url=ADDRESS,
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client


async def test_a_revoked_hospitals_next_read_is_refused_at_the_door_and_on_its_pages(
    clinic: Clinic, door: httpx.AsyncClient
) -> None:
    patient, result = clinic.ids["hospital-a man"], clinic.ids["hospital-a Observation"]
    given = consent(patient, type="permit", actor=to_institution(READER))
    signed = {**given, "sourceAttachment": {"title": "form"}}
    hospital = asking(clinic.guard, "institution", "hospital-a")
    await hospital.create("Consent", json.dumps(signed).encode())
    await clinic.add(Actor("desk-c", "institution", "丙医院", READER))
    desk, resident = await clinic.enter("desk-c"), await clinic.enter("resident")
    record, page = f"/fhir/Observation/{result}", f"/result/{result}"
    assert (await door.get(record)).json()["valueQuantity"]["value"] == 11.5
    assert (await desk.get(page)).status_code == 200

    assert "11.5 mmol/L" in said(await resident.get(page)), "their own result"
    looked = said(await resident.get("/my-record-access/looked"))
    assert "丙医院" in looked, "who looked"
    await revoke(resident)

    assert (await door.get(record)).status_code == 404
    assert (await door.get(f"/fhir/Observation?patient={patient}")).json().get("entry", []) == []
    assert (await desk.get(page)).status_code == 404
    assert (await desk.get(f"/person/{patient}")).status_code == 404
    assert (await resident.get(page)).status_code == 200, "what it is to others is not to them"
    told = said(await resident.get("/my-record-access/looked"))
    assert told.count(READER) >= looked.count(READER), "what was seen stays told"
    for browser in (desk, resident):
        await browser.client.aclose()


async def revoke(resident: Browser) -> None:
    """Take back the one consent that there is."""
    page = await resident.get("/my-record-access")
    (link,) = set(re.findall(r'href="(/my-record-access/consents/[^"]+/end)"', page.text))
    await resident.get(link)
    assert (await resident.send(link)).status_code == 303
