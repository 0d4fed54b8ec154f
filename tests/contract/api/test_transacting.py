"""Transactions and batches over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from stores import bundle, observation, patient, post

from quanmin.fhir.grammar import QueryLimits

from .conftest import House

URN = "urn:uuid:9d1b4a1e-7b0f-4a6e-9f6a-0d5b7a3f2c11"


async def test_a_transaction_links_its_records_and_answers_in_order(
    client: httpx.AsyncClient,
) -> None:
    sent = bundle("transaction", post(observation(URN)), post(patient(), URN))
    answer = await client.post("/", content=sent)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["type"] == "transaction-response"
    first, second = (entry["response"] for entry in made["entry"])
    assert first["location"].startswith("Observation/")
    assert second["location"].startswith("Patient/")
    assert (first["status"], first["etag"]) == ("201 Created", 'W/"1"')
    assert "lastModified" in first
    assert all("resource" not in entry for entry in made["entry"])
    result = await client.get(f"/{first['location'].split('/_history')[0]}")
    assert result.json()["subject"]["reference"] == second["location"].split("/_history")[0]


async def test_a_transaction_with_one_fault_stores_nothing(client: httpx.AsyncClient) -> None:
    bad = json.loads(observation())
    bad["status"] = "done"
    sent = bundle("transaction", post(patient(), URN), post(json.dumps(bad).encode()))
    answer = await client.post("/", content=sent)
    assert answer.status_code == 422
    assert "Bundle.entry[1]" in answer.text
    assert "entry" not in (await client.get("/Patient")).json()


async def test_two_records_under_one_full_url_are_refused(client: httpx.AsyncClient) -> None:
    sent = bundle(
        "transaction",
        post(patient(name="王春"), URN),
        post(patient(name="王夏"), URN),
        post(observation(URN)),
    )
    answer = await client.post("/", content=sent)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].fullUrl"]
    assert "entry" not in (await client.get("/Patient")).json()


NUMBERS = "https://hospital.example/numbers"
CALLED_7 = f"Patient?identifier={NUMBERS}|7"


def numbered(number: str, **more: Any) -> bytes:
    return patient(identifier=[{"system": NUMBERS, "value": number}], **more)


@pytest.mark.parametrize("place", [0, 1])
async def test_a_conditional_reference_finds_what_its_transaction_makes(
    client: httpx.AsyncClient, place: int
) -> None:
    entries = [post(observation(CALLED_7)), post(numbered("8"))]
    entries.insert(place, post(numbered("7")))
    answer = await client.post("/", content=bundle("transaction", *entries))
    assert answer.status_code == 200, answer.text
    locations = [entry["response"]["location"] for entry in answer.json()["entry"]]
    made = locations[place].split("/_history")[0]
    result = await client.get(f"/{locations[1 - place].split('/_history')[0]}")
    assert result.json()["subject"]["reference"] == made
    found = await client.get(f"/{made}/Observation")
    assert len(found.json()["entry"]) == 1


async def test_a_conditional_reference_sees_the_records_as_the_transaction_leaves_them(
    client: httpx.AsyncClient,
) -> None:
    for id_ in ("old", "new"):
        body = numbered("7" if id_ == "old" else "6", id=id_)
        await client.put(f"/Patient/{id_}", content=body)
    changes = [{"request": {"method": "DELETE", "url": "Patient/old"}}]
    body = json.loads(numbered("7", id="new"))
    changes.append({"resource": body, "request": {"method": "PUT", "url": "Patient/new"}})
    sent = bundle("transaction", post(observation(CALLED_7)), *changes)
    answer = await client.post("/", content=sent)
    assert answer.status_code == 200, answer.text
    assert len((await client.get("/Patient/new/Observation")).json()["entry"]) == 1


@pytest.mark.parametrize("numbers", [(), ("7", "7")])
async def test_a_conditional_reference_means_one_record_or_nothing_is_stored(
    client: httpx.AsyncClient, numbers: tuple[str, ...]
) -> None:
    sent = [post(observation(CALLED_7)), *(post(numbered(number)) for number in numbers)]
    answer = await client.post("/", content=bundle("transaction", *sent))
    assert answer.status_code == 412
    assert "entry" not in (await client.get("/Patient")).json()


async def test_a_conditional_reference_names_a_parameter(client: httpx.AsyncClient) -> None:
    await client.post("/Patient", content=patient())
    sent = bundle("transaction", post(observation("Patient?_count=5")))
    answer = await client.post("/", content=sent)
    assert answer.status_code == 422
    assert "search parameter" in answer.text


async def test_relative_references_belong_to_the_server_their_entry_comes_from(
    client: httpx.AsyncClient,
) -> None:
    here = patient(name="王春", id="123")
    await client.put("/Patient/123", content=here)
    there = "https://hospital.example/fhir"
    sent = bundle(
        "transaction",
        post(observation("Patient/123"), f"{there}/Observation/1"),
        post(observation("Patient/123", note=[{"text": 'a "b"'}]), f"{there}/Observation/2"),
        post(patient(name="王夏", id="123"), f"{there}/Patient/123"),
        post(observation("Patient/123"), URN),
        post(observation("Patient/123"), "https://other.example/fhir/Observation/1"),
    )
    answer = await client.post("/", content=sent, headers={"Prefer": "return=representation"})
    assert answer.status_code == 200, answer.text
    *theirs, summer, other, another = (entry["resource"] for entry in answer.json()["entry"])
    assert {one["subject"]["reference"] for one in theirs} == {f"Patient/{summer['id']}"}
    assert {one["subject"]["reference"] for one in (other, another)} == {"Patient/123"}
    found = await client.get(f"/Patient/{summer['id']}/Observation")
    ids = {entry["resource"]["id"] for entry in found.json()["entry"]}
    assert ids == {one["id"] for one in theirs}


async def test_a_batch_answers_each_entry_for_itself(client: httpx.AsyncClient) -> None:
    id_ = (await client.post("/Patient", content=patient())).json()["id"]
    await client.post("/Observation", content=observation(f"Patient/{id_}", value="1.10"))
    await client.post("/Observation", content=observation(f"Patient/{id_}", value="2.20"))
    urls = [
        f"Patient/{id_}",
        "Patient/nobody",
        f"Observation?patient={id_}&_count=1",
        f"Patient/{id_}/_history",
    ]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    entries += [
        post(observation()),
        {"request": {"method": "DELETE", "url": f"Patient/{id_}"}},
        {"request": {"method": "PATCH", "url": f"Patient/{id_}"}},
    ]
    answer = await client.post("/", content=bundle("batch", *entries))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made["type"] == "batch-response"
    read, missing, found, history, created, deleted, patched = made["entry"]
    assert read["resource"]["id"] == id_
    assert read["response"]["etag"] == 'W/"1"'
    assert "location" not in read["response"]
    assert missing["response"]["status"] == "404 Not Found"
    assert missing["response"]["outcome"]["issue"][0]["code"] == "not-found"
    assert found["resource"]["type"] == "searchset"
    following = {link["relation"]: link["url"] for link in found["resource"]["link"]}["next"]
    assert len((await client.get(following)).json()["entry"]) == 1
    assert history["resource"]["type"] == "history"
    assert created["response"]["status"] == "201 Created"
    assert deleted["response"]["status"] == "204 No Content"
    assert patched["response"]["status"].startswith("4")


async def test_prefer_brings_the_records_of_a_transaction_back(client: httpx.AsyncClient) -> None:
    headers = {"Prefer": "return=representation"}
    sent = bundle("transaction", post(observation(value="1.500")))
    answer = await client.post("/", content=sent, headers=headers)
    assert answer.json()["entry"][0]["resource"]["valueQuantity"]["value"] == 1.5
    told = await client.post("/", content=sent, headers={"Prefer": "return=OperationOutcome"})
    assert told.json()["entry"][0]["response"]["outcome"]["issue"][0]["severity"] == "information"


async def test_a_bundle_of_another_kind_is_refused(client: httpx.AsyncClient) -> None:
    for body in (patient(), bundle("collection"), b'{"resourceType":"Bundle"}', b"[]", b"3", b""):
        answer = await client.post("/", content=body)
        assert answer.status_code == 400, body
        assert answer.json()["resourceType"] == "OperationOutcome"


async def test_an_empty_transaction_is_answered_empty(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", content=bundle("transaction"))
    assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}


async def test_a_reference_to_an_entry_that_is_not_there_is_refused_with_its_place(
    client: httpx.AsyncClient,
) -> None:
    lost = "urn:oid:1.2.36.146.595.217.0.1"
    about = json.loads(observation(URN)) | {
        "performer": [{"reference": URN}, {"reference": lost}],
        "note": [{"text": f'"reference":"{lost}"'}],
    }
    sent = bundle(
        "transaction",
        post(patient(), URN),
        post(json.dumps(about).encode()),
        post(observation("urn:uuid:00000000-0000-4000-8000-000000000000")),
    )
    answer = await client.post("/", content=sent)
    assert answer.status_code == 422, answer.text
    issues = answer.json()["issue"]
    assert [issue["expression"] for issue in issues] == [
        ["Bundle.entry[1].resource.performer[1].reference"],
        ["Bundle.entry[2].resource.subject.reference"],
    ]
    assert all("fullUrl" in issue["diagnostics"] for issue in issues)
    assert lost not in answer.text
    assert "entry" not in (await client.get("/Patient")).json()


async def test_a_document_keeps_the_references_among_its_own_entries(
    client: httpx.AsyncClient,
) -> None:
    inner: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    inner["entry"] = [
        {"fullUrl": URN, "resource": json.loads(patient())},
        {"fullUrl": "urn:uuid:2", "resource": json.loads(observation(URN))},
    ]
    sent = bundle("transaction", post(json.dumps(inner).encode()))
    answer = await client.post("/", content=sent)
    assert answer.status_code == 200, answer.text
    place = answer.json()["entry"][0]["response"]["location"].split("/_history")[0]
    kept = (await client.get(f"/{place}")).json()
    assert kept["entry"][1]["resource"]["subject"]["reference"] == URN


def get(url: str, **request: str) -> dict[str, Any]:
    return {"request": {"method": "GET", "url": url, **request}}


async def _asked(client: httpx.AsyncClient, *entries: dict[str, Any], **headers: str) -> list[Any]:
    answer = await client.post("/", content=bundle("batch", *entries), headers=headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["entry"])


async def test_a_bundle_searches_compartments(client: httpx.AsyncClient) -> None:
    sent = bundle("transaction", post(patient(), URN), post(observation(URN)), post(observation()))
    made = (await client.post("/", content=sent)).json()
    id_ = made["entry"][0]["response"]["location"].split("/")[1]
    entries = await _asked(
        client,
        get(f"Patient/{id_}/Observation?status=final"),
        get(f"Patient/{id_}/*"),
        get(f"Patient/{id_}/Nonsense"),
        get(f"Organization/{id_}/Observation"),
    )
    types = [
        sorted(hit["resource"]["resourceType"] for hit in one["resource"]["entry"])
        for one in entries[:2]
    ]
    assert types == [["Observation"], ["Observation", "Patient"]]
    assert [one["response"]["status"][:3] for one in entries] == ["200", "200", "404", "400"]


async def test_a_bundle_gives_the_parts_of_records_that_it_asks_for(
    client: httpx.AsyncClient,
) -> None:
    made = (await client.post("/Observation", content=observation())).json()
    place = f"Observation/{made['id']}"
    entries = await _asked(
        client,
        get(f"{place}?_elements=code"),
        get(f"{place}/_history/1?_elements=code"),
        get(f"{place}/_history?_elements=code"),
        get(f"{place}?_summary=nonsense"),
    )
    assert "valueQuantity" not in entries[0]["resource"]
    assert "valueQuantity" not in entries[1]["resource"]
    assert entries[1]["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "valueQuantity" not in entries[2]["resource"]["entry"][0]["resource"]
    assert entries[3]["response"]["status"] == "400 Bad Request"


async def test_a_bundle_is_not_sent_what_it_has_already(client: httpx.AsyncClient) -> None:
    made = (await client.post("/Observation", content=observation())).json()
    place = f"Observation/{made['id']}"
    first, second = await _asked(
        client, get(place, ifNoneMatch='W/"1"'), get(place, ifNoneMatch='W/"2"')
    )
    assert first["response"]["status"] == "304 Not Modified"
    assert first["response"]["etag"] == 'W/"1"'
    assert "resource" not in first
    assert second["response"]["status"] == "200 OK"
    [dated] = await _asked(client, get(place, ifModifiedSince="2099-01-01T00:00:00Z"))
    assert dated["response"]["status"] == "304 Not Modified"


async def test_a_bundle_is_told_what_was_ignored_unless_it_is_strict(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/Observation", content=observation())
    [lenient] = await _asked(client, get("Observation?colour=red"))
    modes = [hit["search"]["mode"] for hit in lenient["resource"]["entry"]]
    assert modes == ["match", "outcome"]
    [issue] = lenient["resource"]["entry"][1]["resource"]["issue"]
    assert "colour" in issue["diagnostics"]
    [strict] = await _asked(client, get("Observation?colour=red"), Prefer="handling=strict")
    assert strict["response"]["status"] == "400 Bad Request"
    criteria = {"request": {"method": "DELETE", "url": "Observation?colour=red&status=final"}}
    [deletion] = await _asked(client, criteria)
    assert deletion["response"]["status"] == "400 Bad Request"


async def test_searches_in_a_bundle_have_the_limits_of_the_node(house: House) -> None:
    context = house.guard.store.context
    context.query_limits = QueryLimits(values_max=2, count_max=1)
    client = house.client()
    for _ in range(2):
        await client.post("/Observation", content=observation())
    few, many = await _asked(
        client, get("Observation?status=final,amended"), get("Observation?status=a,b,c")
    )
    assert len([hit for hit in few["resource"]["entry"] if hit["search"]["mode"] == "match"]) == 2
    [one] = await _asked(client, get("Observation?_count=5"))
    assert len(one["resource"]["entry"]) == 1
    assert many["response"]["status"] == "400 Bad Request"
    reply = await client.get("/Observation?status=a,b,c")
    assert reply.status_code == 400
    criteria = {"method": "PUT", "url": "Patient?identifier=a,b,c"}
    [written] = await _asked(client, {"request": criteria, "resource": json.loads(patient())})
    assert written["response"]["status"] == "400 Bad Request"
    linked = json.loads(observation())
    linked["subject"] = {"reference": "Patient?identifier=a,b,c"}
    answer = await client.post(
        "/", content=bundle("transaction", post(json.dumps(linked).encode()))
    )
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("name", ["_since", "_at", "_lastUpdated"])
async def test_a_plus_that_was_not_escaped_is_mended_in_bundles_too(
    client: httpx.AsyncClient, name: str
) -> None:
    place = "Observation" if name == "_lastUpdated" else "Observation/_history"
    value = "ge2026-01-01T08:00:00" if name == "_lastUpdated" else "2026-01-01T08:00:00"
    [entry] = await _asked(client, get(f"{place}?{name}={value}+08:00"))
    assert entry["response"]["status"] == "200 OK"


async def test_a_search_by_form_in_a_bundle_is_refused_by_name(client: httpx.AsyncClient) -> None:
    form = {"request": {"method": "POST", "url": "Observation/_search"}}
    entries = await _asked(client, form, get("Observation/_search?status=final"))
    for entry in entries:
        assert entry["response"]["status"] == "400 Bad Request"
        assert "_search" in entry["response"]["outcome"]["issue"][0]["diagnostics"]


@pytest.mark.parametrize("address", ["Observation/_history", "_history"])
async def test_a_history_ignores_no_parameter(client: httpx.AsyncClient, address: str) -> None:
    """Nothing in a history may say that something was ignored (R4 bdl-3, bdl-4)."""
    answer = await client.get(f"/{address}?_sence=2026-01-01")
    assert answer.status_code == 400
    assert "_sence" in answer.text
    entries = await _asked(client, get(f"{address}?_sence=2026-01-01"), get(f"{address}?_count=5"))
    assert [one["response"]["status"][:3] for one in entries] == ["400", "200"]
    assert (await client.get(f"/{address}?_count=5&_pretty=true")).status_code == 200
