"""Whom the registers stop is told what to do, and each attempt leaves one entry in the log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from books import Books, organization
from stores import START, observation

from quanmin.trust import Actor
from quanmin.trust.registers import Admissions, Application

from .conftest import House

YEAR = 366 * 86_400_000_000
EVERYWHERE: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/Observation/1", None),
    ("GET", "/Observation/1/_history/1", None),
    ("GET", "/Observation/_history", None),
    ("GET", "/Observation?code=1", None),
    ("GET", "/Patient/1/$everything", None),
    ("GET", "/$counts", None),
    ("GET", "/AuditEvent?action=R", None),
    ("GET", "/AuditEvent/log-1-1", None),
    ("GET", "/_job/1", None),
    ("POST", "/Observation", json.loads(observation())),
    ("POST", "/Observation/$validate", json.loads(observation())),
    ("PUT", "/Observation/1", {**json.loads(observation()), "id": "1"}),
    ("DELETE", "/Observation/1", None),
    (
        "POST",
        "/Patient/1/$break-glass",
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "reason", "valueString": "unconscious after a fall"}],
        },
    ),
)


async def entries(house: House, actor: str) -> list[tuple[str, str]]:
    rows = await house.pool.fetch(
        "select action, outcome from trust.access where actor = $1 order by at", actor
    )
    return [tuple(row) for row in rows]


async def enrol(house: House, actor: Actor) -> Any:
    house.tokens[actor.code] = await house.actors.enrol(actor)
    return house.client(actor.code)


@pytest.fixture
async def books(house: House) -> Books:
    return Books(house.guard, house.pool)


async def test_an_ended_post_stops_every_interaction_and_each_leaves_one_entry(
    house: House, books: Books
) -> None:
    body = organization()
    await books.enter(body)
    doctor = Actor("li", "public_health_worker", "Li", body["identifier"][1]["value"])
    client = await enrol(house, doctor)
    await books.appoint("li", until=START)
    for number, (method, address, content) in enumerate(EVERYWHERE, 1):
        answer = await client.request(method, address, json=content)
        assert answer.status_code == 403, (method, address, answer.text)
        assert "ask who keeps the register of posts" in answer.text, address
        assert await entries(house, "li") == [("stopped", "forbidden")] * number, address


async def test_a_batch_of_somebody_who_is_stopped_leaves_one_entry(
    house: House, books: Books
) -> None:
    body = organization()
    await books.enter(body)
    client = await enrol(
        house, Actor("li", "public_health_worker", "Li", body["identifier"][1]["value"])
    )
    await books.appoint("li", until=START)
    requests = [
        {"request": {"method": "GET", "url": "Observation/1"}},
        {"request": {"method": "GET", "url": "Observation?code=1"}},
        {
            "resource": json.loads(observation()),
            "request": {"method": "POST", "url": "Observation"},
        },
    ]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": requests}
    answer = await client.post("/", json=batch)
    told = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert (answer.status_code, told) == (200, ["403"] * 3)
    transaction = {**batch, "type": "transaction"}
    assert (await client.post("/", json=transaction)).status_code == 403
    assert await entries(house, "li") == [("stopped", "forbidden")] * 2


async def test_an_operator_whose_contract_was_withdrawn_reads_no_log_and_begins_no_job(
    house: House,
) -> None:
    client = await enrol(house, Actor("keeper", "operator", "Keeper Ltd", "node"))
    admissions = Admissions(house.pool)
    applied = await admissions.apply(
        Application(
            party="keeper-ltd",
            kind="operator",
            name="Keeper Ltd",
            purpose="runs the node",
            members=(("actor", "keeper"),),
        ),
        at=START,
        by="clerk",
    )
    one: dict[str, Any] = {"at": START, "by": "chief"}
    await admissions.review(applied.admission, is_recommended=True, opinion="sound", **one)
    await admissions.admit(
        applied.admission, agreement="A7", since=START, until=START + YEAR, **one
    )
    assert (await client.get("/AuditEvent")).status_code == 200
    await admissions.withdraw(applied.admission, reason="breach of contract", **one)
    before = len(await entries(house, "keeper"))
    for method, address in (("GET", "/AuditEvent"), ("POST", "/$reindex")):
        answer = await client.request(method, address, headers={"Prefer": "respond-async"})
        assert (answer.status_code, "admission" in answer.text) == (403, True), answer.text
    assert (await entries(house, "keeper"))[before:] == [("stopped", "forbidden")] * 2
