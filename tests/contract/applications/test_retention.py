"""The pages of retention, over a real store."""

from __future__ import annotations

import base64
import json

from clinic import Clinic

from quanmin.base.jobs import Continue, Done, Job
from quanmin.trust import Actor
from quanmin.trust.lifecycle.deletions import Signed, delete_kind


async def deleted(clinic: Clinic) -> None:
    """Work off the deletion that was confirmed."""
    kind = delete_kind(clinic.guard)
    payload = json.loads(
        await clinic.pool.fetchval("select payload from jobs.job where kind = 'delete-due'")
    )
    job, outcome = Job(1, kind.name, "test", payload, None, 0, None, 0), None
    while not isinstance(outcome, Done):
        async with clinic.pool.acquire() as connection, connection.transaction():
            outcome = await kind.step(connection, job)
        if isinstance(outcome, Continue):
            job = Job(1, kind.name, "test", payload, outcome.position, outcome.done, None, 0)


async def test_one_proposes_another_confirms_and_the_certificate_is_there(clinic: Clinic) -> None:
    for code in ("one", "other"):
        await clinic.add(Actor(code, "security_administrator", code, ""))
    one, other = await clinic.enter("one"), await clinic.enter("other")
    await one.get("/retention/find")
    assert (await one.send("/retention/find")).status_code == 303
    assert await clinic.pool.fetchval("select owner from jobs.job where kind = 'find-due'") == "one"
    assert (await one.get("/retention/deletions/nothing/withdraw")).status_code == 404
    await one.get("/retention/propose")
    assert (await one.send("/retention/propose")).status_code == 422  # nothing is due
    rid = await clinic.pool.fetchval(
        "select patient from trust.access, unnest(patients) patient limit 1"
    )
    await clinic.pool.execute(
        "insert into trust.retention_due (patient, clock, due, records, found)"
        " values ($1, 'outpatient', 1, 7, 1)",
        rid,
    )
    assert "Outpatient records" in (await one.get("/retention?lang=en")).text
    await one.get("/retention/propose")
    assert (await one.send("/retention/propose")).status_code == 303
    deletion = await clinic.pool.fetchval("select deletion from trust.deletion")
    address = f"/retention/deletions/{deletion}"
    await one.get(f"{address}/confirm")
    own = await one.send(f"{address}/confirm")
    assert own.status_code == 422
    assert "it needs another" in own.text
    assert (await one.get(f"{address}/certificate")).status_code == 404
    await other.get(f"{address}/confirm")
    assert (await other.send(f"{address}/confirm")).status_code == 303
    await deleted(clinic)
    given = (await other.get(f"{address}/certificate")).content
    signed = json.loads(given)
    assert json.loads(signed["content"])["confirmed"][0] == "other"
    told = Signed(signed["content"], base64.b64decode(signed["signature"]))
    assert told.check(clinic.guard.log.notary.public).kept == 1  # its records are young
    sheet = (await other.get("/retention/deletions.csv")).text.splitlines()
    assert sheet[1].startswith(str(deletion))
    assert "done, certified" in sheet[1]
    listed = await other.get("/retention/deletions?state=done&sort=-proposed&lang=en")
    assert (str(deletion) in listed.text, "1 entry" in listed.text) == (True, True)
    none = (await other.get("/retention/deletions?state=proposed&lang=en")).text
    assert "No proposed deletion matches this." in none
    assert (await other.get("/retention?sort=nothing")).status_code == 400
    for browser in (one, other):
        await browser.client.aclose()


async def test_a_proposal_is_withdrawn_and_its_registrations_proposed_again(
    clinic: Clinic,
) -> None:
    for code in ("one", "other"):
        await clinic.add(Actor(code, "security_administrator", code, ""))
    one, other = await clinic.enter("one"), await clinic.enter("other")
    await clinic.pool.execute(
        "insert into trust.retention_due (patient, clock, due, records, found)"
        " values (1, 'outpatient', 1, 7, 1)"
    )
    for number in (1, 0):
        await one.get("/retention/propose")
        sent = await one.send("/retention/propose")
        assert sent.status_code == (303 if number else 422)
    deletion = await clinic.pool.fetchval("select deletion from trust.deletion")
    rows = {
        browser: len(sheet.splitlines()) - 1
        for browser in (one, other)
        for sheet in [(await browser.get("/retention/deletions.csv?state=to-confirm")).text]
    }
    assert rows == {one: 0, other: 1}
    address = f"/retention/deletions/{deletion}/withdraw"
    assert address in (await other.get("/retention/deletions")).text
    for status in (303, 422):
        await other.get("/retention/deletions")
        assert (await other.send(address)).status_code == status
    await one.get("/retention/propose")
    assert (await one.send("/retention/propose")).status_code == 303
    noted = await clinic.pool.fetchval(
        "select actor from trust.access where action = 'withdraw-deletion'"
    )
    assert noted == "other"
    for browser in (one, other):
        await browser.client.aclose()


async def test_a_hold_is_set_and_ended_and_names_nobody(clinic: Clinic) -> None:
    await clinic.add(Actor("one", "security_administrator", "One", ""))
    browser = await clinic.enter("one")
    await browser.get("/retention/hold")
    man = clinic.ids["hospital-a man"]
    for wrong in ({"patient": "nobody", "reason": "lawsuit 17"}, {"patient": man, "reason": " "}):
        assert (await browser.send("/retention/hold", **wrong)).status_code == 422
    held = await browser.send("/retention/hold", patient=f"Patient/{man}", reason="lawsuit 17")
    assert held.status_code == 303
    page = (await browser.get("/retention/holds")).text
    assert "lawsuit 17" in page
    assert man not in page
    number = await clinic.pool.fetchval("select hold from trust.hold where released_at is null")
    await browser.get(f"/retention/holds/{number}/release")
    assert (await browser.send(f"/retention/holds/{number}/release")).status_code == 303
    await browser.get("/retention/holds")
    assert (await browser.send(f"/retention/holds/{number}/release")).status_code == 422
    assert (await browser.get("/retention/holds/x/release")).status_code == 404
    for state, number_of in (("stands", 0), ("ended", 1), ("", 1)):
        sheet = (await browser.get(f"/retention/holds.csv?state={state}&sort=since")).text
        assert len(sheet.splitlines()) == 1 + number_of, state
    doctor = await clinic.enter("hospital-a")
    for path in ("", "/hold", "/deletions", "/holds"):
        assert (await doctor.get(f"/retention{path}")).status_code == 403
    for one in (browser, doctor):
        await one.client.aclose()
