"""What tests of vaccination share: a vaccination point with a store, stock, and children."""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from books import CODE, OTHER, Books, organization, practitioner, qualification
from clinic import Browser, Clinic, with_check_digit

from quanmin.trust import Actor
from quanmin.workflow.stock import PRODUCT_SYSTEM

HERE, THERE = f"sender-{CODE}", f"sender-{OTHER}"
WORKER = Actor("point-wu", "public_health_worker", "吴护士", HERE)
OTHER_WORKER = Actor("point-li", "public_health_worker", "李护士", THERE)
SITE = "http://terminology.hl7.org/CodeSystem/v3-ActSite|LD"
ROUTE = "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration|IM"


async def points(clinic: Clinic, *workers: tuple[Actor, str]) -> Clinic:
    """Vaccination points, each with a worker whose post charges them with vaccination: these, or
    two of two counties.
    """
    books = Books(clinic.guard, clinic.pool)
    for actor, code in workers or ((WORKER, CODE), (OTHER_WORKER, OTHER)):
        await books.enter(organization(code))
        who = await books.enter(practitioner(qualification("vaccinator", None)))
        await clinic.add(actor)
        duties = frozenset({"immunization"})
        await books.appoint(actor.code, duties=duties, practitioner_id=who)
    return clinic


def moment(clinic: Clinic) -> str:
    """This second by the clock of the node, as a logger writes it and a field reads it."""
    there = datetime.fromtimestamp(clinic.guard.now() / 1_000_000, ZoneInfo("Asia/Shanghai"))
    return f"{there:%Y-%m-%dT%H:%M:%S}"


def identity(born: str, sequence: str = "002") -> str:
    """A number of a girl of the invented province: its sequence is even (GB 11643)."""
    return with_check_digit(f"580101{born.replace('-', '')}{sequence}0")


async def registered(browser: Browser, name: str, born: str, sequence: str = "002") -> str:
    """Register a child at the browser's institution; gives the id of the Patient."""
    await browser.get("/registration")
    sent = await browser.send(
        "/registration", name=name, sex="female", born=born, identity=identity(born, sequence)
    )
    assert sent.status_code == 303, said(sent)
    return str(sent.headers["location"].rpartition("/")[2])


async def store(browser: Browser, name: str = "一号冰箱") -> str:
    """Enter a refrigerator; gives its page."""
    await browser.get("/cold-chain/new")
    sent = await browser.send("/cold-chain/new", name=name, site="接种室", kind="refrigerator")
    assert sent.status_code == 303, said(sent)
    return str(sent.headers["location"])


async def received(browser: Browser, store: str, **more: str) -> str:
    """Enter a receipt into a store; gives the page of the lot."""
    await browser.get("/vaccine-stock/receipt")
    fields = {"product": "MMR", "number": "M2601", "expiry": "2027-12-31", "count": "2", **more}
    sent = await browser.send(
        "/vaccine-stock/receipt", **fields, store=store.rpartition("/")[2], words=""
    )
    assert sent.status_code == 303, said(sent)
    return str(sent.headers["location"])


async def give(browser: Browser, patient: str, given: str, **more: str) -> httpx.Response:
    """Send the form of a dose."""
    page = f"/vaccination/of/{patient}/dose"
    await browser.get(page)
    fields: dict[str, Any] = {
        "product": f"{PRODUCT_SYSTEM}|{more.pop('product', 'MMR')}",
        "lot": "M2601",
        "trace": "81234567890000000001",
        "given": given,
        "site": SITE,
        "route": ROUTE,
        "asked": "true",
        **more,
    }
    return await browser.send(page, **fields)


def said(answer: httpx.Response) -> str:
    """The words of a page."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.text).split()))
