"""The pages of tenants, over a real store."""

from __future__ import annotations

import re

import pytest
from clinic import Browser, Clinic

from quanmin.trust.registers.entry import OPEN_END
from quanmin.trust.registers.tenants import Tenant, Tenants

NOON = 1_780_000_000_000_000


@pytest.fixture
async def tenants(clinic: Clinic) -> Tenants:
    """County `east` with hospital-a. Only what pages ask is switched on, not the policies."""
    register = Tenants(clinic.pool)
    await clinic.pool.execute("update trust.wall set is_up = true")
    east = Tenant("east", "<b>东</b>县", "East <b>County", "330106", None, NOON, OPEN_END, "x")
    await register.declare(east, at=NOON)
    await register.assign("hospital-a", "east", since=NOON, until=OPEN_END, at=NOON, by="x")
    return register


async def test_who_keeps_the_node_sees_its_tenants(tenants: Tenants, browser: Browser) -> None:
    answer = await browser.get("/tenants?lang=en")
    assert re.findall(r'href="/tenants/([^"]+)"', answer.text) == ["east"]
    assert "<b>" not in answer.text
    assert "In force" in answer.text
    sheet = (await browser.get("/tenants.csv")).text.splitlines()
    assert [line.split(",")[1] for line in sheet[1:]] == ["east"]
    for asked, codes in (("state=in-force&sort=-name", ["east"]), ("state=ended", [])):
        listed = (await browser.get(f"/tenants?{asked}&lang=en")).text
        assert re.findall(r'href="/tenants/([^"]+)"', listed) == codes
        assert "not divided" not in listed
    await tenants.agree(
        None, "east", purposes=["BTG"], basis="order 1",
        since=NOON, until=NOON + 10**14, at=NOON, by="x",
    )  # fmt: skip
    one = (await browser.get("/tenants/east")).text
    assert "hospital-a" in one
    assert "order 1" in one
    assert "every tenant" in one
    members = (await browser.get("/tenants/east/members.csv")).text
    assert "hospital-a" in members
    assert (await browser.get("/tenants/nowhere")).status_code == 404


async def test_an_application_is_switched_off_for_one_tenant_and_on_again(
    tenants: Tenants, clinic: Clinic, browser: Browser
) -> None:
    desk = await clinic.enter("hospital-a")
    other = await clinic.enter("hospital-b")
    registers = "/registers/institutions"
    assert (await desk.get(registers)).status_code == 200
    await browser.get("/tenants/east")
    done = await browser.send("/tenants/east/switch", application="registers", to="off")
    assert done.status_code == 303
    assert (await desk.get(registers)).status_code == 403
    assert registers not in (await desk.get("/account")).text
    assert (await other.get(registers)).status_code == 200
    await browser.get("/tenants/east")
    await browser.send("/tenants/east/switch", application="registers", to="on")
    assert (await desk.get(registers)).status_code == 200
    await browser.get("/tenants/east")
    refused = await browser.send("/tenants/east/switch", application="tenants", to="off")
    assert refused.status_code == 422
    assert 'role="alert"' in refused.text
    assert [one.is_on for one in await tenants.switched("east", 2 * NOON)] == [True]
    for client in (desk, other):
        await client.client.aclose()


async def test_tenants_are_no_matter_of_institutions(tenants: Tenants, clinic: Clinic) -> None:
    assert await tenants.all(count=2)
    desk = await clinic.enter("hospital-a")
    for path in ("/tenants", "/tenants.csv", "/tenants/east", "/tenants/east/members.csv"):
        assert (await desk.get(path)).status_code == 403
    await desk.client.aclose()


async def test_a_node_without_tenants_says_so(browser: Browser) -> None:
    answer = await browser.get("/tenants?lang=en")
    assert "not divided" in answer.text
