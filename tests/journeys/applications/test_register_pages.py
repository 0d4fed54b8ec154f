"""Questions of the registers and of the counter before something is done, and a tenant, in a real
browser: nothing scrolls sideways, an accessibility checker finds nothing, and no form is lost when
something is wrong in it. `test_every_page.py` sees what an address leads to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from books import CODE, Books, organization, practice, practitioner, qualification
from clinic import MAN, WOMAN, Clinic, with_check_digit
from looking import LANGUAGES, acting, faults_on
from persons import asking
from playwright.sync_api import Browser, Page
from pressing import press
from stores import START, patient

from quanmin.trust import Actor
from quanmin.trust.registers import Admissions, Application
from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.tenants import Tenant, Tenants

pytestmark = pytest.mark.browser

SENDER = f"sender-{CODE}"
KEEPER = Actor("registers-keeper", "security_administrator", "登记管理员", "register")
SYSTEM = Actor("tenants-keeper", "system_administrator", "系统管理员", "")
NURSE = Actor("nurse-wang-with-a-rather-long-account-code", "nurse", "王护士", SENDER)
CHILD = with_check_digit("58010120200229002")


@pytest.fixture(scope="module")
def registered(served: Any) -> Any:
    """The clinic with something in every register; `ids` has the id of its practitioner."""

    async def fill(clinic: Clinic) -> None:
        for actor in (KEEPER, SYSTEM, NURSE):
            await clinic.add(actor)
        books = Books(clinic.guard, clinic.pool)
        home = await books.put("home", organization())
        licences = (
            qualification("nurse", None),
            qualification("vaccinator", None, end="2026-01-31"),
        )
        nurse = await books.enter(practitioner(*licences))
        await books.enter(practice(nurse, home))
        await books.appoint(NURSE.code, practitioner_id=nurse, duties=["immunization", "head"])
        clinic.ids["practitioner"] = nurse
        application = Application(
            party="growth-charts",
            kind="app",
            name="Growth charts of a party with a long name, for parents",
            purpose="shows parents how their child grows",
            members=(("client", "growth-charts"), ("actor", "growth-charts-of-the-county")),
        )
        await Admissions(clinic.pool).apply(application, at=START, by="desk")
        tenant = Tenant(
            "qinghe", "清河县", "Qinghe County", "580101", None, START, OPEN_END, "test"
        )
        await Tenants(clinic.pool).declare(tenant, at=START)
        hospital = asking(clinic.guard, "institution", "hospital-a")
        await hospital.create("Patient", patient(CHILD, "欧阳小月", birthDate="2020-02-29"))

    served.ask(fill)
    return served


def of_keeper(page: Page, served: Any) -> Iterator[str]:
    page.goto(f"{served.address}/registers/institutions/new")
    page.fill("input[name=credit_code]", "91350100M000100Y44")
    page.fill("input[name=name]", "第一医院")
    press(page, "main form button")
    assert page.input_value("input[name=name]") == "第一医院"
    page.goto(f"{served.address}/posts")
    press(page, "main table a[href$='/end']")
    press(page, "main form button")
    yield "whether a post is to end"


def of_system(page: Page, served: Any) -> Iterator[str]:
    page.goto(f"{served.address}/tenants/qinghe")
    yield "tenants/qinghe"


def of_counter(page: Page, served: Any) -> Iterator[str]:
    page.goto(f"{served.address}/enrolment/proxies/new")
    page.fill("input[name=number]", with_check_digit(WOMAN))
    page.fill("input[name=for_number]", with_check_digit(MAN))
    page.select_option("select[name=kind]", "parent")
    page.select_option("select[name=evidence]", "in-person")
    press(page, "main form button")
    page.fill("input[name=for_number]", CHILD)
    page.select_option("select[name=evidence]", "birth-certificate")
    press(page, "main form button")
    yield "whether they are to act"
    page.goto(f"{served.address}/enrolment")
    page.fill("#term", with_check_digit(WOMAN))
    press(page, "main form button")
    press(page, "form[action='/enrolment/document'] button")
    yield "the document"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_registers_fit_a_telephone_and_a_checker_finds_nothing(
    chromium: Browser, registered: Any, axe: str, lang: str
) -> None:
    faults: list[str] = []
    seen = 0
    for actor, walk in (
        (KEEPER.code, of_keeper),
        (SYSTEM.code, of_system),
        ("hospital-a", of_counter),
    ):
        with acting(chromium, registered, actor, lang) as page:
            for name in walk(page, registered):
                seen += 1
                # What the words are makes no difference to the checker.
                faults += faults_on(page, name, axe if lang == "zh" else None)
    assert not faults, "\n".join(faults)
    assert seen == 4
