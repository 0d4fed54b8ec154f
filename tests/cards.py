"""The trial application over a clinic: hospitals that report, centres that check their cards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from books import ADDRESS, CODE, CREDIT, OTHER, Books, organization
from clinic import Browser, Clinic
from ruling import brought_by, under
from starlette.applications import Starlette

from quanmin.demo.numbering import credit_code
from quanmin.fhir.json import decode
from quanmin.trust import Actor, Stored
from quanmin.web import DeclaredRecords, build
from quanmin.web.application import Application, discover
from quanmin.web.case_notices import notice_kinds
from quanmin.web.house import KitSettings

CENTRE, CENTRE_BESIDE = f"sender-{CODE}", f"sender-{OTHER}"
DOCTOR = Actor("dr-li", "doctor", "Dr Li", "hospital-a")
CHECKERS = [Actor(code, "public_health_worker", code, CENTRE) for code in ("cdc-wu", "cdc-xu")]
BESIDE = Actor("cdc-qi", "public_health_worker", "cdc-qi", CENTRE_BESIDE)
ZONE = ZoneInfo("Asia/Shanghai")
KIT = KitSettings(secret=b"p" * 32, zone=ZONE)


async def settle(clinic: Clinic) -> Clinic:
    """The clinic with a doctor at a hospital of a county, and the centre of the county, whose
    workers check; the second has no duty for it. Another centre is in the county beside.
    """
    books = Books(clinic.guard, clinic.pool)
    for code in (CODE, OTHER):
        await books.enter(organization(code))
    await books.enter(hospital("hospital-a", credit_code("580101", 9)))
    for actor in (DOCTOR, *CHECKERS, BESIDE):
        await clinic.add(actor)
    await books.appoint("cdc-wu", duties=frozenset({"infection_report"}))
    await books.appoint("cdc-xu", duties=frozenset({"immunization"}))
    await books.appoint("cdc-qi", duties=frozenset({"infection_report"}))
    clinic.guard = under(clinic.guard, brought=brought_by("trials"))
    return clinic


def hospital(sender: str, code: str) -> dict[str, Any]:
    """An institution of the register that sends under this code."""
    names = ((CREDIT, code), (ADDRESS.sender, sender))
    identifiers = [{"system": system, "value": value} for system, value in names]
    return organization(code, identifier=identifiers)


def pages_of(county: Clinic) -> Starlette:
    """The pages of a node that has the trial application alone."""
    found = discover("trials")
    return Starlette(routes=build(county.guard, county.sign_in, KIT, installed=found))


def application() -> Application:
    return discover("trials")[0].application


def records(county: Clinic, actor: Actor, purpose: str = "PUBHLTH") -> DeclaredRecords:
    guarded = county.guard.records(actor, purpose=purpose, request_id="r")
    (installed,) = discover("trials")
    return DeclaredRecords(guarded, installed.application, ZONE, notice_kinds(installed))


async def entered(county: Clinic, pages: Starlette) -> tuple[Browser, str]:
    """The doctor's browser, and the page of the card that was entered in it."""
    browser = await county.enter("dr-li", pages)
    where = f"/cards/of/{county.ids['hospital-a Patient']}"
    await browser.get(where)
    moment = datetime.fromtimestamp(county.guard.now() / 1e6, ZONE) - timedelta(hours=1)
    answer = await browser.send(where, disease="measles", diagnosed=moment.isoformat())
    assert answer.status_code == 303, answer.text
    return browser, answer.headers["location"]


async def task_of(county: Clinic, where: str) -> Stored:
    """The Task of a card, as who entered it sees it."""
    return await records(county, DOCTOR).read("Task", where.rpartition("/")[2])


def body_of(stored: Stored) -> dict[str, Any]:
    return decode(stored.body or b"")
