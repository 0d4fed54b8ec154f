"""The pages of petitions, over a real store."""

from __future__ import annotations

import json
import re

from clinic import MAN, Browser, Clinic, with_check_digit
from stores import IDENTITY_NUMBERS

from quanmin.trust import Actor

WORDS = "the value is of somebody else"


async def filed(clinic: Clinic, browser: Browser) -> str:
    """A correction that the resident asks for of a result of hospital A; gives its page."""
    about = f"Observation/{clinic.ids['hospital-a Observation']}"
    form = await browser.get(f"/petitions/new?kind=correction&about={about}")
    assert "What it should say" in form.text
    asked = {"kind": "correction", "about": about, "wrong": WORDS, "should": "5.4 of that day"}
    sent = await browser.send("/petitions/new", **asked)
    assert sent.status_code == 303
    return sent.headers["location"]


async def test_a_petition_goes_its_way_between_person_institution_and_who_stands_above(
    clinic: Clinic,
) -> None:
    resident, desk = await clinic.enter("resident"), await clinic.enter("hospital-a")
    await clinic.add(Actor("above", "supervisor", "commission", "commission"))
    above = await clinic.enter("above")
    address = await filed(clinic, resident)
    page = await desk.get(address)
    assert WORDS in page.text
    assert "asked your institution" in (await desk.get("/notices")).text
    await desk.get(address)
    refused = await desk.send(f"{address}/take", step="refuse", words="no")
    assert refused.status_code == 422
    assert 'role="alert"' in refused.text
    assert ">no</textarea>" in refused.text
    early = await desk.send(f"{address}/take", step="grant", words="we have looked it up")
    assert early.status_code == 409
    await desk.send(f"{address}/take", step="refuse", words="the sheet says the same")
    await resident.get(address)
    await resident.send(f"{address}/take", step="appeal", words="the sheet is not mine")
    assert address in (await above.get("/petitions?state=appealed")).text
    await above.send(f"{address}/take", step="overturn", words="it bears another name")
    told = (await resident.get(f"{address}?lang=zh")).text
    assert "申诉成立，责成机构改正" in told
    assert "it bears another name" in told
    assert "There is news of what you have asked" in (await resident.get("/notices?lang=en")).text
    await resident.get(address)
    await resident.send(f"{address}/take", step="withdraw", lang="zh")
    sheet = (await desk.get("/petitions.csv?kind=correction")).text.splitlines()
    assert len(sheet) == 2
    row = sheet[1].split(",")
    assert (row[0], row[2]) == ("Correction", "Withdrawn")
    for browser in (resident, desk, above):
        await browser.client.aclose()


async def test_who_watches_sees_numbers_and_nobody_else_anything(clinic: Clinic) -> None:
    resident = await clinic.enter("resident")
    address = await filed(clinic, resident)
    await clinic.add(Actor("security", "security_administrator", "s", ""))
    watcher = await clinic.enter("security")
    listed = (await watcher.get("/petitions")).text
    assert "Correction" in listed
    assert f'href="{address}"' not in listed
    assert WORDS not in listed
    assert (await watcher.get(address)).status_code == 403
    numbers = (await watcher.get("/petitions/numbers")).text
    (rows,) = set(
        re.findall(r'href="(/petitions\?answerer=hospital-a[^"]*state=received)"', numbers)
    )
    assert "1 entry" in (await watcher.get(rows.replace("&amp;", "&"))).text
    assert (await watcher.get("/petitions/numbers?as=csv")).text.count("\n") == 2
    other = await clinic.enter("hospital-b")
    assert (await other.get(address)).status_code == 404
    assert (await other.get("/petitions/q0000000000000")).status_code == 404
    await clinic.add(Actor("nurse", "nurse", "n", "hospital-a"))
    nurse = await clinic.enter("nurse")
    assert (await nurse.get("/petitions")).status_code == 403
    for browser in (resident, watcher, other, nurse):
        await browser.client.aclose()


async def test_what_is_late_is_said_in_words_and_listed_alone(clinic: Clinic) -> None:
    resident, desk = await clinic.enter("resident"), await clinic.enter("hospital-a")
    addresses = [await filed(clinic, resident) for _ in range(2)]
    late = "/petitions?open=late"
    assert "No petition is as you have asked for" in (await desk.get(late)).text
    listed = (await desk.get("/petitions?open=1")).text
    assert re.search(r'class="tag">in \d+ days<', listed)
    task = clinic.guard.store.context.rid_of("Task", addresses[0].rpartition("/")[2])
    due = clinic.guard.now() - 3 * 86_400_000_000
    await clinic.pool.execute("update trust.petition set due = $2 where task = $1", task, due)
    listed = (await desk.get(late)).text
    assert f'href="{addresses[0]}"' in listed
    assert f'href="{addresses[1]}"' not in listed
    assert 'class="tag warn">3 days late<' in listed
    first = (await desk.get("/")).text
    assert re.search(r'href="/petitions\?open=1"><span class="big number">2<', first)
    assert re.search(r'href="/petitions\?open=late">\s*1 late', first)
    for browser in (resident, desk):
        await browser.client.aclose()


async def test_each_number_leads_to_its_own_petitions(clinic: Clinic) -> None:
    resident = await clinic.enter("resident")
    for _ in range(3):
        await filed(clinic, resident)
    tasks = [row["task"] for row in await clinic.pool.fetch("select task from trust.petition")]
    late = clinic.guard.now() - 3 * 86_400_000_000
    await clinic.pool.execute("update trust.petition set due = $2 where task = $1", tasks[0], late)
    await clinic.pool.execute("update trust.petition set answerer = null where task = $1", tasks[1])
    numbers = (await resident.get("/petitions/numbers")).text
    links = re.findall(r'href="(/petitions\?[^"]+)">\s*(\d+)</a>', numbers)
    assert len(links) == 4
    for link, number in links:
        address = link.replace("&amp;", "&").replace("/petitions?", "/petitions.csv?")
        sheet = (await resident.get(address)).text.splitlines()
        assert len(sheet) == 1 + int(number), link
    await resident.client.aclose()


async def test_what_cannot_be_asked_is_told_beside_what_was_written(clinic: Clinic) -> None:
    resident = await clinic.enter("resident")
    page = await resident.get("/petitions/new")
    assert "kind=objection" in page.text
    assert "kind=complaint" not in page.text
    await resident.get("/petitions/new?kind=copy")
    missing = {"kind": "copy", "institution": "nowhere", "wrong": WORDS}
    answer = await resident.send("/petitions/new", **missing)
    assert answer.status_code == 422
    assert WORDS in answer.text
    for wrong in ("after=1", "after=9-x", f"after={1 << 70}-1"):
        assert (await resident.get(f"/petitions?{wrong}")).status_code == 400
    assert (
        "No petition is as you have asked for" in (await resident.get("/petitions?kind=copy")).text
    )
    await resident.client.aclose()


async def test_a_record_shows_what_its_person_says_of_it(clinic: Clinic) -> None:
    resident, desk = await clinic.enter("resident"), await clinic.enter("hospital-a")
    record = f"/record/Observation/{clinic.ids['hospital-a Observation']}"
    assert "kind=correction" in (await resident.get(record)).text
    assert "kind=correction" not in (await desk.get(record)).text
    address = await filed(clinic, resident)
    await desk.get(address)
    await desk.send(f"{address}/take", step="refuse", words="the sheet says the same")
    await resident.get(address)
    await resident.send(f"{address}/take", step="state", words="I was <b>not</b> there")
    for browser in (resident, desk):
        shown = (await browser.get(record)).text
        assert "I was &lt;b&gt;not&lt;/b&gt; there" in shown
        await browser.client.aclose()


async def test_who_erases_is_told_what_became_of_consents(clinic: Clinic) -> None:
    await clinic.add(Actor("hospital-c", "institution", "c", "hospital-c"))
    number = {"system": IDENTITY_NUMBERS, "value": with_check_digit(MAN)}
    registered = {"resourceType": "Patient", "identifier": [number], "name": [{"text": "张伟"}]}
    registered |= {"gender": "male", "birthDate": "1980-05-03"}
    records = clinic.guard.records(
        Actor("hospital-c", "institution", "c", "hospital-c"), purpose="TREAT", request_id="r"
    )
    made = await records.create("Patient", json.dumps(registered).encode())
    resident, desk = await clinic.enter("resident"), await clinic.enter("hospital-c")
    form = await resident.get("/petitions/new?kind=objection")
    assert "hospital-c" in form.text
    asked = {"institution": "hospital-c", "wrong": WORDS}
    objection = await resident.send("/petitions/new", kind="objection", **asked)
    page = (await resident.get(objection.headers["location"])).text
    (link,) = re.findall(r'href="(/my-record-access/consents/[^"]+)">Take the refusal back', page)
    assert "You refuse" in (await resident.get(link)).text
    form = await resident.get("/petitions/new?kind=erasure")
    assert "With the last registration it ends" in form.text
    sent = await resident.send("/petitions/new", kind="erasure", **asked)
    address = sent.headers["location"]
    await desk.get(address)
    told = await desk.send(f"{address}/take", step="grant", words="as you wish")
    assert "under another one: 1." in " ".join(told.text.split())
    assert (await desk.get(f"/person/{made.stored.id}")).status_code in {404, 410}
