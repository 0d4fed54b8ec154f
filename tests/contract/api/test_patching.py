"""PATCH over HTTP, by the sentences of FHIR R4 http.html#patch."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from stores import bundle, observation, patient, post

KIND = {"Content-Type": "application/json-patch+json"}
PATH_KIND = {"Content-Type": "application/fhir+json"}
SYSTEM = "https://hospital.example/numbers"


def steps(*each: dict[str, Any]) -> bytes:
    return json.dumps(each).encode()


def replacing(path: str, value: Any) -> bytes:
    return steps({"op": "replace", "path": path, "value": value})


def operation(kind: str, path: str, name: str = "", **value: Any) -> bytes:
    """A FHIRPath Patch of one operation."""
    parts = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    if name:
        parts.append({"name": "name", "valueString": name})
    if value:
        parts.append({"name": "value", **value})
    told = {"name": "operation", "part": parts}
    return json.dumps({"resourceType": "Parameters", "parameter": [told]}).encode()


def binary(patch: bytes, kind: str = KIND["Content-Type"]) -> dict[str, str]:
    data = base64.b64encode(patch).decode()
    return {"resourceType": "Binary", "contentType": kind, "data": data}


def patching(url: str, patch: bytes, **more: str) -> dict[str, Any]:
    return {"resource": binary(patch), "request": {"method": "PATCH", "url": url, **more}}


async def make(client: httpx.AsyncClient, **more: Any) -> str:
    answer = await client.post("/Observation", content=observation(value="5.4000", **more))
    return f"/Observation/{answer.json()['id']}"


async def test_a_patch_makes_the_next_version_and_leaves_every_other_digit(
    client: httpx.AsyncClient,
) -> None:
    url = await make(client)
    answer = await client.patch(url, content=replacing("/status", "amended"), headers=KIND)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.headers["location"] == f"http://node.test/fhir{url}/_history/2"
    read = await client.get(url)
    assert read.content == answer.content
    assert (read.json()["status"], '"value":5.4000' in read.text) == ("amended", True)
    assert (await client.get(f"{url}/_history/1")).json()["status"] == "final"
    found = await client.get("/Observation", params={"status": "amended"})
    assert len(found.json()["entry"]) == 1


@pytest.mark.parametrize("returns", ["minimal", "OperationOutcome"])
async def test_a_patch_answers_with_what_prefer_asks_for(
    client: httpx.AsyncClient, returns: str
) -> None:
    url = await make(client)
    headers = KIND | {"Prefer": f"return={returns}"}
    answer = await client.patch(url, content=replacing("/status", "amended"), headers=headers)
    assert answer.headers["etag"] == 'W/"2"'
    if returns == "minimal":
        assert answer.content == b""
    else:
        assert answer.json()["resourceType"] == "OperationOutcome"


async def test_a_patch_that_changes_nothing_makes_no_version(client: httpx.AsyncClient) -> None:
    url = await make(client)
    test = steps({"op": "test", "path": "/valueQuantity/value", "value": 5.4})
    answer = await client.patch(url, content=test, headers=KIND)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"1"')


async def test_concurrency_a_patch_is_for_the_version_it_names(client: httpx.AsyncClient) -> None:
    url = await make(client)
    change = replacing("/status", "amended")
    old = await client.patch(url, content=change, headers=KIND | {"If-Match": 'W/"7"'})
    assert old.status_code == 412
    now = await client.patch(url, content=change, headers=KIND | {"If-Match": 'W/"1"'})
    assert now.headers["etag"] == 'W/"2"'


async def test_patches_sent_at_the_same_moment_are_all_made(client: httpx.AsyncClient) -> None:
    url = await make(client, note=[{"text": "0"}])
    number = 12
    sent = (
        steps({"op": "add", "path": "/note/-", "value": {"text": str(one)}})
        for one in range(1, number + 1)
    )
    answers = await asyncio.gather(*(client.patch(url, content=one, headers=KIND) for one in sent))
    assert [answer.status_code for answer in answers] == [200] * number
    left = (await client.get(url)).json()
    assert {note["text"] for note in left["note"]} == {str(one) for one in range(number + 1)}
    assert left["meta"]["versionId"] == str(number + 1)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (steps({"op": "test", "path": "/status", "value": "draft"}), "test at /status"),
        (steps({"op": "remove", "path": "/valueString"}), "remove at /valueString"),
        (replacing("/status", "done"), "status"),
        (replacing("/id", "other"), "id"),
        (replacing("/resourceType", "Patient"), "resourceType"),
    ],
)
async def test_a_patch_that_cannot_be_made_is_422_and_changes_nothing(
    client: httpx.AsyncClient, patch: bytes, words: str
) -> None:
    url = await make(client)
    before = (await client.get(url)).content
    answer = await client.patch(url, content=patch, headers=KIND)
    assert answer.status_code == 422
    assert words in answer.text
    assert (await client.get(url)).content == before


async def test_a_patch_needs_a_record_and_a_kind_it_is_served_in(client: httpx.AsyncClient) -> None:
    change = replacing("/status", "amended")
    assert (await client.patch("/Observation/no", content=change, headers=KIND)).status_code == 404
    url = await make(client)
    xml = {"Content-Type": "application/xml-patch+xml"}
    answer = await client.patch(url, content=b"{}", headers=xml)
    assert (answer.status_code, "XML Patch" in answer.text) == (415, True)
    old = {"Content-Type": "application/fhir+json; fhirVersion=3.0"}
    assert (await client.patch(url, content=b"{}", headers=old)).status_code == 415
    for kind in (KIND, PATH_KIND):
        assert (await client.patch(url, content=b"{}", headers=kind)).status_code == 400
    await client.delete(url)
    assert (await client.patch(url, content=change, headers=KIND)).status_code == 410


async def test_conditional_patch_none_one_and_several(client: httpx.AsyncClient) -> None:
    where = {"identifier": f"{SYSTEM}|7"}
    change = replacing("/active", value=False)

    async def send() -> httpx.Response:
        return await client.patch("/Patient", params=where, content=change, headers=KIND)

    body = patient(identifier=[{"system": SYSTEM, "value": "7"}], active=True)
    assert (await send()).status_code == 404
    made = (await client.post("/Patient", content=body)).json()
    answer = await send()
    assert (answer.status_code, answer.json()["id"]) == (200, made["id"])
    assert answer.json()["active"] is False
    await client.post("/Patient", content=body)
    assert (await send()).status_code == 412


async def test_what_is_not_ones_own_is_patched_by_nobody_and_told_to_nobody(house: Any) -> None:
    ours, theirs = house.client("hospital-a"), house.client("hospital-b")
    url = await make(ours)
    change = replacing("/status", "amended")
    hidden = await theirs.patch(url, content=change, headers=KIND)
    absent = await theirs.patch("/Observation/nothing", content=change, headers=KIND)
    assert (hidden.status_code, hidden.json()) == (404, absent.json())
    place = (await ours.post("/Organization", content=_organization())).json()
    seen = await theirs.patch(
        f"/Organization/{place['id']}", content=replacing("/name", "B"), headers=KIND
    )
    assert seen.status_code == 403
    rows = await house.pool.fetch(
        "select action, actor, outcome from trust.access where action = 'patch' order by at"
    )
    assert [tuple(row) for row in rows] == [
        ("patch", "hospital-b", "forbidden"),
        ("patch", "hospital-b", "not-found"),
        ("patch", "hospital-b", "forbidden"),
    ]


def _organization() -> bytes:
    return json.dumps({"resourceType": "Organization", "name": "A"}).encode()


async def test_a_transaction_patches_after_it_creates_and_with_its_links(
    client: httpx.AsyncClient,
) -> None:
    urn = "urn:uuid:9d1b4a1e-7b0f-4a6e-9f6a-0d5b7a3f2c11"
    url = (await make(client))[1:]
    link = {"op": "add", "path": "/subject", "value": {"reference": urn}}
    sent = bundle("transaction", patching(url, steps(link)), post(patient(), urn))
    answer = await client.post("/", content=sent)
    assert answer.status_code == 200, answer.text
    patched, made = (entry["response"] for entry in answer.json()["entry"])
    assert (patched["status"], patched["etag"]) == ("200 OK", 'W/"2"')
    subject = (await client.get(f"/{url}")).json()["subject"]["reference"]
    assert subject == made["location"].split("/_history")[0]


async def test_a_link_that_a_patch_puts_in_must_mean_something_in_its_transaction(
    client: httpx.AsyncClient,
) -> None:
    urn = "urn:uuid:9d1b4a1e-7b0f-4a6e-9f6a-0d5b7a3f2c11"
    url = (await make(client))[1:]
    link = {"op": "add", "path": "/subject", "value": {"reference": urn}}
    lost = await client.post("/", content=bundle("transaction", patching(url, steps(link))))
    assert (lost.status_code, "fullUrl" in lost.text) == (422, True)
    # A record that has such a link from elsewhere can still be patched.
    assert (await client.patch(f"/{url}", content=steps(link), headers=KIND)).status_code == 200
    change = patching(url, replacing("/status", "amended"))
    kept = await client.post("/", content=bundle("transaction", change))
    assert kept.status_code == 200, kept.text


async def test_a_transaction_with_a_patch_that_cannot_be_made_stores_nothing(
    client: httpx.AsyncClient,
) -> None:
    url = (await make(client))[1:]
    failing = steps({"op": "test", "path": "/status", "value": "draft"})
    sent = bundle("transaction", post(patient()), patching(url, failing))
    answer = await client.post("/", content=sent)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource"]
    assert "operation 0 of the patch (test at /status)" in answer.text
    assert "entry" not in (await client.get("/Patient")).json()


async def test_a_batch_patches_each_for_itself_and_by_criteria(client: httpx.AsyncClient) -> None:
    url = (await make(client))[1:]
    change = replacing("/status", "amended")
    xml = {
        "resource": binary(b"<diff/>", "application/xml-patch+xml"),
        "request": {"method": "PATCH", "url": url},
    }
    wrong = {
        "resource": json.loads(operation("replace", "Observation.nothing", valueCode="final")),
        "request": {"method": "PATCH", "url": url},
    }
    sent = bundle(
        "batch",
        patching("Observation?status=final", change),
        patching(url, change, ifMatch='W/"1"'),
        patching("Observation/no", change),
        xml,
        wrong,
        {"resource": {"resourceType": "Basic"}, "request": {"method": "PATCH", "url": url}},
    )
    answer = await client.post("/", content=sent)
    statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
    assert statuses == ["200", "412", "404", "415", "422", "422"]


async def test_the_statement_lists_patch_and_its_format(client: httpx.AsyncClient) -> None:
    statement = (await client.get("/metadata")).json()
    kinds = ["application/json-patch+json", "application/fhir+json"]
    assert statement["patchFormat"] == kinds
    refused = await client.request("OPTIONS", "/Observation/1")
    assert refused.headers["accept-patch"] == ", ".join(kinds)
    codes = {one["code"] for one in statement["rest"][0]["resource"][0]["interaction"]}
    assert "patch" in codes


# ---- FHIRPath Patch (R4 fhirpatch.html, http.html#patch) -----------------------------------------


async def test_fhirpath_patch_makes_the_next_version_and_leaves_every_other_digit(
    client: httpx.AsyncClient,
) -> None:
    url = await make(client)
    change = operation("replace", "Observation.status", valueCode="amended")
    answer = await client.patch(url, content=change, headers=PATH_KIND)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    read = await client.get(url)
    assert read.content == answer.content
    assert (read.json()["status"], '"value":5.4000' in read.text) == ("amended", True)
    again = await client.patch(url, content=change, headers=PATH_KIND)
    assert again.headers["etag"] == 'W/"2"'
    old = PATH_KIND | {"If-Match": 'W/"1"'}
    assert (await client.patch(url, content=change, headers=old)).status_code == 412


@pytest.mark.parametrize(
    ("patch", "place"),
    [
        (operation("replace", "Observation.note", valueCode="a"), "Parameters.parameter[0]"),
        (operation("replace", "Observation.status", valueString="a"), "Parameters.parameter[0]"),
        (operation("replace", "Observation.status", valueCode="done"), "Observation.status"),
        (operation("delete", "Observation.code"), "Observation.code"),
        (operation("replace", "Observation.id", valueId="other"), None),
        # obs-6: a reason for there being no value, where there is one.
        (
            operation(
                "add",
                "Observation",
                "dataAbsentReason",
                valueCodeableConcept={"text": "a"},
            ),
            "Observation",
        ),
    ],
)
async def test_fhirpath_patch_that_cannot_be_made_is_422_and_changes_nothing(
    client: httpx.AsyncClient, patch: bytes, place: str | None
) -> None:
    url = await make(client)
    before = (await client.get(url)).content
    answer = await client.patch(url, content=patch, headers=PATH_KIND)
    assert answer.status_code == 422, answer.text
    assert answer.json()["issue"][0].get("expression") == (place and [place])
    assert (await client.get(url)).content == before


async def test_fhirpath_patch_that_is_no_operation_is_400(client: httpx.AsyncClient) -> None:
    url = await make(client)
    for patch in (operation("copy", "Observation"), operation("delete", "Observation.(")):
        answer = await client.patch(url, content=patch, headers=PATH_KIND)
        assert answer.status_code == 400, answer.text
        assert answer.json()["issue"][0]["expression"] == ["Parameters.parameter[0]"]


async def test_fhirpath_patch_by_criteria(client: httpx.AsyncClient) -> None:
    where = {"identifier": f"{SYSTEM}|7"}
    change = operation("add", "Patient", "birthDate", valueDate="1930-01-01")

    async def send() -> httpx.Response:
        return await client.patch("/Patient", params=where, content=change, headers=PATH_KIND)

    assert (await send()).status_code == 404
    await client.post("/Patient", content=patient(identifier=[{"system": SYSTEM, "value": "7"}]))
    answer = await send()
    assert (answer.status_code, answer.json()["birthDate"]) == (200, "1930-01-01")
    assert (await send()).status_code == 422


async def test_fhirpath_patch_in_a_transaction_with_its_links(client: httpx.AsyncClient) -> None:
    urn = "urn:uuid:9d1b4a1e-7b0f-4a6e-9f6a-0d5b7a3f2c11"
    url = (await make(client))[1:]
    link = operation("add", "Observation", "subject", valueReference={"reference": urn})
    entry = {"resource": json.loads(link), "request": {"method": "PATCH", "url": url}}
    answer = await client.post("/", content=bundle("transaction", entry, post(patient(), urn)))
    assert answer.status_code == 200, answer.text
    made = answer.json()["entry"][1]["response"]["location"].split("/_history")[0]
    assert (await client.get(f"/{url}")).json()["subject"]["reference"] == made
    failing = operation("replace", "Observation.note", valueCode="a")
    entry = {"resource": json.loads(failing), "request": {"method": "PATCH", "url": url}}
    answer = await client.post("/", content=bundle("transaction", post(patient()), entry))
    assert (answer.status_code, "operation 0 of the patch" in answer.text) == (422, True)
    assert len((await client.get("/Patient")).json()["entry"]) == 1


async def test_fhirpath_patches_sent_at_the_same_moment_are_all_made(
    client: httpx.AsyncClient,
) -> None:
    url = await make(client)
    number = 8
    sent = (
        operation("add", "Observation", "note", part=[{"name": "text", "valueMarkdown": str(one)}])
        for one in range(number)
    )
    answers = await asyncio.gather(
        *(client.patch(url, content=one, headers=PATH_KIND) for one in sent)
    )
    assert [answer.status_code for answer in answers] == [200] * number
    notes = (await client.get(url)).json()["note"]
    assert {note["text"] for note in notes} == {str(one) for one in range(number)}
