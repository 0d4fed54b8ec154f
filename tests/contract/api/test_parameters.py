"""Parameters of operations: what is wrong with them is told in one way, by every operation.

R4 operations.html#request. Malformed, unknown and senseless parameters are 400 wherever they stand
(http.html#Status-Codes: what could not be understood); 422 is for records that break a rule.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import import_process
import outlet
import pytest
from vocabulary import DISEASES, concept, diseases, system, value_set

from quanmin.api.interactions import INTERACTIONS, Interaction
from quanmin.trust.imports import ImportLimits

from .conftest import House

Json = dict[str, Any]
OPERATIONS = [each for each in INTERACTIONS if each.code == "operation"]
WAITING = {"Prefer": "respond-async"}
# Bodies of records whose types need more than a status.
RECORDS: dict[str, Json] = {
    "Group": {"type": "person", "actual": True},
    "Encounter": {"status": "planned", "class": {"code": "AMB"}},
    "SearchParameter": {
        "url": "http://node.test/SearchParameter/x",
        "name": "X",
        "status": "draft",
        "description": "x",
        "code": "x-x",
        "base": ["Patient"],
        "type": "string",
    },
    "CodeSystem": system("http://node.test/CodeSystem/x", concept("a", "A")),
    "ValueSet": value_set("x", {"system": DISEASES}),
    "ConceptMap": {"url": "http://node.test/ConceptMap/x", "status": "active"},
    "Provenance": {
        "target": [{"reference": "Patient/x"}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    },
}


def address(operation: Interaction) -> str:
    """Where an operation stands: at its first type, of the record `x`."""
    type_ = operation.types[0] if operation.types else "Patient"
    return "/" + operation.shape.replace("[type]", type_).replace("[id]", "x")


def named(operation: Interaction) -> str:
    return f"{operation.method} {address(operation)}"


@pytest.fixture
async def client(house: House, tmp_path: Path) -> httpx.AsyncClient:
    """A door that serves every operation, and the records that the operations are about."""
    arrivals = import_process.open_arrivals(tmp_path, ImportLimits())
    client = house.client(exports=outlet.exports_in(tmp_path), arrivals=arrivals)
    for type_ in {address(each).split("/")[1] for each in OPERATIONS if "[id]" in each.shape}:
        body = {"resourceType": type_, "id": "x", **RECORDS.get(type_, {})}
        answer = await client.put(f"/{type_}/x", json=body)
        assert answer.status_code == 201, answer.text
    client.headers.update(WAITING)
    return client


async def refused(client: httpx.AsyncClient, operation: Interaction, body: bytes = b"") -> Json:
    """The first issue of a refusal with 400."""
    if operation.method == "GET":
        answer = await client.get(f"{address(operation)}?no-such-parameter=1")
    else:
        answer = await client.post(address(operation), content=body)
    assert answer.status_code == 400, f"{named(operation)}: {answer.status_code} {answer.text}"
    issue: Json = answer.json()["issue"][0]
    assert issue["diagnostics"]
    return issue


def sent(*parameters: Any) -> bytes:
    return json.dumps({"resourceType": "Parameters", "parameter": list(parameters)}).encode()


async def test_every_operation_refuses_a_parameter_that_it_does_not_take(
    client: httpx.AsyncClient,
) -> None:
    body = sent({"name": "no-such-parameter", "valueString": "1"})
    for operation in OPERATIONS:
        issue = await refused(client, operation, body)
        assert (issue["code"], "no-such-parameter" in issue["diagnostics"]) == (
            "not-supported",
            True,
        ), named(operation)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", ""),
        (b"[1]", ""),
        (b'"a"', ""),
        (b'{"resourceType":"Parameters","parameter":7}', "Parameters.parameter"),
        (b'{"resourceType":"Parameters","parameter":[7]}', "Parameters.parameter[0]"),
        (sent({"valueString": "1"}), "Parameters.parameter[0].name"),
        (
            sent({"name": "x", "valueBoolean": "no"}),
            "Parameters.parameter[0].value.ofType(boolean)",
        ),
        (sent({"name": "x", "valueDate": "today"}), "Parameters.parameter[0].value.ofType(date)"),
        (sent({"name": "x", "valueColour": "red"}), "Parameters.parameter[0]"),
        (sent({"name": "x"}), "Parameters.parameter[0]"),
        (
            sent({"name": "x", "valueString": "1", "part": [{"name": "y"}]}),
            "Parameters.parameter[0]",
        ),
        (
            sent({"name": "x", "resource": {"resourceType": "Patient", "gender": "blue"}}),
            "Parameters.parameter[0].resource.gender",
        ),
        (b'{"resourceType":"Parameters","parameter":[{"name":"x","name":"y"}]}', ""),
    ],
)
async def test_every_operation_refuses_what_is_no_parameters_resource(
    client: httpx.AsyncClient, body: bytes, where: str
) -> None:
    for operation in OPERATIONS:
        if operation.method == "POST":
            issue = await refused(client, operation, body)
            if where:
                assert issue["expression"] == [where], named(operation)


async def test_every_operation_refuses_another_resource_in_the_place_of_parameters(
    client: httpx.AsyncClient,
) -> None:
    """But for $validate, which takes the resource itself as well (resource-operation-validate)."""
    for operation in OPERATIONS:
        if operation.method == "POST" and not operation.shape.endswith("$validate"):
            issue = await refused(client, operation, b'{"resourceType":"Patient"}')
            assert issue["severity"] == "error", named(operation)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/Patient/x/$everything", [{"name": "_count", "valueString": "many"}]),
        ("/Patient/x/$everything", [{"name": "start", "valueDate": "2026-01-01"}] * 2),
        ("/Patient/x/$everything", [{"name": "start", "valuePeriod": {"start": "2026"}}]),
        ("/$counts", [{"name": "by", "valueCode": "colour"}]),
        ("/Observation/$lastn?patient=x", [{"name": "max", "valueInteger": 0}]),
        ("/ValueSet/$expand", [{"name": "count", "valueInteger": -1}]),
        ("/ValueSet/$expand", [{"name": "count", "valueBoolean": True}]),
        ("/ValueSet/$expand", [{"name": "url", "valueBoolean": True}]),
        ("/ValueSet/$expand", [{"name": "designation", "valueCoding": {"code": "a"}}]),
        ("/ValueSet/$expand", [{"name": "activeOnly", "valueString": "perhaps"}]),
        ("/ValueSet/$expand", [{"name": "filter", "valueString": "a"}] * 2),
        ("/ValueSet/$expand", [{"name": "valueSet", "valueString": "a"}]),
        (
            "/ConceptMap/$translate?system=urn:a&code=b",
            [{"name": "dependency", "valueString": "a"}],
        ),
        ("/$import", [{"name": "input", "valueUri": "a"}]),
        ("/$export", [{"name": "_since", "valueString": "then"}]),
        ("/Patient/$validate", [{"name": "mode", "valueCode": "guess"}]),
        ("/Patient/$validate", [{"name": "resource", "valueString": "a"}]),
        ("/Patient/$validate", [{"name": "resource", "resource": {"resourceType": "Patient"}}] * 2),
        ("/Patient/x/$meta-add", [{"name": "meta", "valueString": "a"}]),
        ("/Patient/x/$meta-add", [{"name": "meta", "valueMeta": {"tag": [{"code": "a"}]}}] * 2),
    ],
)
async def test_a_value_that_an_operation_cannot_use_is_refused(
    client: httpx.AsyncClient, path: str, parameters: list[Json]
) -> None:
    body = sent(*parameters)
    if path == "/$import":
        body = sent({"name": "inputFormat", "valueCode": "application/fhir+ndjson"}, *parameters)
    answer = await client.post(path, content=body)
    assert answer.status_code == 400, answer.text
    assert parameters[0]["name"] in answer.json()["issue"][0]["diagnostics"]


async def test_parameters_of_the_address_and_of_the_body_are_one_question(
    client: httpx.AsyncClient,
) -> None:
    await client.post("/CodeSystem", json=diseases())
    body = sent({"name": "code", "valueCode": "A00"})
    found = await client.post(f"/CodeSystem/$lookup?system={DISEASES}", content=body)
    assert found.status_code == 200, found.text
    twice = await client.post(f"/CodeSystem/$lookup?system={DISEASES}&code=A00", content=body)
    assert (twice.status_code, "more than once" in twice.text) == (400, True)


async def test_decimals_of_parameters_keep_their_digits(client: httpx.AsyncClient) -> None:
    """R4 datatypes.html#decimal: the precision of a decimal is part of its value."""
    extension = b'"extension":[{"url":"http://node.test/weight","valueDecimal":1.500}]'
    tag = b'{"name":"meta","valueMeta":{"tag":[{%b,"system":"urn:a","code":"b"}]}}' % extension
    body = b'{"resourceType":"Parameters","parameter":[%b]}'
    answer = await client.post("/Patient/x/$meta-add", content=body % tag)
    assert answer.status_code == 200, answer.text
    assert b'"valueDecimal":1.500' in answer.content
    assert b'"valueDecimal":1.500' in (await client.get("/Patient/x")).content
    whole = json.dumps(value_set("sent", {"system": DISEASES})).encode()
    await client.post("/CodeSystem", json=diseases())
    sent_set = b'{"name":"valueSet","resource":%b,%b}}' % (whole[:-1], extension)
    expanded = await client.post("/ValueSet/$expand", content=body % sent_set)
    assert expanded.status_code == 200, expanded.text
    assert b'"valueDecimal":1.500' in expanded.content


async def test_a_decimal_is_searched_for_with_the_precision_it_was_sent_with(
    client: httpx.AsyncClient,
) -> None:
    """R4 search.html#number: 5.40 means from 5.395, 5.4 from 5.35."""
    value = {"value": 5.37, "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    seen = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "urn:a", "code": "b"}]},
        "valueQuantity": value,
    }
    assert (await client.post("/Observation", json=seen)).status_code == 201
    body = b'{"resourceType":"Parameters","parameter":[{"name":"value-quantity","valueDecimal":%b},'
    body += b'{"name":"by","valueCode":"code"}]}'
    for number, hits in ((b"5.4", 1), (b"5.40", 0)):
        answer = await client.post("/Observation/$counts", content=body % number)
        counted = [each for each in answer.json()["parameter"] if each["name"] == "count"]
        assert len(counted) == hits, answer.text
