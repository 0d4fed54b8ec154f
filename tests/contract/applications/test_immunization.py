"""Vaccination over a real store: who is found, what is refused and why, what is stored and where
it is seen.
"""

from __future__ import annotations

import asyncio
import re
from datetime import date, datetime, timedelta

import pytest
from books import Books, organization
from clinic import Clinic
from shelf import query_of
from vaccinating import (
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

from quanmin.base.jobs import Done, Job
from quanmin.demo.numbering import credit_code
from quanmin.fhir.json import decode, encode
from quanmin.node.server import declared_notices
from quanmin.trust import Actor
from quanmin.trust.due import tell_kind

BORN = "2025-01-01"
TRACED = "/vaccine-trace/lot?product=MMR&lot=M2601"
FINDING = r'action="(/vaccination-findings/[^"/]+)"'
# What is said in English with a reason in Chinese is marked, to be read out rightly.
RECALLED = r'<p class="error"><span lang="zh">Recalled on [^<]*又一批</span>'


@pytest.fixture
async def point(clinic: Clinic) -> Clinic:
    return await points(clinic)


async def test_a_dose_is_refused_with_every_reason_and_stored_with_the_stock_it_takes(
    point: Clinic,
) -> None:
    worker, now = await point.enter(WORKER.code), moment(point)
    child = await registered(worker, "王小明", BORN)
    page = f"/vaccination/of/{child}"
    found = await worker.send("/vaccination", term=identity(BORN))
    assert found.headers["location"] == page
    unknown = await worker.send("/vaccination", term="nobody")
    assert (unknown.status_code, "Nobody is registered" in unknown.text) == (422, True)
    fridge = await store(worker)
    lot = await received(worker, fridge, count="1")
    none = said(await give(worker, child, now, lot="unknown"))
    assert "your stores have no such lot of this vaccine" in none
    early = await give(worker, child, "2025-08-31T09:00")
    assert (early.status_code, "the first day is 2025-09-01" in said(early)) == (422, True)
    unasked = said(await give(worker, child, now, asked="false"))
    assert "Ask and inform first" in unasked
    assert "lies in the future" in said(await give(worker, child, "2027-01-01T09:00"))
    await worker.get(fridge)
    await worker.send(fridge, readings=f"{moment(point)} 8.1")
    warm = said(await give(worker, child, moment(point)))
    assert "its store was beyond its temperatures" in warm
    await worker.get(lot)
    await worker.send(lot, kind="judged-fit", count="", words="two minutes, door open")
    given = await give(worker, child, now)
    assert given.status_code == 303, said(given)
    told = said(await worker.get(page))
    assert "81234567890000000001" in told
    assert "M2601" in told
    assert "On hand 0" in said(await worker.get(lot))
    assert "Given to a person 1 0 吴护士" in said(await worker.get(lot))
    other = await registered(worker, "王小红", "2025-02-01", "004")
    empty = said(await give(worker, other, now))
    assert "none of this lot is left" in empty
    assert "this trace code was used already" in empty
    await worker.client.aclose()


async def test_of_two_who_take_the_last_dose_one_gets_it(point: Clinic) -> None:
    worker, second = await point.enter(WORKER.code), await point.enter(WORKER.code)
    now = moment(point)
    children = [
        await registered(worker, name, BORN, sequence)
        for name, sequence in (("王一", "006"), ("王二", "008"))
    ]
    lot = await received(worker, await store(worker), count="1")
    answers = await asyncio.gather(
        *(
            give(one, child, now, trace=f"8123456789000000000{at}")
            for at, (one, child) in enumerate(zip((worker, second), children, strict=True))
        )
    )
    assert sorted(one.status_code for one in answers) == [303, 422]
    assert "On hand 0" in said(await worker.get(lot))
    for browser in (worker, second):
        await browser.client.aclose()


async def test_of_two_who_record_a_dose_of_one_child_one_is_told_that_it_is_there(
    point: Clinic,
) -> None:
    worker, second = await point.enter(WORKER.code), await point.enter(WORKER.code)
    child, fridge = await registered(worker, "王小明", BORN), await store(worker)
    # From one package of five doses, and from two packages of two lots.
    lot = await received(worker, fridge, product="BCG", number="B1", count="5")
    for number in ("M1", "M2"):
        await received(worker, fridge, number=number)
    for product, chosen in (
        ("BCG", (("B1", 1), ("B1", 1))),
        ("MMR", (("M1", 2), ("M2", 3))),
    ):
        now = moment(point)
        answers = await asyncio.gather(
            *(
                give(one, child, now, product=product, lot=number, trace=f"8123456789000000000{at}")
                for one, (number, at) in zip((worker, second), chosen, strict=True)
            )
        )
        assert sorted(one.status_code for one in answers) == [303, 422], said(answers[0])
        refused = next(one for one in answers if one.status_code == 422)
        assert "this vaccine is recorded on that day already" in said(refused)
    assert "On hand 4" in said(await worker.get(lot))
    for browser in (worker, second):
        await browser.client.aclose()


async def test_a_dose_that_was_a_mistake_is_recorded_anew_from_its_package(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    child = await registered(worker, "王一", BORN, "006")
    other = await registered(worker, "王二", BORN, "008")
    await received(worker, await store(worker))
    assert (await give(worker, other, moment(point))).status_code == 303
    records = point.guard.records(WORKER, purpose="PUBHLTH", request_id="mistake")
    (stored,) = (await records.search(query_of("Immunization"))).matches
    mistaken = {**decode(stored.body or b"{}"), "status": "entered-in-error"}
    await records.update("Immunization", stored.id, encode(mistaken))
    again = await give(worker, other, moment(point))
    assert again.status_code == 303, said(again)
    assert "this trace code was used already" in said(await give(worker, child, moment(point)))
    await worker.client.aclose()


async def test_a_child_who_moves_goes_on_where_it_was_and_reads_it_at_home(point: Clinic) -> None:
    worker, there, now = (
        await point.enter(WORKER.code),
        await point.enter(OTHER_WORKER.code),
        moment(point),
    )
    child = await registered(worker, "王小明", BORN)
    await received(worker, await store(worker))
    assert (await give(worker, child, now)).status_code == 303
    moved = await registered(there, "王小明", BORN)
    assert moved != child
    told = said(await there.get(f"/vaccination/of/{moved}"))
    assert "M2601" in told
    assert "the least distance from the dose before" in told
    register = f"/vaccination-findings/of/{moved}"
    await there.get(f"{register}/new")
    finding = "https://quanmin.example/fhir/CodeSystem/vaccination-finding|acute-illness"
    asked = {"finding": finding, "since": now[:10], "until": "2020-01-01", "words": "fever"}
    assert (await there.send(f"{register}/new", **asked)).status_code == 422
    sent = await there.send(f"{register}/new", **{**asked, "until": ""})
    assert sent.status_code == 303, said(sent)
    assert "Postponed" in said(await worker.get(f"/vaccination/of/{child}"))
    listed = await worker.get(f"/vaccination-findings/of/{child}")
    assert "no end known" in said(listed)
    assert "It ends today" not in listed.text, "who entered it ends it"
    (finding_page,) = set(re.findall(FINDING, (await there.get(register)).text))
    assert (await worker.send(finding_page, how="end")).status_code == 403
    assert (await there.send(finding_page, how="end")).status_code == 303
    assert f"{now[:10]} – {now[:10]}" in said(await there.get(register))
    assert (await there.send(finding_page, how="mistake")).status_code == 303
    ended = await there.send(finding_page, how="end")
    assert (ended.status_code, "marked as a mistake already" in said(ended)) == (409, True)
    await there.get(f"{register}/new")
    await there.send(f"{register}/new", **{**asked, "since": "2099-01-01", "until": ""})
    (later,) = set(re.findall(FINDING, (await there.get(register)).text))
    early = await there.send(later, how="end")
    assert (early.status_code, "it has not begun yet" in said(early)) == (409, True)
    assert "entered by mistake" in said(await worker.get(f"/vaccination-findings/of/{child}"))
    assert "Postponed" not in said(await worker.get(f"/vaccination/of/{child}"))
    person = await point.pool.fetchval(
        "select person from people.link where patient = $1",
        point.guard.store.context.rid_of("Patient", child),
    )
    await point.add(Actor("parent", "resident", "王小明", "", str(person)))
    parent = await point.enter("parent")
    home = await parent.get("/vaccination")
    assert home.status_code == 303
    own = await parent.get(home.headers["location"])
    assert "M2601" in own.text
    assert "/dose" not in own.text
    assert (await parent.get(f"/vaccination/of/{child}/dose")).status_code == 403
    for browser in (worker, there, parent):
        await browser.client.aclose()


async def test_of_results_only_those_are_read_that_the_schedule_asks_for(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    child = await registered(worker, "王小明", BORN)
    records = point.guard.records(WORKER, purpose="PUBHLTH", request_id="results")
    rids = []
    for code in ("8339-4", "8302-2"):
        result = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": {"reference": f"Patient/{child}"},
            "effectiveDateTime": BORN,
            "valueQuantity": {
                "value": 1900,
                "unit": "g",
                "system": "http://unitsofmeasure.org",
                "code": "g",
            },
        }
        stored = (await records.create("Observation", encode(result))).stored
        rids.append(point.guard.store.context.rid_of("Observation", stored.id))
    told = said(await worker.get(f"/vaccination/of/{child}"))
    assert "Hepatitis B (born with less than 2000 g)" in told
    looked = "select count(*) from trust.access where action <> 'create' and $1 = any(records)"
    assert [await point.pool.fetchval(looked, rid) for rid in rids] == [1, 0]
    await worker.client.aclose()


async def test_a_lot_is_traced_to_persons_and_recalled_everywhere(point: Clinic) -> None:
    worker, there = await point.enter(WORKER.code), await point.enter(OTHER_WORKER.code)
    child = await registered(worker, "王小明", "2025-01-01")
    await received(worker, await store(worker))
    assert (await give(worker, child, moment(point))).status_code == 303
    listed = said(await there.get(TRACED))
    assert "王小明 2025-01-01" in listed
    sheet = (await there.get(TRACED.replace("?", ".csv?"))).text
    assert "81234567890000000001" in sheet
    assert (await there.get("/vaccine-trace/lot?product=none&lot=M2601")).status_code == 422
    await there.get("/vaccine-trace")
    package = await there.send("/vaccine-trace", package="81234567890000000001")
    assert "王小明" in package.text
    assert TRACED.replace("&", "&amp;") in package.text, "from a package to its lot"
    assert (await there.send("/vaccine-trace", package="", product="", lot="")).status_code == 422
    recall = "/vaccine-trace/recall?product=MMR&lot=M2601"
    await there.get(recall)
    assert (await there.send(recall, why="")).status_code == 422
    asked = await there.send(recall, why="particles seen")
    assert "No dose of it that is given from now on" in asked.text
    assert (await there.send(recall, why="particles seen", confirmed="1")).status_code == 303
    assert "particles seen" in said(await worker.get(TRACED))
    other = await registered(worker, "王小红", "2025-02-01", "004")
    refused = await give(worker, other, moment(point), trace="81234567890000000002")
    assert (refused.status_code, "the lot was recalled" in said(refused)) == (422, True)
    lift = recall.replace("/recall?", "/lift?")
    await worker.get(lift)
    assert (await worker.send(lift, why="mistaken", confirmed="1")).status_code == 403
    await worker.get(recall)
    assert (await worker.send(recall, why="again", confirmed="1")).status_code == 303
    assert "again" not in said(await worker.get(TRACED)), "it is recalled already"
    await there.get(lift)
    assert (await there.send(lift, why="")).status_code == 422
    assert "can be recorded again" in said(await there.send(lift, why="harmless fibres"))
    assert (await there.send(lift, why="harmless fibres", confirmed="1")).status_code == 303
    assert (await there.send(lift, why="twice", confirmed="1")).status_code == 409
    lifted = r"particles seen Lifted on .*harmless fibres"
    assert re.search(lifted, said(await there.get(TRACED)))
    assert "recalled" not in said(await worker.get("/vaccine-stock"))
    again = await give(worker, other, moment(point), trace="81234567890000000002")
    assert again.status_code == 303, said(again)
    await there.get(recall)
    assert (await there.send(recall, why="又一批", confirmed="1")).status_code == 303
    assert re.search(RECALLED, (await worker.get(TRACED)).text)
    shown = [said(await one.get(TRACED)) for one in (worker, there)]
    assert ["Lift the recall" in one for one in shown] == [False, True], "who recalled it lifts it"
    assert "Recall this lot" not in shown[0]
    assert "M2601 recalled" in said(await worker.get("/vaccine-stock"))
    third = await registered(worker, "王小亮", "2025-03-01", "006")
    assert "the lot was recalled" in said(
        await give(worker, third, moment(point), trace="81234567890000000003")
    )
    for browser in (worker, there):
        await browser.client.aclose()


async def test_what_has_ended_can_still_be_said_to_be_a_mistake(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    register = f"/vaccination-findings/of/{await registered(worker, '王小明', BORN)}"
    await worker.get(f"{register}/new")
    finding = "https://quanmin.example/fhir/CodeSystem/vaccination-finding|acute-illness"
    asked = {"finding": finding, "since": "2026-06-20", "until": "2026-06-21", "words": "fever"}
    assert (await worker.send(f"{register}/new", **asked)).status_code == 303
    page = await worker.get(register)
    (over,) = set(re.findall(FINDING, page.text))
    assert "It ends today" not in page.text
    assert (await worker.send(over, how="mistake")).status_code == 303
    assert "entered by mistake" in said(await worker.get(register))
    await worker.client.aclose()


async def test_a_dose_is_recorded_that_was_given_before_its_lot_became_unfit(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    child, fridge = await registered(worker, "王小明", BORN), await store(worker)
    lot = await received(worker, fridge)
    await worker.get(fridge)
    await worker.send(fridge, readings=f"{moment(point)} 8.1")
    recall = "/vaccine-trace/recall?product=MMR&lot=M2601"
    await worker.get(recall)
    assert (await worker.send(recall, why="particles", confirmed="1")).status_code == 303
    records = point.guard.records(WORKER, purpose="PUBHLTH", request_id="expire")
    stored = await records.read("Substance", lot.rpartition("/")[2])
    body = decode(stored.body or b"{}")
    today = date.fromisoformat(moment(point)[:10])
    before = today - timedelta(days=1)
    body["instance"][0]["expiry"] = before.isoformat()
    await records.update("Substance", stored.id, encode(body))
    refused = said(await give(worker, child, moment(point)))
    for reason in ("the lot has expired", "the lot was recalled", "beyond its temperatures"):
        assert reason in refused
    given = await give(worker, child, f"{before}T09:00")
    assert given.status_code == 303, said(given)
    assert "entered after the recall" in said(await worker.get(TRACED))
    expired = "/vaccine-stock.csv?expiry=expired"
    assert "M2601" in (await worker.get(expired)).text
    await worker.get(lot)
    assert (await worker.send(lot, kind="count", count="0", words="destroyed")).status_code == 303
    assert "M2601" not in (await worker.get(expired)).text, "none of it is left"
    await worker.client.aclose()


async def test_who_is_late_stands_in_the_due_list_until_the_dose_is_recorded(
    point: Clinic,
) -> None:
    worker, there = await point.enter(WORKER.code), await point.enter(OTHER_WORKER.code)
    books, code = Books(point.guard, point.pool), credit_code("580101", 9)
    await books.enter(organization(code, kind="J"))
    await point.add(Actor("cdc-zhou", "public_health_worker", "周医师", f"sender-{code}"))
    await books.appoint("cdc-zhou", duties=frozenset({"immunization"}))
    centre = await point.enter("cdc-zhou")
    child = await registered(worker, "王小明", BORN)
    late = "/vaccination/due?status=overdue&series=mmr"
    listed = await worker.get(late)
    assert f'href="/vaccination/of/{child}"' in listed.text, said(listed)
    assert "Measles, mumps, rubella 1" in said(listed)
    assert "王小明" in (await worker.get(late.replace("?", ".csv?"))).text
    assert "doses that are late" in said(await worker.get("/"))
    assert "doses that are late" in said(await worker.get("/vaccination")), (
        "where it is worked on too"
    )
    assert "王小明" not in (await there.get("/vaccination/due")).text
    assert "王小明" in (await centre.get(late)).text
    assert "doses that are late" in said(await centre.get("/")), "those that its list has"
    await received(worker, await store(worker))
    assert (await give(worker, child, moment(point))).status_code == 303
    assert "王小明" not in (await worker.get(late)).text
    for browser in (worker, there, centre):
        await browser.client.aclose()


async def tell(point: Clinic, day: str) -> None:
    """Have those told who are to be, as if it were a day."""
    at = round(datetime.fromisoformat(f"{day}T09:00+08:00").timestamp()) * 1_000_000
    kind = tell_kind(point.guard.due, declared_notices(), lambda: at)
    position = None
    while True:
        async with point.pool.acquire() as connection, connection.transaction():
            job = Job(1, kind.name, "node", None, position, 0, None, 1)
            outcome = await kind.step(connection, job)
        if isinstance(outcome, Done):
            return
        position = outcome.position


async def test_who_is_due_soon_is_reminded_and_who_stays_late_is_told_of_once(
    point: Clinic,
) -> None:
    worker, there = await point.enter(WORKER.code), await point.enter(OTHER_WORKER.code)
    await registered(worker, "王小明", "2025-09-10")
    baby = await registered(worker, "王小红", "2026-07-25", "004")
    person = await point.pool.fetchval(
        "select person from people.link where patient = $1",
        point.guard.store.context.rid_of("Patient", baby),
    )
    await point.add(Actor("parent", "resident", "王小红", "", str(person)))
    soon = (
        "select count(*) from trust.notice where account = 'parent' and kind = 'immunization.due'"
    )
    late = "A vaccination that was due on 2026-05-10 has not been given"
    # Measles and encephalitis vaccine are overdue at a year, told of a week later.
    await tell(point, "2026-09-16")
    assert late not in said(await worker.get("/notices"))
    for _ in range(2):
        await tell(point, "2026-09-17")
    assert said(await worker.get("/notices")).count(late) == 2
    assert late not in said(await there.get("/notices"))
    # Polio and DTaP are due at two months, told of a week before.
    assert await point.pool.fetchval(soon) == 0
    for _ in range(2):
        await tell(point, "2026-09-18")
    assert await point.pool.fetchval(soon) == 2
    for browser in (worker, there):
        await browser.client.aclose()
