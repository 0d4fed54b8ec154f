"""`$validate` by FHIR R4 resource-operation-validate.html."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import httpx
import pytest
from profiling import element, observation, patient, storable

URL = "https://example.org/StructureDefinition/named"
TOLD = {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}}
RIGHT = patient(name=[{"text": "a"}], **TOLD)
WRONG = patient(gender="none", birthDate="soon", **TOLD)


def issues(answer: httpx.Response) -> list[tuple[str, str, str]]:
    """(severity, code, place) of each issue."""
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(issue["diagnostics"] for issue in outcome["issue"])
    return [
        (issue["severity"], issue["code"], (issue.get("expression") or [""])[0])
        for issue in outcome["issue"]
    ]


def errors(answer: httpx.Response) -> list[str]:
    return [place for severity, _, place in issues(answer) if severity == "error"]


ALL_OK = [("information", "informational", "")]


def parameters(resource: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [
        {"name": name, "valueCode" if name == "mode" else "valueUri": value}
        for name, value in more.items()
    ]
    if resource is not None:
        listed.append({"name": "resource", "resource": resource})
    return {"resourceType": "Parameters", "parameter": listed}


async def store(client: httpx.AsyncClient, resource: dict[str, Any]) -> str:
    answer = await client.post(f"/{resource['resourceType']}", json=resource)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def total(client: httpx.AsyncClient, type_: str = "Patient") -> int:
    return int((await client.get(f"/{type_}?_summary=count")).json()["total"])


@pytest.mark.parametrize("wrap", [False, True])
async def test_operation_validate_takes_the_resource_itself_or_parameters(
    client: httpx.AsyncClient, *, wrap: bool
) -> None:
    def body(resource: dict[str, Any]) -> dict[str, Any]:
        return parameters(resource) if wrap else resource

    assert issues(await client.post("/Patient/$validate", json=body(RIGHT))) == ALL_OK
    found = issues(await client.post("/Patient/$validate", json=body(WRONG)))
    assert found == [
        ("error", "code-invalid", "Patient.gender"),
        ("error", "value", "Patient.birthDate"),
    ]
    assert await total(client) == 0


async def test_operation_validate_tells_warnings_and_rules_too(client: httpx.AsyncClient) -> None:
    bare = patient(contact=[{"gender": "male"}])
    found = issues(await client.post("/Patient/$validate", json=bare))
    assert found == [
        ("error", "invariant", "Patient.contact[0]"),
        ("warning", "invariant", "Patient"),
    ]


async def test_operation_validate_at_a_record_judges_what_is_stored(
    client: httpx.AsyncClient,
) -> None:
    await store(client, storable(element("Patient.name", min=1), url=URL))
    id_ = await store(client, patient(active=True, **TOLD))
    for ask in (client.get, client.post):
        assert issues(await ask(f"/Patient/{id_}/$validate")) == ALL_OK
        assert errors(await ask(f"/Patient/{id_}/$validate?profile={URL}")) == ["Patient.name"]
    asked = parameters(profile=URL, mode="profile")
    assert errors(await client.post(f"/Patient/{id_}/$validate", json=asked)) == ["Patient.name"]
    assert (await client.get("/Patient/nobody/$validate")).status_code == 404
    await client.delete(f"/Patient/{id_}")
    assert (await client.get(f"/Patient/{id_}/$validate")).status_code == 410


async def test_operation_validate_checks_what_the_resource_claims_and_what_is_asked(
    client: httpx.AsyncClient,
) -> None:
    await store(client, storable(element("Patient.name", min=1), url=URL))
    await store(client, storable(element("Patient.photo", min=1), url="urn:photo"))
    claiming = patient(active=True, meta={"profile": [URL]}, **TOLD)
    assert errors(await client.post("/Patient/$validate", json=claiming)) == ["Patient.name"]
    answer = await client.post("/Patient/$validate?profile=urn:photo", json=claiming)
    assert errors(answer) == ["Patient.photo", "Patient.name"]
    answer = await client.post("/Patient/$validate", json=parameters(RIGHT, profile="urn:photo"))
    assert errors(answer) == ["Patient.photo"]


async def test_operation_validate_says_that_a_profile_is_not_known(
    client: httpx.AsyncClient,
) -> None:
    asked = await client.post("/Patient/$validate?profile=urn:none", json=RIGHT)
    assert issues(asked) == [("error", "not-found", "Patient")]
    claimed = {**RIGHT, "meta": {"profile": ["urn:none"]}}
    found = issues(await client.post("/Patient/$validate", json=claimed))
    assert found == [("warning", "not-found", "Patient")]


async def test_operation_validate_tells_why_a_definition_cannot_be_used(
    client: httpx.AsyncClient,
) -> None:
    wrong = {**storable(element("Patient.nose", min=1), url=URL), **TOLD}
    assert errors(await client.post("/StructureDefinition/$validate", json=wrong)) == [
        "StructureDefinition.snapshot.element[1].path"
    ]
    waiting = storable(element("Patient.name"), part="differential", baseDefinition="urn:base")
    assert errors(await client.post("/StructureDefinition/$validate", json=waiting)) == [
        "StructureDefinition.baseDefinition"
    ]
    await store(client, storable(element("Patient.gender"), url="urn:base"))
    assert errors(await client.post("/StructureDefinition/$validate", json=waiting)) == []


async def test_operation_validate_judges_large_bodies(client: httpx.AsyncClient) -> None:
    large = patient(name=[{"text": "a" * 900}] * 100 + [{"text": 7}], **TOLD)
    assert errors(await client.post("/Patient/$validate", json=large)) == ["Patient.name[100].text"]


@pytest.mark.parametrize("depth", [150, 400, 5000])
async def test_operation_validate_of_what_is_nested_too_deeply_is_no_fault_of_the_node(
    client: httpx.AsyncClient, depth: int
) -> None:
    await store(client, storable(element("Patient.extension", max="1"), url=URL))
    inner = '{"url":"urn:a","extension":[' * depth + '{"url":"urn:b"}' + "]}" * depth
    raw = f'{{"resourceType":"Patient","meta":{{"profile":["{URL}"]}},"extension":[{inner}]}}'
    answer = await client.post("/Patient/$validate", content=raw)
    assert answer.status_code in {200, 400}
    assert answer.json()["issue"][0]["severity"] == "error"


async def test_operation_validate_mode_create_is_a_write_that_is_not_done(
    client: httpx.AsyncClient,
) -> None:
    url = "/Patient/$validate?mode=create"
    assert issues(await client.post(url, json=RIGHT)) == ALL_OK
    assert errors(await client.post(url, json=WRONG)) == ["Patient.gender", "Patient.birthDate"]
    assert await total(client) == 0
    assert (await client.get("/Patient/_history")).json().get("total") in {None, 0}


async def test_operation_validate_mode_update_asks_for_the_id_and_the_version(
    client: httpx.AsyncClient,
) -> None:
    id_ = await store(client, RIGHT)
    url = f"/Patient/{id_}/$validate?mode=update"
    mine = {**RIGHT, "id": id_, "active": False}
    assert issues(await client.post(url, json=mine)) == ALL_OK
    assert errors(await client.post(url, json=RIGHT)) == ["Patient.id"]
    assert errors(await client.post(url, json={**RIGHT, "id": "other"})) == ["Patient.id"]
    late = await client.post(url, json=mine, headers={"If-Match": 'W/"7"'})
    assert issues(late)[0][:2] == ("error", "conflict")
    assert "active" not in (await client.get(f"/Patient/{id_}")).json()


async def test_operation_validate_mode_delete_says_whether_it_may_go(house: Any) -> None:
    mine, other = house.client("hospital-a"), house.client("hospital-b")
    id_ = await store(mine, RIGHT)
    url = f"/Patient/{id_}/$validate?mode=delete"
    assert issues(await mine.post(url)) == ALL_OK
    assert issues(await mine.get(url)) == ALL_OK
    assert issues(await mine.post(f"/Patient/{id_}/$validate", json=parameters(mode="delete"))) == (
        ALL_OK
    )
    assert issues(await other.post(url)) == [("error", "not-found", "")]
    assert issues(await mine.post("/Patient/none/$validate?mode=delete")) == [
        ("error", "not-found", "")
    ]
    assert (await mine.get(f"/Patient/{id_}")).status_code == 200


async def test_operation_validate_tells_nobody_that_an_id_is_another_senders(house: Any) -> None:
    """The write tells, and costs a record of one's own; asking for nothing would be guessing."""
    mine, other = house.client("hospital-a"), house.client("hospital-b")
    await mine.put("/Patient/chosen", json={**RIGHT, "id": "chosen"})
    taken, free = [
        await other.post(f"/Patient/{id_}/$validate?mode=update", json={**RIGHT, "id": id_})
        for id_ in ("chosen", "nobodys")
    ]
    assert issues(taken) == issues(free) == [("information", "informational", "")]
    rid = house.guard.store.context.rid_of("Patient", "chosen")
    noted = await house.pool.fetch(
        "select records from trust.access where actor = 'hospital-b' and outcome = 'forbidden'"
    )
    assert [row["records"] for row in noted] == [[rid]]


async def test_operation_validate_looks_at_what_the_actor_may_see(house: Any) -> None:
    mine, other = house.client("hospital-a"), house.client("hospital-b")
    kind = {"code": "Reference", "targetProfile": [URL]}
    await store(mine, storable(element("Patient.name", min=1), url=URL))
    await store(mine, storable(element("Observation.subject", type=[kind]), url="urn:of"))
    id_ = await store(mine, patient(active=True))
    held = observation(subject={"reference": f"Patient/{id_}"})
    assert errors(await mine.post("/Observation/$validate?profile=urn:of", json=held)) == [
        "Observation.subject"
    ]
    assert errors(await other.post("/Observation/$validate?profile=urn:of", json=held)) == []
    assert (await other.get(f"/Patient/{id_}/$validate")).status_code == 404


async def test_operation_validate_stands_in_the_access_log(
    house: Any, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    client = house.client("hospital-a")
    id_ = await store(client, RIGHT)
    for method, url, body in (
        ("GET", f"/Patient/{id_}/$validate", None),
        ("POST", "/Patient/$validate", RIGHT),
        ("POST", f"/Patient/{id_}/$validate?mode=delete", None),
        ("GET", "/Patient/none/$validate", None),
    ):
        await client.request(method, url, json=body)
    rows = await pool.fetch(
        "select type, outcome, hits from trust.access where action = 'validate' order by at"
    )
    assert [(row["outcome"], row["hits"]) for row in rows] == [
        ("ok", 1),
        ("ok", 0),
        ("ok", 1),
        ("not-found", 0),
    ]


async def test_a_rehearsal_leaves_nothing_behind(
    client: httpx.AsyncClient, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    async def rows() -> dict[str, int]:
        tables = await pool.fetch(
            "select schemaname || '.' || relname as name from pg_stat_user_tables"
            " where schemaname in ('records', 'people', 'profiles')"
        )
        statement = "select '{0}' as name, count(*) as number from {0}"
        every = " union all ".join(statement.format(row["name"]) for row in tables)
        return {row["name"]: row["number"] for row in await pool.fetch(every)}

    await store(client, patient(name=[{"text": "the sender is known by now"}]))
    before = await rows()
    profile = storable(element("Patient.name", min=1), url=URL)
    for body in (RIGHT, profile):
        url = f"/{body['resourceType']}"
        assert (await client.post(f"{url}/$validate?mode=create", json=body)).is_success
        named = {**body, "id": "x"}
        assert (await client.post(f"{url}/x/$validate?mode=update", json=named)).is_success
    assert len(before) > 10
    assert await rows() == before


@pytest.mark.parametrize(
    ("url", "body", "status"),
    [
        ("/Patient/$validate", b"no json", 400),
        ("/Patient/$validate", b"[1]", 400),
        ("/Patient/$validate", b"", 400),
        ("/Patient/$validate?mode=guess", json.dumps(RIGHT).encode(), 400),
        ("/Patient/$validate?mode=create&mode=update", json.dumps(RIGHT).encode(), 400),
        ("/Patient/$validate?other=1", json.dumps(RIGHT).encode(), 400),
        ("/Patient/$validate?mode=profile", json.dumps(RIGHT).encode(), 400),
        ("/Patient/$validate?mode=delete", b"", 400),
        ("/Patient/$validate?mode=create", b"", 400),
        ("/Patient/$validate", b'{"resourceType":"Parameters","parameter":7}', 400),
        ("/Patient/$validate", json.dumps(parameters(RIGHT, guess="1")).encode(), 400),
        ("/Nothing/$validate", json.dumps(RIGHT).encode(), 404),
    ],
)
async def test_what_is_no_question_is_refused(
    client: httpx.AsyncClient, url: str, body: bytes, status: int
) -> None:
    answer = await client.post(url, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Observation"}',
        b'{"resourceType":"Nothing"}',
        b"{}",
        b'{"resourceType":"Patient","name":7,"meta":{"profile":7},"contained":[7]}',
        b'{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"a":1}}]}',
    ],
)
async def test_json_that_is_no_such_resource_is_told_as_an_issue(
    client: httpx.AsyncClient, body: bytes
) -> None:
    found = issues(await client.post("/Patient/$validate", content=body))
    assert "error" in {severity for severity, _, _ in found}


async def test_parameters_can_be_judged_themselves(client: httpx.AsyncClient) -> None:
    right = {"resourceType": "Parameters", "parameter": [{"name": "a", "valueBoolean": True}]}
    assert issues(await client.post("/Parameters/$validate", json=right)) == ALL_OK
    wrong = {"resourceType": "Parameters", "parameter": [{"valueBoolean": True}]}
    assert errors(await client.post("/Parameters/$validate", json=wrong)) == [
        "Parameters.parameter[0].name"
    ]
    asked = parameters(wrong)
    assert errors(await client.post("/Parameters/$validate", json=asked)) == [
        "Parameters.parameter[0].name"
    ]


async def test_the_statement_names_the_operation(client: httpx.AsyncClient) -> None:
    statement = (await client.get("/metadata")).json()
    for resource in statement["rest"][0]["resource"]:
        named = {each["name"]: each["definition"] for each in resource["operation"]}
        assert named["validate"] == "http://hl7.org/fhir/OperationDefinition/Resource-validate"
