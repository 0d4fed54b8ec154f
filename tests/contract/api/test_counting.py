"""`$counts`: each number is that of the records that its search lists, and tells no more."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import httpx
import pytest
from stores import observation, patient

from quanmin.api import DoorLimits

LOINC = "http://loinc.org"
CODES = ("1-1", "2-2", "a|b,c$d\\")
DAYS = ("2026-01-31", "2026-02-01", "2026-02", "2026", "2026-03-15")
WHO = ("hospital-a", "hospital-b", "center")


@pytest.fixture(params=[1, 2])
async def filled(house: Any, request: pytest.FixtureRequest) -> Any:
    """Results of two patients in two hospitals, with codes, dates and hospitals by chance."""
    dice = random.Random(request.param)  # noqa: S311 - not for secrets
    for who in WHO[:2]:
        client = house.client(who)
        await client.put(f"/Patient/p-{who}", content=patient(id=f"p-{who}"))
        for _ in range(dice.randint(5, 15)):
            chosen = dice.sample(CODES, dice.randint(1, 2))
            body = observation(
                f"Patient/p-{who}",
                code={"coding": [{"system": LOINC, "code": code} for code in chosen]},
                effectiveDateTime=dice.choice(DAYS),
                status=dice.choice(["final", "amended"]),
            )
            assert (await client.post("/Observation", content=body)).status_code == 201
    return house


def counts(answer: httpx.Response) -> dict[str, tuple[int, str]]:
    """What is counted: its number and search."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["resourceType"] == "Parameters"
    found = {}
    for parameter in body["parameter"]:
        if parameter["name"] == "count":
            of, number, search = parameter["part"]
            found[of["valueString"]] = (number["valueInteger"], search["valueUri"])
    return found


def is_complete(answer: httpx.Response) -> bool:
    first = answer.json()["parameter"][0]
    assert first["name"] == "complete"
    return bool(first["valueBoolean"])


async def listed(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    params = None if "_page" in url else httpx.URL(url).params.set("_count", "1000")
    answer = await client.get(url, params=params)
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


async def check_searches(client: httpx.AsyncClient, found: dict[str, tuple[int, str]]) -> None:
    for number, url in found.values():
        assert len(await listed(client, url)) == number


@pytest.mark.parametrize("who", WHO)
async def test_counts_by_code_are_those_of_what_a_search_shows(filled: Any, who: str) -> None:
    client = filled.client(who)
    for criteria in ({}, {"status": "final"}, {"date": "ge2026-02"}):
        url = str(httpx.URL("/Observation", params=criteria))
        seen = await listed(client, url)
        expected = Counter(
            code for one in seen for code in {coding["code"] for coding in one["code"]["coding"]}
        )
        answer = await client.get("/Observation/$counts", params={"by": "code", **criteria})
        found = counts(answer)
        plain = {name.partition("|")[2]: number for name, (number, _) in found.items()}
        escaped = {code.replace("\\", "\\\\") for code in expected}
        assert len(plain) == len(escaped)
        assert sorted(plain.values()) == sorted(expected.values())
        assert is_complete(answer)
        await check_searches(client, found)


@pytest.mark.parametrize("who", WHO)
async def test_counts_by_month_are_those_of_what_a_search_shows(filled: Any, who: str) -> None:
    client = filled.client(who)
    seen = await listed(client, "/Observation")
    expected = Counter(one["effectiveDateTime"][:7] for one in seen)
    del expected["2026"]
    params = {"by": "month", "from": "2025-12", "to": "2026-04"}
    found = counts(await client.get("/Observation/$counts", params=params))
    assert {name: number for name, (number, _) in found.items()} == expected
    await check_searches(client, found)


@pytest.mark.parametrize("who", WHO)
async def test_counts_by_type_are_those_of_what_a_search_shows(filled: Any, who: str) -> None:
    client = filled.client(who)
    found = counts(await client.get("/$counts"))
    assert set(found) == {"Patient", "Observation"}
    await check_searches(client, found)
    of_one = await client.get("/Patient/p-hospital-a/$counts", params={"by": "type"})
    if who == "hospital-b":
        assert counts(of_one) == {}
    else:
        assert set(counts(of_one)) == {"Observation", "Patient"}
        await check_searches(client, counts(of_one))


async def test_by_post_no_term_stands_in_a_search(filled: Any) -> None:
    client = filled.client("hospital-a")
    sent = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "by", "valueCode": "month"},
            {"name": "from", "valueString": "2026-01"},
            {"name": "to", "valueString": "2026-03"},
            {"name": "patient", "valueReference": {"reference": "Patient/p-hospital-a"}},
        ],
    }
    answer = await client.post("/Observation/$counts", content=json.dumps(sent).encode())
    found = counts(answer)
    assert found
    assert "p-hospital-a" not in answer.text
    await check_searches(client, found)


async def test_what_was_not_looked_at_or_not_counted_is_said(filled: Any) -> None:
    few = filled.client("center", DoorLimits(counts_max=1))
    answer = await few.get("/Observation/$counts?by=code")
    assert (len(counts(answer)), is_complete(answer)) == (1, False)
    few = filled.client("center", DoorLimits(counts_sample_max=1))
    assert not is_complete(await few.get("/Observation/$counts?by=code"))
    answer = await few.get("/Observation/$counts?by=month&from=2020-01&to=2026-01")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("/Observation/$counts", "by"),
        ("/Patient/$counts?by=code", "by"),
        ("/Observation/$counts?by=month", "from"),
        ("/Observation/$counts?by=month&from=2026", "months"),
        ("/Observation/$counts?by=month&from=2026-02&to=2026-01", "months"),
        ("/Observation/$counts?by=month&from=2026-13", "months"),
        ("/Observation/$counts?by=code&colour=red", "colour"),
        ("/$counts?by=code", "by"),
        ("/$counts?patient=1", "patient"),
    ],
)
async def test_what_cannot_be_counted_is_refused_by_name(
    client: httpx.AsyncClient, url: str, word: str
) -> None:
    answer = await client.get(url)
    assert (answer.status_code, word in answer.text) == (400, True)


async def test_a_code_is_what_the_search_parameter_finds_wherever_it_stands(
    client: httpx.AsyncClient,
) -> None:
    medicine = {"coding": [{"system": "urn:medicines", "code": "m1"}]}
    body = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": medicine,
    }
    answer = await client.post("/MedicationRequest", content=json.dumps(body).encode())
    assert answer.status_code == 201, answer.text
    found = counts(await client.get("/MedicationRequest/$counts?by=code"))
    assert {name: number for name, (number, _) in found.items()} == {"urn:medicines|m1": 1}


async def test_counts_stand_in_the_access_log(house: Any) -> None:
    client = house.client("hospital-a")
    await client.post("/Observation", content=observation())
    await client.get("/Observation/$counts?by=month&from=2026-01")
    rows = await house.pool.fetch(
        "select actor, type, outcome from trust.access where action = 'counts'"
    )
    assert [tuple(row) for row in rows] == [("hospital-a", "Observation", "ok")]
