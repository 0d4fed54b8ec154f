"""Close contacts over the real guard: listed by case, visited, free after the last day."""

from __future__ import annotations

from datetime import timedelta

from clinic import Clinic
from reporting import entered, now_of, pages_of, settle, step

from quanmin.trust import Actor
from quanmin.web.application import discover
from quanmin.web.clocks import Clocks

GENDER = "http://hl7.org/fhir/administrative-gender"
OWN = "https://quanmin.example/fhir/CodeSystem"


async def test_a_contact_is_listed_visited_and_free_after_the_last_day(clinic: Clinic) -> None:
    county = await settle(clinic)
    pages, now = pages_of(county), now_of(county)
    where = await entered(county, await county.enter("dr-li", pages))
    await step(await county.enter("pre-sun", pages), where, "check")
    centre = await county.enter("cdc-wu", pages)
    page = await centre.get("/contacts/cases")
    case = where.rpartition("/")[2]
    assert f"/contacts/of/{case}" in page.text
    fields = {
        "name": "刘梅", "sex": f"{GENDER}|female", "phone": "15400005678",
        "address": "青县三路 3 号",
        "relation": f"{OWN}/contact-relation|household", "place": f"{OWN}/contact-place|home",
        "exposed": f"{now - timedelta(days=21):%Y-%m-%d}", "do": "send",
    }  # fmt: skip
    await centre.get(f"/contacts/of/{case}")
    for exposed, said in ((now + timedelta(days=1), "in the future"),
                          (now - timedelta(days=22), "over already")):  # fmt: skip
        more = {"exposed": f"{exposed:%Y-%m-%d}"}
        answer = await centre.send(f"/contacts/of/{case}", **{**fields, **more})
        assert answer.status_code == 422
        assert said in answer.text
    answer = await centre.send(f"/contacts/of/{case}", **fields)
    assert answer.status_code == 303, answer.text
    contact = answer.headers["location"]
    again = await centre.send(f"/contacts/of/{case}", **fields)
    assert again.headers["location"] == contact, "the second click"
    await step(centre, contact, "free", status=422)
    await centre.get(f"{contact}/visit")
    visit = {"temperature": "38.4", "symptoms": f"{OWN}/infection-yes-no|yes", "do": "send"}
    assert (await centre.send(f"{contact}/visit", **visit)).status_code == 422  # without which
    answer = await centre.send(f"{contact}/visit", **visit, which="Rash")
    assert answer.status_code == 303, answer.text
    page = await centre.get(contact)
    assert "Rash" in page.text
    assert "38.4" in page.text
    assert contact in (await centre.get("/contacts?state=observed")).text
    # Nobody else sees who was in contact: not the hospital, not another centre.
    for code in ("pre-sun", "cdc-qi"):
        other = await county.enter(code, pages)
        assert (await other.get(contact)).status_code == 404, code
    clocks = Clocks(county.guard, discover())
    assert await clocks.fire() == 0
    day = 86_400_000_000
    later = county.guard.now() + day
    county.guard.now = lambda: later
    # Not visited for a day and the observation over; the review of the card nearly over and over.
    assert await clocks.fire() == 4
    centre = await county.enter("cdc-wu", pages)
    assert "observation of a close contact is over" in (await centre.get("/notices")).text
    await step(centre, contact, "free")
    assert "Released from observation" in (await centre.get(contact)).text


async def test_contacts_are_for_those_with_the_duty(clinic: Clinic) -> None:
    county = await settle(clinic)
    other = Actor("cdc-mu", "public_health_worker", "木", "cdc-here")
    await county.add(other)
    browser = await county.enter("cdc-mu", pages_of(county))
    for path in ("/contacts", "/contacts/cases", "/contacts.csv"):
        assert (await browser.get(path)).status_code == 403, path
