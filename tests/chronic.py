"""What tests of the follow-up of chronic diseases share: a health centre with a worker charged with
it, the hospital of the county, and visits as a browser sends them.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import httpx
from books import ADDRESS, CREDIT, Books, organization, practice, practitioner, qualification
from clinic import Browser, Clinic
from vaccinating import identity, said

from quanmin.demo.numbering import credit_code
from quanmin.trust import Actor

HERE: Final = "580101"
WORKER: Final = Actor("centre-wu", "doctor", "吴医师", "centre-here")
NURSE: Final = Actor("centre-sun", "nurse", "孙护士", "centre-here")
DOCTOR: Final = Actor("hospital-li", "doctor", "李医师", "hospital-here")
STRANGER: Final = Actor("hospital-bai", "doctor", "白医师", "hospital-b")
SYSTEM: Final = "https://quanmin.example/fhir/CodeSystem"

# A county that no other journey speaks of: people are referred to its nearest hospital.
COUNTY_OF_JOURNEYS = "580107"


async def settle(clinic: Clinic, county: str = HERE) -> Clinic:
    """The clinic with a health centre and the hospital of its county, and their staff: once, since
    journeys share one.
    """
    if await clinic.actors.by_code(WORKER.code) is not None:
        return clinic
    books, homes = Books(clinic.guard, clinic.pool), {}
    codes = credit_code(county, 21), credit_code(county, 22)
    for actor, code, kind in ((WORKER, codes[0], "B"), (DOCTOR, codes[1], "A")):
        types = {ADDRESS.kind: kind, ADDRESS.level: "county", ADDRESS.grade: "2"}
        names = ((CREDIT, code), (ADDRESS.sender, actor.sender))
        body = organization(
            code,
            name="青县人民医院" if kind == "A" else "青县卫生服务中心",
            identifier=[{"system": system, "value": value} for system, value in names],
            type=[{"coding": [{"system": url, "code": one}]} for url, one in types.items()],
        )
        homes[actor.sender] = await books.enter(body)
    for actor in (WORKER, NURSE, DOCTOR, STRANGER):
        await clinic.add(actor)
    for actor, licence in ((WORKER, "rural_doctor"), (NURSE, "nurse")):
        who = await books.enter(practitioner(qualification(licence, "clinical")))
        await books.enter(practice(who, homes[actor.sender]))
        duties = frozenset({"chronic_disease"})
        await books.appoint(actor.code, duties=duties, practitioner_id=who)
    return clinic


def today_of(clinic: Clinic) -> date:
    """Today by the clock of the node."""
    moment = datetime.fromtimestamp(clinic.guard.now() / 1_000_000, ZoneInfo("Asia/Shanghai"))
    return moment.date()


def ago(clinic: Clinic, days: int) -> str:
    """So many days before today."""
    return (today_of(clinic) - timedelta(days=days)).isoformat()


async def registered(browser: Browser, name: str, born: str, sequence: str = "002") -> str:
    """Register somebody at the browser's institution; gives the id of the Patient."""
    await browser.get("/registration")
    fields = {"name": name, "sex": "female", "born": born, "identity": identity(born, sequence)}
    sent = await browser.send("/registration", **fields)
    assert sent.status_code == 303, said(sent)
    return str(sent.headers["location"].rpartition("/")[2])


async def measured(browser: Browser, patient: str, on: str, **found: str) -> httpx.Response:
    """Enter a measurement."""
    page = f"/chronic/of/{patient}/measurement"
    await browser.get(page)
    return await browser.send(page, day=on, do="send", **found)


async def enrolled(
    browser: Browser, patient: str, on: str, disease: str = "hypertension"
) -> httpx.Response:
    """Enrol somebody."""
    page = f"/chronic/of/{patient}/enrolment"
    await browser.get(page)
    return await browser.send(page, disease=disease, enrolled=on, beside="some")


def visit_of(on: str, pressure: str) -> dict[str, str]:
    """What the form of a visit is filled in with, of a pressure "150/95"."""
    upper, lower = pressure.split("/")
    return {
        "day": on,
        "way": f"{SYSTEM}/follow-up-way|outpatient",
        "systolic": upper,
        "diastolic": lower,
        "adherence": f"{SYSTEM}/medicine-adherence|regular",
        "reaction": "false",
        "complication": "false",
    }


async def visited(
    browser: Browser, case: str, on: str, pressure: str, **more: str
) -> httpx.Response:
    """Send the form of a visit; of a pressure "150/95"."""
    await browser.get(f"{case}/visit")
    fields = {**visit_of(on, pressure), "do": "send", **more}
    return await browser.send(f"{case}/visit", **fields)


async def step(browser: Browser, case: str, code: str, words: str = "") -> httpx.Response:
    """Take a step on the page of a case."""
    await browser.get(case)
    return await browser.send(case, step=code, words=words)
