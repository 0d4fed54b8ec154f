"""The processing register and its pages, over a real store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import pytest
from clinic import Browser, Clinic

from quanmin.base.problems import Conflict, Forbidden, Stopped
from quanmin.trust import Actor
from quanmin.trust.lifecycle.activities import ProcessingRegister, enter_delivered, is_covered
from quanmin.trust.lifecycle.activity_rules import activity_rules
from quanmin.trust.lifecycle.declared_activities import DeclaredActivity
from quanmin.trust.lifecycle.registered import Registered
from quanmin.web.application import discover

ENTRY = {
    "code": "research",
    "seen": "0",
    "basis-consent": "1",
    "sensitive": "1",
    **{
        name: f"{name} of it"
        for name in (
            *("title", "purpose", "data", "persons", "recipients", "source", "retention"),
            *("measures", "owner"),
        )
    },
}
KEEPER = Actor("keeper", "security_administrator", "Keeper", "register")


DECLARED = [one.activity for one in discover() if one.activity is not None]


async def delivered(clinic: Clinic, declared: Sequence[DeclaredActivity] = DECLARED) -> int:
    async with clinic.pool.acquire() as connection, connection.transaction():
        return await enter_delivered(connection, clinic.guard.now(), declared)


async def keeper(clinic: Clinic) -> Browser:
    await clinic.add(KEEPER)
    return await clinic.enter(KEEPER.code)


async def test_a_node_begins_with_entries_that_cover_its_applications_and_purposes(
    clinic: Clinic,
) -> None:
    described = [one for one in DECLARED if one.activity is not None]
    assert described
    assert await delivered(clinic) == len(activity_rules().activity) + len(described)
    assert await delivered(clinic) == 0
    browser = await keeper(clinic)
    listed = (await browser.get("/processing_register")).text
    assert "诊疗调阅健康档案" in listed
    sheet = (await browser.get("/processing_register/uses.csv")).text.splitlines()
    gaps = {line.split(",")[1] for line in sheet[1:] if line.endswith(",none")}
    assert gaps == {"HRESCH", "CLINTRCH", "HMARKT", "HPAYMT", "COVERAGE"}
    page = (await browser.get("/processing_register/uses?lang=en")).text
    (way,) = re.findall(r'href="([^"]+assign[^"]+HPAYMT)"', page)
    way = way.replace("&amp;", "&")
    assert "purpose" in (await browser.get(f"{way}&lang=en")).text.lower()
    assert (await browser.send(way, activity="none such")).status_code == 422
    odd = way.replace("purpose", "weather")
    assert (await browser.send(odd, activity="security")).status_code == 422
    assert (await browser.send(way, activity="security")).status_code == 303
    async with clinic.pool.acquire() as connection:
        assert await is_covered(connection, "purpose", "HPAYMT")
        assert not await is_covered(connection, "purpose", "HRESCH")
    await browser.client.aclose()


async def test_an_entry_is_checked_and_every_change_is_a_version(clinic: Clinic) -> None:
    browser = await keeper(clinic)
    await browser.get("/processing_register/edit")
    lacking = await browser.send("/processing_register/edit", **(ENTRY | {"owner": " "}))
    assert lacking.status_code == 422
    assert "owner" in lacking.text
    assert "purpose of it</textarea>" in lacking.text
    halved = ENTRY | {"assessed_on": "2026-01-31"}
    assert (await browser.send("/processing_register/edit", **halved)).status_code == 422
    abroad = ENTRY | {"country": "xx"}
    assert (await browser.send("/processing_register/edit", **abroad)).status_code == 422
    assert (await browser.send("/processing_register/edit", **ENTRY)).status_code == 303
    await browser.get("/processing_register/edit")
    assert (await browser.send("/processing_register/edit", **ENTRY)).status_code == 409
    page = (await browser.get("/processing_register/entry/research")).text
    assert "missing or due again" in page
    assessed = {"on": "2026-01-31", "by": "board", "result": "sound", "next": "2999-01-31"}
    changed = ENTRY | {"seen": "1"} | {f"assessed_{name}": text for name, text in assessed.items()}
    await browser.get("/processing_register/edit?code=research")
    assert (await browser.send("/processing_register/edit", **changed)).status_code == 303
    page = (await browser.get("/processing_register/entry/research")).text
    assert "missing or due again" not in page
    assert "Version 2" in page
    assert "Version 1" in page
    assert page.count("purpose of it") == 2
    ended = ENTRY | {"seen": "2", "end": "1"}
    await browser.send("/processing_register/edit", **ended)
    for state, is_there in (("ended", True), ("in-force", False), ("overdue", False)):
        sheet = (await browser.get(f"/processing_register.csv?state={state}&sort=-version")).text
        assert ("purpose of it" in sheet) is is_there, state
    assert (await browser.get("/processing_register/entry/nothing")).status_code == 404
    printed = await browser.get("/processing_register/print?lang=zh")
    assert "合法性依据" in printed.text
    await browser.client.aclose()


async def test_an_entry_that_was_changed_here_is_not_overwritten_by_the_program(
    clinic: Clinic,
) -> None:
    await delivered(clinic)
    desk = clinic.guard.records(KEEPER, purpose="HOPERAT", request_id="r").desk(ProcessingRegister)
    (newest,) = await desk.versions("care")
    own = msgspec.structs.replace(newest.activity, owner="the commission")
    await desk.write("care", own, seen=1)
    assert await delivered(clinic) == 0
    with pytest.raises(Conflict):
        await desk.write("care", own, seen=1)
    assert (await desk.versions("care"))[0].activity.owner == "the commission"
    assert own.is_overdue(date(2026, 1, 1))


async def test_what_the_program_assigned_follows_it_unless_somebody_has_decided(
    clinic: Clinic,
) -> None:
    names = ("changed", "ended", "moved", "left")
    await delivered(clinic, [DeclaredActivity(one, "care") for one in names])
    desk = clinic.guard.records(KEEPER, purpose="HOPERAT", request_id="r").desk(ProcessingRegister)
    await desk.assign("application", "moved", "own-access")
    await delivered(clinic, [DeclaredActivity("left", "public-health")])
    assert await parts(desk, names) == ["care", "care", "own-access", "public-health"]
    own = msgspec.structs.replace((await desk.versions("care"))[0].activity, owner="somebody")
    await desk.write("care", own, seen=1)
    await delivered(clinic, [DeclaredActivity("changed", "public-health")])
    await desk.write("care", own, seen=2, is_in_force=False)
    await delivered(clinic, [DeclaredActivity("ended", "public-health")])
    assert await parts(desk, names) == ["", "", "own-access", "public-health"]


async def parts(desk: ProcessingRegister, names: Sequence[str]) -> list[str]:
    """Of which entry in force each of the applications is a part."""
    found = {one.name: one.activity for one in await desk.uses(names, ())}
    return [found[one] for one in names]


async def test_what_the_register_does_not_hold_is_refused_with_the_next_request(
    clinic: Clinic,
) -> None:
    await delivered(clinic)
    guard = clinic.guard
    desk = guard.records(KEEPER, purpose="HOPERAT", request_id="r").desk(ProcessingRegister)
    browser = await clinic.enter("hospital-a")

    def asked(purpose: str, client: str = "") -> Any:
        doctor = Actor("a", "institution", "a", "hospital-a", client=client)
        records = guard.records(doctor, purpose=purpose, request_id="r")
        return records.read("Observation", clinic.ids["hospital-a Observation"])

    async def end(code: str) -> None:
        (newest, *_) = await desk.versions(code)
        own = msgspec.structs.replace(newest.activity, owner="the commission")
        await desk.write(code, own, seen=newest.version, is_in_force=False)

    guard.registered = Registered(guard.store.looking_up(), guard.revoked, "ended")
    await asked("PUBHLTH")
    await asked("HRESCH")
    assert (await browser.get("/enrolment")).status_code == 200
    doctor = Actor("a", "institution", "a", "hospital-a")
    exporting = guard.records(doctor, purpose="HOPERAT", request_id="r").exporting
    await exporting.check([])
    for code in ("public-health", "own-copies", "care", "registration"):
        await end(code)
    with pytest.raises(Stopped, match="no entry in force"):
        await asked("PUBHLTH")
    with pytest.raises(Stopped, match="export"):
        await exporting.check([])
    assert (await browser.get("/enrolment")).status_code == 403
    assert (await browser.get("/people")).status_code == 200
    await asked("TREAT")  # whatever the register says
    await asked("HRESCH")
    guard.registered = Registered(guard.store.looking_up(), guard.revoked, "refuse")
    with pytest.raises(Stopped, match="HRESCH"):
        await asked("HRESCH")
    with pytest.raises(Stopped, match="client"):
        await asked("TREAT", "app-1")
    await desk.assign("purpose", "HRESCH", "security")
    await asked("HRESCH")
    await browser.client.aclose()


async def test_others_do_not_read_or_write_the_register(clinic: Clinic) -> None:
    for code, role in (("watch", "audit_administrator"), ("boss", "supervisor")):
        await clinic.add(Actor(code, role, code, ""))  # type: ignore[arg-type]  # a role
        browser = await clinic.enter(code)
        assert (await browser.get("/processing_register")).status_code == 200
        assert (await browser.get("/processing_register/edit")).status_code == 403
        await browser.client.aclose()
    resident = await clinic.enter("resident")
    assert (await resident.get("/processing_register")).status_code == 403
    await resident.client.aclose()
    actor = Actor("a", "institution", "a", "hospital-a")
    desk = clinic.guard.records(actor, purpose="HOPERAT", request_id="r").desk(ProcessingRegister)
    with pytest.raises(Forbidden):
        await desk.entries()
