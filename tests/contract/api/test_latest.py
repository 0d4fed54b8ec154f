"""`Observation/$lastn` by FHIR R4 observation-operation-lastn, `$docref` by IPA."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import httpx
import pytest
from stores import observation, patient

from quanmin.api import DoorLimits

LOINC = "http://loinc.org"
LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


def result(number: str, day: str, **more: Any) -> bytes:
    coding = [{"system": LOINC, "code": number}]
    system, _, category = LABORATORY.partition("|")
    body = {
        "code": {"coding": coding},
        "effectiveDateTime": day,
        "category": [{"coding": [{"system": system, "code": category}]}],
        **more,
    }
    return observation("Patient/man", **body)


async def fill(client: httpx.AsyncClient) -> None:
    for one in ("man", "woman"):
        await client.put(f"/Patient/{one}", content=patient(id=one))
    for code in ("1", "2", "3"):
        for day in ("2026-03-03", "2026-03-01", "2026-03-02", "2026-03-03"):
            await client.post("/Observation", content=result(code, day))
    local = {"coding": [{"system": "urn:local", "code": "a"}, {"system": LOINC, "code": "1"}]}
    await client.post("/Observation", content=result("1", "2026-03-04", code=local))
    await client.post(
        "/Observation", content=result("4", "2026-03-01", category=[{"text": "other"}])
    )
    await client.post("/Observation", content=observation("Patient/woman"))


@pytest.fixture
async def filled(house: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = house.client("hospital-a")
    await fill(client)
    return client


def found(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "searchset"
    entries = [entry["resource"] for entry in bundle.get("entry", ())]
    assert bundle["total"] == len(entries)
    return entries


def days(entries: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The days of each code, in the order given."""
    return {
        code: [one["effectiveDateTime"][-2:] for one in group]
        for code, group in groupby(entries, key=lambda one: one["code"]["coding"][-1]["code"])
    }


async def test_the_latest_of_each_code_with_those_as_late(filled: httpx.AsyncClient) -> None:
    got = found(await filled.get("/Observation/$lastn", params={"patient": "man"}))
    assert days(got) == {"1": ["04"], "2": ["03", "03"], "3": ["03", "03"], "4": ["01"]}
    params = {"subject": "Patient/man", "max": "2", "category": LABORATORY}
    got = found(await filled.get("/Observation/$lastn", params=params))
    assert days(got) == {"1": ["04", "03", "03"], "2": ["03", "03"], "3": ["03", "03"]}


async def test_it_equals_what_a_search_shows_sorted_and_cut(filled: httpx.AsyncClient) -> None:
    params = {"patient": "man", "code": f"{LOINC}|2,{LOINC}|3", "_sort": "-date"}
    every = (await filled.get("/Observation", params={**params, "_count": "50"})).json()["entry"]
    for size in range(1, 6):
        got = found(
            await filled.get(
                "/Observation/$lastn",
                params={"patient": "man", "code": params["code"], "max": str(size)},
            )
        )
        expected = set()
        for code in ("2", "3"):
            of_code = [
                one["resource"]
                for one in every
                if one["resource"]["code"]["coding"][0]["code"] == code
            ]
            last = of_code[:size][-1]["effectiveDateTime"]
            expected |= {one["id"] for one in of_code if one["effectiveDateTime"] >= last}
        assert {one["id"] for one in got} == expected


async def test_lastn_by_post_and_its_refusals(house: Any, filled: httpx.AsyncClient) -> None:
    sent = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/man"}},
            {"name": "code", "valueCoding": {"system": LOINC, "code": "3"}},
            {"name": "max", "valuePositiveInt": 3},
        ],
    }
    answer = await filled.post("/Observation/$lastn", content=json.dumps(sent).encode())
    assert days(found(answer)) == {"3": ["03", "03", "02"]}
    for query, word in (
        ("", "patient or subject"),
        ("?patient=man&max=0", "max"),
        ("?patient=man&colour=red", "colour"),
    ):
        answer = await filled.get(f"/Observation/$lastn{query}")
        assert (answer.status_code, word in answer.text) == (400, True)
    few = house.client("hospital-a", DoorLimits(latest_rows_max=3))
    answer = await few.get("/Observation/$lastn?patient=man")
    assert (answer.status_code, "category" in answer.text) == (400, True)
    assert (await filled.get("/Patient/$lastn")).status_code == 404


async def test_lastn_shows_and_logs_what_the_asker_may_see(house: Any, filled: Any) -> None:
    assert found(await house.client("hospital-b").get("/Observation/$lastn?patient=man")) == []
    await filled.get("/Observation/$lastn?patient=woman")
    rows = await house.pool.fetch(
        "select actor, type, hits from trust.access where action = 'lastn' order by at"
    )
    assert [tuple(row) for row in rows] == [
        ("hospital-b", "Observation", 0),
        ("hospital-a", "Observation", 1),
    ]


async def document(client: httpx.AsyncClient, id_: str, kind: str, **more: Any) -> None:
    body = {
        "resourceType": "DocumentReference",
        "id": id_,
        "status": "current",
        "subject": {"reference": "Patient/man"},
        "type": {"coding": [{"system": LOINC, "code": kind}]},
        "content": [{"attachment": {"contentType": "text/plain", "data": "YQ=="}}],
        **more,
    }
    answer = await client.put(f"/DocumentReference/{id_}", content=json.dumps(body).encode())
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["c", "b", "a"]),
        ("&type=34133-9", ["b", "a"]),
        (f"&type={LOINC}|34133-9,{LOINC}|11502-2", ["c", "b", "a"]),
        ("&start=2026-02-01", ["b"]),
        ("&end=2026-02-01", ["a"]),
        ("&start=2026-01-05&end=2026-12-31&on-demand=false", ["b", "a"]),
        ("&_count=2", ["c", "b"]),
    ],
)
async def test_docref_lists_documents_by_care_and_type(
    filled: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    for id_, month in (("a", "01"), ("b", "03")):
        period = {"start": f"2026-{month}-01", "end": f"2026-{month}-09"}
        await document(
            filled, id_, "34133-9", context={"period": period}, date=f"2026-{month}-10T00:00:00Z"
        )
    await document(filled, "c", "11502-2", date="2026-05-01T00:00:00Z")
    answer = await filled.get(f"/DocumentReference/$docref?patient=man{query}")
    assert answer.status_code == 200, answer.text
    entries = answer.json()["entry"]
    ids = [one["resource"]["id"] for one in entries if one["search"]["mode"] == "match"]
    assert ids == expected
    assert ("no time of care" in answer.text) == ("start" in query or "end" in query)
    links = {link["relation"]: link["url"] for link in answer.json()["link"]}
    assert ("next" in links) == ("_count" in query)
    if "next" in links:
        left = (await filled.get(links["next"])).json()["entry"]
        assert [one["resource"]["id"] for one in left] == ["a"]


async def test_docref_refuses_what_it_does_not_do_by_name(filled: httpx.AsyncClient) -> None:
    for query, word in (
        ("", "patient"),
        ("?patient=man&on-demand=true", "on-demand"),
        ("?patient=man&profile=x", "profile"),
        ("?patient=man&start=red", "start"),
    ):
        answer = await filled.get(f"/DocumentReference/$docref{query}")
        assert (answer.status_code, word in answer.text) == (400, True)
