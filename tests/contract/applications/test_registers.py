"""The pages of the registers, over a real store."""

from __future__ import annotations

import re

import pytest
from books import CODE, OTHER, Books, organization
from clinic import Browser, Clinic

from quanmin.trust.registers.definitions import institution_rule


@pytest.fixture
async def books(clinic: Clinic) -> Books:
    opened = Books(clinic.guard, clinic.pool)
    await opened.enter(organization())
    await opened.enter(organization(OTHER, level="township", name="<b>柳林</b>卫生院"))
    return opened


def codes(text: str) -> list[str]:
    return re.findall(r'href="/registers/institutions/([0-9A-Z]{18})"', text)


async def test_institutions_are_found_as_of_a_day(books: Books, browser: Browser) -> None:
    stage = {
        "url": institution_rule().address.status,
        "extension": [
            {"url": "state", "valueCode": "active"},
            {"url": "period", "valuePeriod": {"start": "2020-01-01", "end": "2024-12-31"}},
        ],
    }
    id_ = await books.pool.fetchval("select id from trust.institution_entry where code = $1", CODE)
    await books.change(id_, organization(extension=[stage]))
    now = await browser.get("/registers/institutions")
    assert codes(now.text) == [OTHER]
    assert "<b>" not in now.text
    then = await browser.get("/registers/institutions?day=2024-12-31")
    assert codes(then.text) == [CODE]
    none = await browser.get("/registers/institutions?day=2025-01-01")
    assert codes(none.text) == []
    wrong = await browser.get("/registers/institutions?day=soon")
    assert (wrong.status_code, codes(wrong.text)) == (400, [OTHER])
    assert 'role="alert"' in wrong.text
    found = await browser.get("/registers/institutions?level=township&region=5801")
    assert codes(found.text) == [OTHER]
    sheet = await browser.get("/registers/institutions.csv?day=2024-12-31")
    lines = sheet.text.splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == [CODE]


async def test_an_institution_is_shown_with_its_history(books: Books, browser: Browser) -> None:
    id_ = await books.pool.fetchval("select id from trust.institution_entry where code = $1", CODE)
    await books.change(id_, organization(active=False))
    answer = await browser.get(f"/registers/institutions/{CODE}")
    assert re.findall(r"<td role=\"cell\" data-label=\"State\">([^<]+)", answer.text) == [
        "Closed",
        "Active",
    ]
    chinese = await browser.get(f"/registers/institutions/{CODE}?lang=zh")
    assert "注销" in chinese.text
    assert (await browser.get("/registers/institutions/nothing")).status_code == 404


async def test_the_registers_are_in_the_menu_of_their_keepers_only(
    clinic: Clinic, browser: Browser
) -> None:
    assert "/registers/institutions" in (await browser.get("/")).text
    resident = await clinic.enter("resident")
    answer = await resident.get("/registers/institutions")
    assert answer.status_code == 403
    await resident.client.aclose()
