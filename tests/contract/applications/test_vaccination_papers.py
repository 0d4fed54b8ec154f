"""Certificates, their code, the check on entry to school, and adverse events, over a real store."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from books import Books
from clinic import ADDRESS, Browser, Clinic
from sent_files import PICTURE
from shelf import query_of
from vaccinating import (
    HERE,
    OTHER_WORKER,
    WORKER,
    give,
    identity,
    moment,
    points,
    received,
    registered,
    said,
    store,
)

from quanmin.fhir.json import decode, encode
from quanmin.trust import Actor
from quanmin.web import Visit
from quanmin.web.qr import qr_code
from quanmin.web.verifying import Paper, address_of

TEACHER = Actor("teacher", "public_health_worker", "校医", HERE)
GRADER = Actor("grader", "public_health_worker", "疾控周医师", HERE)
AEFI = "https://quanmin.example/fhir/CodeSystem/aefi|fever"
MILD = "http://terminology.hl7.org/CodeSystem/adverse-event-severity|mild"


@pytest.fixture
async def point(clinic: Clinic) -> Clinic:
    return await points(clinic)


async def test_whoever_holds_a_certificate_sees_that_it_is_true_and_no_dose(
    point: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def noted(visit: Visit, paper: Paper) -> str:
        told.append(address_of(visit, paper))
        return told[-1]

    where = "quanmin.applications.immunization.certificates.address_of"
    monkeypatch.setattr(where, noted)  # what the code says is read by a camera only
    worker = await point.enter(WORKER.code)
    child = await registered(worker, "王小明", "2025-01-01")
    await received(worker, await store(worker))
    assert (await give(worker, child, moment(point))).status_code == 303
    page = await worker.get(f"/vaccination/of/{child}/certificate")
    assert page.status_code == 200, said(page)
    assert "M2601" in said(page)
    assert "missing Hepatitis B" in said(page)
    assert qr_code(told[0], "Verify") in page.text, "the code is that address"
    paper = await worker.get(f"/vaccination/of/{child}/certificate.pdf")
    assert (paper.status_code, paper.content[:5]) == (200, b"%PDF-"), paper.headers
    elsewhere = await point.enter(WORKER.code, point.pages(origin="https://health.example.org"))
    await elsewhere.get(f"/vaccination/of/{child}/certificate")
    origins = [f"{one.scheme}://{one.netloc}" for one in map(urlsplit, told)]
    assert origins == [ADDRESS, ADDRESS, "https://health.example.org"], (
        "where all find it, if known"
    )
    path = urlsplit(told[1]).path
    nobody = Browser(point.pages())
    assert (await nobody.get(urlsplit(told[0]).path)).status_code == 200
    shown = await nobody.get(path)
    assert shown.status_code == 200, said(shown)
    assert "王**" in said(shown)
    assert "courses are overdue" in said(shown)
    for hidden in ("王小明", "M2601", identity("2025-01-01")):
        assert hidden not in shown.text
    assert "小明" not in path
    assert (await nobody.get(path[:-6])).status_code == 410
    assert (await nobody.get("/papers/made-up")).status_code == 410
    for browser in (worker, nobody, elsewhere):
        await browser.client.aclose()


async def test_a_school_learns_who_is_complete_and_nothing_more(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    await registered(worker, "王小明", "2025-01-01")
    await registered(worker, "新生儿", moment(point)[:10], "004")
    books = Books(point.guard, point.pool)
    await point.add(TEACHER)
    await books.appoint(TEACHER.code, duties=frozenset({"school_entry"}))
    teacher = await point.enter(TEACHER.code)
    home = await teacher.get("/vaccination")
    assert home.headers["location"] == "/school-entry"
    await teacher.get("/school-entry")
    numbers = f"{identity('2025-01-01')}\n{identity('2024-01-01', '008')}"
    answer = await teacher.send("/school-entry", numbers=numbers)
    assert answer.status_code == 200, said(answer)
    assert "王小明 2025-01-01 missing missing Hepatitis B" in said(answer)
    assert "not registered" in said(answer)
    kept = re.search(r'name="kept" value="([^"]+)"', answer.text)
    assert kept is not None
    sheet = await teacher.send("/school-entry.csv", kept=kept[1])
    assert "王小明,2025-01-01,missing" in sheet.text
    for wrong in ("", "12345", f"{identity('2025-01-01')} x"):
        await teacher.get("/school-entry")
        assert (await teacher.send("/school-entry", numbers=wrong)).status_code == 422
    assert (await teacher.send("/school-entry.csv", kept="mine")).status_code == 400
    hits = await worker.send("/vaccination", term=identity("2025-01-01"))
    assert (await teacher.get(hits.headers["location"])).status_code == 403
    for browser in (worker, teacher):
        await browser.client.aclose()


async def assert_has_picture(case: str, shown: str, browsers: tuple[Browser, ...]) -> None:
    """That of a report, as those see it who treat it: the centre of the region does as well."""
    (paper,) = re.findall(rf'href="({case}/papers/[^"]+)"', shown)
    record = f"/record/DocumentReference/{paper.rpartition('/')[2]}"
    for browser in browsers:
        assert (await browser.get(paper)).content == PICTURE
    assert (await browsers[0].get(f"{case}/papers/1")).status_code == 404
    assert "Save the file" in said(await browsers[0].get(record))
    assert (await browsers[0].get(f"{record}/file")).content == PICTURE


async def events_seen_by(point: Clinic, actor: Actor) -> int:
    """How many adverse events somebody sees for public health."""
    records = point.guard.records(actor, purpose="PUBHLTH", request_id="r")
    return len((await records.search(query_of("AdverseEvent"))).matches)


async def test_suspected_are_the_doses_of_the_last_day_before_it_by_the_nodes_calendar(
    point: Clinic,
) -> None:
    worker = await point.enter(WORKER.code)
    child = await registered(worker, "王小明", "2025-01-01")
    records = point.guard.records(WORKER, purpose="PUBHLTH", request_id="doses")
    doses = {
        "older": ("completed", "2026-09-01T09:00:00+08:00"),
        "by-day": ("completed", "2026-09-10"),
        "elsewhere": ("completed", "2026-09-09T20:00:00Z"),
        "mistaken": ("entered-in-error", "2026-09-11T09:00:00+08:00"),
        "refused": ("not-done", "2026-09-11T09:00:00+08:00"),
    }
    ids = {}
    for name, (status, at) in doses.items():
        dose = {
            "resourceType": "Immunization",
            "status": status,
            "vaccineCode": {"text": name},
            "patient": {"reference": f"Patient/{child}"},
            "occurrenceDateTime": at,
        }
        ids[(await records.create("Immunization", encode(dose))).stored.id] = name
    page = f"/adverse-events/of/{child}"
    await worker.get(page)
    began = {"began": "2026-09-11T20:00:00", "what": AEFI, "severity": MILD, "urgent": "false"}
    sent = await worker.send(page, **began, words="39 degrees")
    assert sent.status_code == 303, said(sent)
    (event,) = (await records.search(query_of("AdverseEvent"))).matches
    named = decode(event.body or b"{}")["suspectEntity"]
    assert {ids[one["instance"]["reference"].partition("/")[2]] for one in named} == {
        "by-day",
        "elsewhere",
    }
    await worker.client.aclose()


async def test_an_adverse_event_is_reported_investigated_graded_by_another_and_closed(
    point: Clinic,
) -> None:
    worker = await point.enter(WORKER.code)
    books = Books(point.guard, point.pool)
    await point.add(GRADER)
    await books.appoint(GRADER.code, duties=frozenset({"immunization"}))
    grader = await point.enter(GRADER.code)
    child = await registered(worker, "王小明", "2025-01-01")
    page = f"/adverse-events/of/{child}"
    before = await worker.get(page)
    await received(worker, await store(worker))
    by_day = await give(worker, child, moment(point)[:10])
    assert (before.status_code, by_day.status_code) == (422, 422)
    assert (await give(worker, child, moment(point))).status_code == 303
    fields = {"began": moment(point), "what": AEFI, "severity": MILD, "urgent": "true",
              "words": "39 degrees"}  # fmt: skip
    await worker.get(page)
    wrong = {
        "2025-12-01T09:00:00": "before the dose",
        moment(point)[:10]: "not in the form that is asked for",
    }
    for began, fault in wrong.items():
        refused = await worker.send(page, **{**fields, "began": began})
        assert (refused.status_code, fault in said(refused)) == (422, True), began
    picture = [("papers~file", ("rash.png", PICTURE, "image/png"))]
    sent = await worker.client.post(page, data={"token": worker.token, **fields}, files=picture)
    assert sent.status_code == 303, said(sent)
    case = sent.headers["location"]
    shown = await worker.get(case)
    told = said(shown) + said(await worker.get(case, **{"Accept-Language": "zh"}))
    await assert_has_picture(case, shown.text, (worker, grader))
    assert (await worker.get(f"/record/Patient/{child}/file")).status_code == 404
    words = ("Reported as urgent", "What it is Fever When", "主要表现 发热 ", "M2601")
    assert [one for one in (*words, fields["began"][11:16]) if one not in told] == [], told
    listed = await grader.get("/adverse-events?state=urgent")
    assert case in listed.text
    assert "王小明 Fever" in said(listed)
    assert WORKER.sender not in said(listed)
    assert [await events_seen_by(point, one) for one in (WORKER, OTHER_WORKER)] == [1, 0]
    await worker.get(case)
    await worker.send(case, step="investigate", words="seen at home")
    own = await worker.send(f"{case}/grade", cause="common", outcome="resolved", words="usual")
    assert own.status_code == 403
    await grader.get(f"{case}/grade")
    empty = await grader.send(f"{case}/grade", cause="", outcome="", words="")
    assert empty.status_code == 422
    graded = await grader.send(f"{case}/grade", cause="common", outcome="ongoing", words="usual")
    assert graded.status_code == 303, said(graded)
    still = said(await grader.get(case))
    assert {"The outcome is not known" in still, "Common vaccine reaction" in still} == {True}
    assert (await grader.send(case, step="close")).status_code == 422
    await grader.get(f"{case}/grade")
    await grader.send(f"{case}/grade", cause="common", outcome="resolved", words="well again")
    await grader.get(case)
    assert (await grader.send(case, step="close")).status_code == 303
    assert "Closed" in said(await worker.get(case))
    for browser in (worker, grader):
        await browser.client.aclose()
