"""Offline forms over a real store: taken along by a device, sent once, settled, revoked."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from chronic import (
    DOCTOR,
    NURSE,
    WORKER,
    ago,
    enrolled,
    registered,
    settle,
    step,
    today_of,
    visited,
)
from clinic import Browser, Clinic
from devices import Device, visit_of
from starlette.applications import Starlette
from vaccinating import said

from quanmin.fhir.json import encode
from quanmin.trust import Actor
from quanmin.trust.devices import Devices, Held
from quanmin.workflow.chronic import diagnosis_of

HOUR = 3_600_000_000
MINUTE = HOUR // 60
KEEPER = Actor("keeper", "security_administrator", "钱管理员", "")


class Clock:
    """The clock of the node, which stands still from now on until it is moved."""

    def __init__(self, clinic: Clinic) -> None:
        self.at = clinic.guard.now()
        clinic.guard.now = lambda: self.at


@pytest.fixture
async def centre(clinic: Clinic) -> Clinic:
    return await settle(clinic)


async def followed_up(centre: Clinic, worker: Browser, name: str, sequence: str = "002") -> str:
    """Somebody whose first visit is overdue; gives the page of the case."""
    patient = await registered(worker, name, "1970-03-01", sequence)
    found = encode(diagnosis_of("hypertension", f"Patient/{patient}", today_of(centre)))
    records = centre.guard.records(WORKER, purpose="CAREMGT", request_id="diagnosis")
    await records.create("Condition", found)
    begun = await enrolled(worker, patient, ago(centre, 30))
    assert begun.status_code == 303, said(begun)
    return str(begun.headers["location"])


async def taken(device: Device) -> dict[str, dict[str, Any]]:
    """Who was taken along, by name."""
    answer = await device.take_along()
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["people"]}


async def stored(centre: Clinic) -> int:
    """How many visits are stored."""
    records = centre.guard.records(WORKER, purpose="CAREMGT", request_id="count")
    batch = await records.history("QuestionnaireResponse", None, count=50)
    return sum(b"Questionnaire/hypertension-visit" in (one.body or b"") for one in batch.versions)


async def test_what_is_filled_in_without_a_line_is_stored_once_or_settled(centre: Clinic) -> None:
    worker = await centre.enter(WORKER.code)
    case = await followed_up(centre, worker, "王秀英")
    await followed_up(centre, worker, "李桂芳", "004")
    device = Device(worker)
    assert (await device.enrol()).status_code == 201
    await is_taken_by_who_is_responsible(centre, worker, device, case)
    people = await taken(device)
    assert set(people) == {"王秀英", "李桂芳"}
    await one_entry_tells_who_was_taken(centre)
    first = people["王秀英"]
    assert ["Due", ago(centre, 30)] in first["facts"]["en"]
    await is_stored_once(centre, device, first)
    await is_judged_as_on_a_page(centre, device, people["李桂芳"])
    await has_moved_on(centre, worker, device, case)
    await is_refused_or_shown(centre, device, people["李桂芳"])
    await lasts_for_its_hours(centre, device)
    await worker.client.aclose()


async def is_taken_by_who_is_responsible(
    centre: Clinic, worker: Browser, device: Device, case: str
) -> None:
    """Who enrolled somebody, until a colleague takes the case over."""
    nurse = await centre.enter(NURSE.code)
    theirs = Device(nurse)
    assert (await theirs.enrol()).status_code == 201
    assert await taken(theirs) == {}
    assert "Nobody is followed up" in said(await nurse.get("/chronic/patients?whose=mine"))
    assert "李桂芳" in said(await nurse.get("/chronic/patients"))
    assert (await step(nurse, case, "take_over")).status_code == 303
    shown = (await nurse.get(case)).text
    assert f"<dt>Responsible</dt><dd>{NURSE.name}" in re.sub(r"<span[^>]*>|</span>", "", shown)
    assert 'value="take_over"' not in shown
    mine = said(await nurse.get("/chronic/patients?whose=mine"))
    assert ("王秀英" in mine, "李桂芳" in mine) == (True, False)
    assert (await nurse.get("/chronic/patients?whose=ours")).status_code == 400
    assert [set(await taken(one)) for one in (theirs, device)] == [{"王秀英"}, {"李桂芳"}]
    assert (await step(worker, case, "take_over")).status_code == 303
    await nurse.client.aclose()


async def one_entry_tells_who_was_taken(centre: Clinic) -> None:
    rows = await centre.pool.fetch(
        "select request, purpose, action from trust.access where request ="
        " (select request from trust.access where action = 'take-along' order by at desc limit 1)"
    )
    assert {one["purpose"] for one in rows} == {"CAREMGT"}
    assert {"take-along", "timeline"} <= {one["action"] for one in rows}
    assert len(rows) <= 3, "each person by itself"


async def is_stored_once(centre: Clinic, device: Device, person: dict[str, Any]) -> None:
    text = visit_of(person, ago(centre, 0), "150/95")
    signature = device.signature(text)
    answers = await asyncio.gather(*(device.send(text, signature) for _ in range(3)))
    assert sorted(one.status_code for one in answers) == [200, 200, 201], answers[0].text
    again = await device.send(text, signature)
    assert (again.status_code, again.json()) == (200, {"state": "stored"})
    # Of two at once the second has looked before the first was stored, and read the case after.
    known, looks = Devices.is_received, iter((False,))

    async def looked(desk: Devices, *which: Any) -> bool:
        return next(looks, None) is None and await known(desk, *which)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devices, "is_received", looked)
        again = await device.send(text, signature)
    assert (again.status_code, again.json()) == (200, {"state": "stored"})
    assert await stored(centre) == 1


async def is_judged_as_on_a_page(centre: Clinic, device: Device, person: dict[str, Any]) -> None:
    """The bounds of the form, its rules, and those of the step."""
    wrong = await device.send(visit_of(person, ago(centre, 0), "90/95"))
    assert wrong.status_code == 422
    assert [one["place"] for one in wrong.json()["faults"]] == ["diastolic"]
    early = await device.send(visit_of(person, ago(centre, 40), "150/95"))
    assert (early.status_code, "before the enrolment" in early.text) == (422, True)
    mistyped = await device.send(visit_of(person, "0026" + ago(centre, 0)[4:], "150/95"))
    told = [(one["place"], one["words"]) for one in mistyped.json()["faults"]]
    assert (mistyped.status_code, told) == (422, [("day", "The day is before the birth")])
    assert await stored(centre) == 1


async def has_moved_on(centre: Clinic, worker: Browser, device: Device, case: str) -> None:
    person = (await taken(device))["王秀英"]
    assert (await visited(worker, case, ago(centre, 2), "139/89")).status_code == 303
    mine = visit_of(person, ago(centre, 1), "150/95")
    shown = await device.send(mine)
    told = shown.json()
    assert (shown.status_code, told["kind"]) == (409, "moved-on")
    assert ["Upper pressure (mmHg)", "150", "139"] in told["rows"]
    # What somebody has looked at is sent with the ticket that came with it.
    settled = json.dumps({**json.loads(mine), "ticket": told["person"]["ticket"]})
    assert (await device.send(settled)).status_code == 201
    assert await stored(centre) == 3


async def is_refused_or_shown(centre: Clinic, device: Device, person: dict[str, Any]) -> None:
    text = visit_of(person, ago(centre, 0), "150/95")
    tampered = await device.send(text.replace("150", "139"), device.signature(text))
    assert (tampered.status_code, tampered.json()["state"]) == (403, "refused")
    told = (await device.send(text, device.signature("other"), lang="zh")).json()["text"]
    assert told == "签名不是该设备所作"
    for bad in ("{}", "[", text.replace(json.loads(text)["id"], "1"), "\\u0000"):
        assert (await device.send(bad)).status_code == 400
    changed = await device.send(visit_of({**person, "form": "https://other|0"}, "x", "1/1"))
    assert (changed.status_code, changed.json()["kind"]) == (409, "form-changed")
    other = await device.send(visit_of({**person, "case": str(uuid4())}, ago(centre, 0), "150/95"))
    assert (other.status_code, other.json()["kind"]) == (409, "not-assigned")
    foreign = Device(device.browser)
    assert (await foreign.enrol()).status_code == 201
    elsewhere = await foreign.send(text)
    assert (elsewhere.status_code, elsewhere.json()["kind"]) == (409, "expired")
    assert await stored(centre) == 3


async def lasts_for_its_hours(centre: Clinic, device: Device) -> None:
    clock = Clock(centre)
    person = (await taken(device))["李桂芳"]
    on = ago(centre, 0)
    clock.at += 72 * HOUR + MINUTE
    late = await device.send(visit_of(person, on, "150/95"))
    assert (late.status_code, late.json()["kind"]) == (409, "expired")
    clock.at -= 2 * MINUTE
    timely = await device.send(visit_of(person, on, "150/95"))
    assert timely.status_code == 201, timely.text


async def test_a_device_is_its_owners_until_it_is_revoked(centre: Clinic) -> None:
    pages = centre.pages()
    worker = await centre.enter(WORKER.code, pages)
    await followed_up(centre, worker, "王秀英")
    nobody = Browser(pages)
    await is_the_same_page_for_everybody(worker, nobody)
    device = Device(worker)
    assert (await device.contact())["state"] == "unknown"
    assert (await device.take_along()).json()["state"] == "unknown"
    assert (await device.enrol("诊室手机")).status_code == 201
    person = (await taken(device))["王秀英"]
    text = visit_of(person, ago(centre, 0), "150/95")
    await is_of_nobody_else(centre, pages, device, text)
    await is_revoked_while_it_sends(centre, device, text)
    for address in ("/account/devices", "/account/devices?sheet=devices"):
        assert "诊室手机" in said(await worker.get(address))
    gone = await worker.send("/account/devices", device=device.id)
    assert gone.status_code == 303
    await worker.get("/account/devices")
    assert (await worker.send("/account/devices", device=device.id)).status_code == 404
    for answer in (await device.take_along(), await device.send(text)):
        assert (answer.status_code, answer.json()["state"]) == (410, "revoked")
    told = (await nobody.get(f"/offline/contact?device={device.id}")).json()
    assert told == {"state": "revoked", "token": ""}
    assert await stored(centre) == 0
    await is_revoked_by_who_answers_for_security(centre, pages, device)
    for browser in (worker, nobody):
        await browser.client.aclose()


async def is_the_same_page_for_everybody(worker: Browser, nobody: Browser) -> None:
    """What a service worker keeps: all of it is there, and nothing of who asks stands in it."""
    script = (await nobody.get("/offline/worker.js")).text
    files = json.loads(script.partition("const FILES = ")[2].partition(";\n")[0])
    assert {"/offline/zh", "/offline/en"} < set(files)
    for path in files:
        answers = [await browser.get(path) for browser in (worker, nobody)]
        assert {one.status_code for one in answers} == {200}
        assert answers[0].content == answers[1].content
    assert (await nobody.get("/offline/de")).status_code == 404


async def is_of_nobody_else(centre: Clinic, pages: Starlette, device: Device, text: str) -> None:
    for actor, told in ((NURSE, "others"), (DOCTOR, None)):
        browser = await centre.enter(actor.code, pages)
        theirs = Device(browser)
        theirs.id, theirs.key = device.id, device.key
        for answer in (await theirs.take_along(), await theirs.send(text)):
            assert answer.status_code == 403
            assert told is None or answer.json()["state"] == told
        await browser.get("/account/devices")
        assert (await browser.send("/account/devices", device=device.id)).status_code == 404
        await browser.client.aclose()
    thief = Device(device.browser)
    thief.id = device.id
    assert (await thief.take_along()).status_code == 403
    assert (await thief.send(text)).status_code == 403


async def is_revoked_while_it_sends(centre: Clinic, device: Device, text: str) -> None:
    """Between what it may ask and what is stored: then nothing is."""
    revoke = "update trust.device set revoked_at = $2 where device = $1"
    with pytest.MonkeyPatch.context() as between:
        asking = Devices.asking

        async def revoked_behind(desk: Devices, id_: UUID) -> Held:
            held = await asking(desk, id_)
            await centre.pool.execute(revoke, id_, 1)
            return held

        between.setattr(Devices, "asking", revoked_behind)
        answer = await device.send(text)
    assert (answer.status_code, answer.json()["state"]) == (410, "revoked")
    await centre.pool.execute(revoke, UUID(device.id), None)


async def is_revoked_by_who_answers_for_security(
    centre: Clinic, pages: Starlette, device: Device
) -> None:
    await centre.add(KEEPER)
    keeper = await centre.enter(KEEPER.code, pages)
    second = Device(device.browser)
    assert (await second.enrol("tablet")).status_code == 201
    assert "tablet" in said(await keeper.get("/offline-devices"))
    page = f"/offline-devices/{second.id}/revocation"
    await keeper.get(page)
    assert (await keeper.send(page)).status_code == 303
    await keeper.get("/offline-devices")
    assert (await keeper.send(page)).status_code == 422
    assert (await second.contact())["state"] == "revoked"
    for number in range(3):
        assert (await Device(device.browser).enrol(str(number))).status_code == 201
    many = await Device(device.browser).enrol()
    assert (many.status_code, many.json()["state"]) == (409, "many")
    await keeper.client.aclose()
