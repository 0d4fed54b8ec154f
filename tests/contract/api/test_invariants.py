"""The rules of R4 hold whichever way a record comes in (R4 validation.html)."""

from __future__ import annotations

import json
from typing import Any

import httpx
from stores import bundle, observation, patient, post

CONTACT = {"contact": [{"gender": "female"}]}
"""Breaks pat-1: a contact has a name, a telecom, an address or an organization."""


def broken() -> dict[str, Any]:
    return {**json.loads(patient()), **CONTACT}


def refused(answer: httpx.Response, place: str) -> None:
    assert answer.status_code == 422, answer.text
    (issue,) = answer.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("error", "invariant")
    assert issue["expression"] == [place]
    # The key of the rule, what it says, and the expression that has to hold.
    assert "breaks pat-1: SHALL at least contain a contact's details" in issue["diagnostics"]
    assert "organization.exists()" in issue["diagnostics"]


async def test_invariants_refuse_a_create_and_an_update(client: httpx.AsyncClient) -> None:
    refused(await client.post("/Patient", json=broken()), "Patient.contact[0]")
    sent = {**broken(), "id": "p1"}
    refused(await client.put("/Patient/p1", json=sent), "Patient.contact[0]")
    where = {"identifier": "http://a|1"}
    refused(await client.put("/Patient", params=where, json=broken()), "Patient.contact[0]")
    assert (await client.get("/Patient/p1")).status_code == 404


async def test_invariants_refuse_a_patch(client: httpx.AsyncClient) -> None:
    made = (await client.post("/Patient", content=patient())).json()
    steps = json.dumps([{"op": "add", "path": "/contact", "value": CONTACT["contact"]}])
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await client.patch(f"/Patient/{made['id']}", content=steps, headers=headers)
    refused(answer, "Patient.contact[0]")
    assert (await client.get(f"/Patient/{made['id']}")).json() == made


async def test_invariants_refuse_in_bundles(client: httpx.AsyncClient) -> None:
    entry = post(json.dumps(broken()).encode())
    sent = bundle("transaction", post(observation()), entry)
    refused(await client.post("/", content=sent), "Bundle.entry[1].resource.contact[0]")
    assert "entry" not in (await client.get("/Observation")).json()
    answer = await client.post("/", content=bundle("batch", entry, post(observation())))
    statuses = [one["response"]["status"][:3] for one in answer.json()["entry"]]
    assert statuses == ["422", "201"]


async def test_warnings_of_r4_refuse_nothing(client: httpx.AsyncClient) -> None:
    # dom-6: a record should have a narrative; csd-0: a name should be usable in programs.
    system = {"resourceType": "CodeSystem", "status": "draft", "content": "not-present"}
    answer = await client.post("/CodeSystem", json={**system, "name": "a name"})
    assert answer.status_code == 201, answer.text
