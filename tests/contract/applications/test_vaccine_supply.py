"""Stock and temperatures over a real store."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from clinic import Clinic
from shelf import query_of
from vaccinating import (
    OTHER_WORKER,
    WORKER,
    moment,
    points,
    received,
    said,
    store,
)

from quanmin.fhir.json import decode, encode


@pytest.fixture
async def point(clinic: Clinic) -> Clinic:
    return await points(clinic)


async def test_stock_moves_by_what_is_entered_and_is_never_below_nought(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    fridge = await store(worker)
    lot = await received(worker, fridge, count="10")
    assert await received(worker, fridge, count="5") == lot
    for kind, count, words, expected in (
        ("issue", "16", "", "More than is on hand"),
        ("loss", "1", "", "the reason"),
        ("issue", "some", "", "Write a whole number"),
        ("issue", "9" * 5000, "", "to 1000000 doses"),
        ("", "1", "", "Fill this in"),
        ("use", "1", "", "Choose one of the list"),
    ):
        await worker.get(lot)
        answer = await worker.send(lot, kind=kind, count=count, words=words)
        assert (answer.status_code, expected in said(answer)) == (422, True), (kind, said(answer))
    await worker.send(lot, kind="loss", count="3", words="broken")
    await worker.send(lot, kind="count", count="11", words="one more was broken")
    told = said(await worker.get(lot))
    assert "Stock-take 11 11 吴护士 one more was broken" in told
    assert "Loss 3 12 吴护士 broken" in told
    form = {"product": "MMR", "number": "OLD", "count": "1", "store": fridge.rpartition("/")[2]}
    for expiry, expected in (("2020-01-01", "It has expired"), ("soon", "A day is written as")):
        answer = await worker.send("/vaccine-stock/receipt", **form, expiry=expiry, words="")
        assert (answer.status_code, expected in said(answer)) == (422, True)
    for none in ("0", "1000001"):
        nothing = {**form, "expiry": "2027-12-31", "count": none, "words": ""}
        answer = await worker.send("/vaccine-stock/receipt", **nothing)
        assert (answer.status_code, "Give 1 to 1000000 doses" in said(answer)) == (422, True)
    assert "OLD" not in (await worker.get("/vaccine-stock")).text
    same = {**form, "number": "M2601", "expiry": "2028-01-01", "words": ""}
    other = said(await worker.send("/vaccine-stock/receipt", **same))
    assert "with another expiry" in other
    sheet = (await worker.get("/vaccine-stock.csv?product=MMR&lang=zh")).text
    assert "M2601,麻腮风联合减毒活疫苗,2027-12-31,11," in sheet
    assert "M2601" not in (await worker.get("/vaccine-stock.csv?product=BCG")).text
    assert "M2601" not in (await worker.get("/vaccine-stock.csv?expiry=soon")).text
    assert (await worker.get("/vaccine-stock?expiry=late")).status_code == 422
    there = await point.enter(OTHER_WORKER.code)
    assert (await there.get(lot)).status_code == 404
    assert "M2601" not in (await there.get("/vaccine-stock")).text
    for browser in (worker, there):
        await browser.client.aclose()


async def test_an_excursion_stands_on_the_store_and_on_the_lots_it_touches(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    fridge = await store(worker)
    await worker.get(fridge)
    for text, expected in (
        ("warm", "Line 1: write"),
        ("2026-01-31 08:00 4.5\n2026-01-31 09:00 NaN", "Line 2: no such temperature"),
        ("2099-01-31 08:00 4.5", "Line 1: no such temperature, or in the future"),
        ("", "Give 1 to 200 readings"),
    ):
        answer = await worker.send(fridge, readings=text)
        assert (answer.status_code, expected in said(answer)) == (422, True), said(answer)
    lot = await received(worker, fridge)
    later = moment(point).replace("T", " ")
    await worker.get(fridge)
    sent = await worker.send(fridge, readings=f"2026-01-31 08:00 4.5\n{later}, 9.5")
    assert sent.status_code == 303
    told = said(await worker.get(fridge))
    assert "now 9.5 °C Measles, mumps and rubella vaccine M2601" in told
    assert "9.5 above" in told
    assert "beyond its limits" in said(await worker.get("/cold-chain"))
    assert "9.5" in (await worker.get(f"{fridge}/readings.csv")).text
    assert "beyond its temperatures" in said(await worker.get(lot))
    await worker.get("/vaccine-stock/receipt")
    more = {"product": "BCG", "number": "B1", "expiry": "2027-12-31", "count": "1", "words": ""}
    warm = await worker.send(
        "/vaccine-stock/receipt", **more, store=fridge.rpartition("/")[2]
    )  # fmt: skip
    assert "beyond its temperatures now" in said(warm)
    await worker.get(lot)
    await worker.send(lot, kind="judged-fit", count="", words="an hour: leaflet allows it")
    assert "beyond its temperatures" not in said(await worker.get(lot))
    await worker.client.aclose()


async def test_what_expires_soon_is_counted_as_it_is_listed(point: Clinic) -> None:
    worker = await point.enter(WORKER.code)
    fridge, soon = await store(worker), date.fromisoformat(moment(point)[:10]) + timedelta(days=9)
    lots = [
        await received(worker, fridge, number=number, expiry=soon.isoformat())
        for number in ("S1", "S2")
    ]
    await worker.get(lots[1])
    await worker.send(lots[1], kind="loss", count="2", words="broken")
    listed = (await worker.get("/vaccine-stock.csv?expiry=soon")).text
    assert ("S1" in listed, "S2" in listed) == (True, False)
    assert "1 lots that expire soon" in said(await worker.get("/"))
    await worker.client.aclose()


async def test_a_mistaken_reading_says_nothing_and_no_lot_of_a_store_is_left_out(
    point: Clinic,
) -> None:
    worker = await point.enter(WORKER.code)
    fridge = await store(worker)
    lot = await received(worker, fridge)
    await worker.get(fridge)
    await worker.send(fridge, readings=f"{moment(point)} 9.5")
    records = point.guard.records(WORKER, purpose="PUBHLTH", request_id="stock")
    (reading,) = (await records.search(query_of("Observation"))).matches
    mistaken = {**decode(reading.body or b"{}"), "status": "entered-in-error"}
    await records.update("Observation", reading.id, encode(mistaken))
    assert "beyond its temperatures" not in said(await worker.get(lot))
    assert "9.5" not in (await worker.get(f"{fridge}/readings.csv")).text
    stored = await records.read("Substance", lot.rpartition("/")[2])
    body = {**decode(stored.body or b"{}")}
    del body["id"], body["meta"], body["identifier"]
    request = {"method": "POST", "url": "Substance"}
    more = [{"resource": body, "request": request}] * 500
    await records.bundle(encode({"resourceType": "Bundle", "type": "transaction", "entry": more}))
    told = said(await worker.get(fridge))
    assert told.count("M2601") == 501
    await worker.client.aclose()
