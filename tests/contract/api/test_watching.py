"""What is open to all: the statement of what there is, health, readiness; and the numbers."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from quanmin.api.interactions import INTERACTIONS
from quanmin.fhir.table import load_table
from quanmin.fhir.validation import validate

from .conftest import House


async def statement(house: House) -> dict[str, Any]:
    answer = await house.client(None).get("/metadata")
    assert answer.status_code == 200
    made: dict[str, Any] = answer.json()
    return made


async def test_the_statement_is_valid_and_open_to_all(house: House) -> None:
    made = await statement(house)
    assert validate("CapabilityStatement", msgspec.json.encode(made)) == []
    assert made["implementation"]["url"] == "http://node.test/fhir"


async def test_the_statement_lists_what_the_table_of_interactions_holds(house: House) -> None:
    (rest,) = (await statement(house))["rest"]
    codes = {item["code"] for item in rest["interaction"]}
    codes |= {item["code"] for resource in rest["resource"] for item in resource["interaction"]}
    declared = {one.code for one in INTERACTIONS if one.level != "none"} - {"operation"}
    assert codes == declared | {"batch"}
    assert {resource["type"] for resource in rest["resource"]} == set(load_table().types)


async def test_the_statement_lists_each_operation_where_it_is_served(house: House) -> None:
    (rest,) = (await statement(house))["rest"]
    listed = {("", one["name"], one["definition"]) for one in rest.get("operation", ())}
    for resource in rest["resource"]:
        found = [(one["name"], one["definition"]) for one in resource.get("operation", ())]
        assert len(dict(found)) == len(found)
        listed |= {(resource["type"], *one) for one in found}
    declared = {
        (type_, one.shape.rpartition("$")[2], one.definition)
        for one in INTERACTIONS
        if one.code == "operation"
        for type_ in ([""] if one.level == "system" else one.types or load_table().types)
    }
    assert listed == declared


async def test_every_parameter_in_the_statement_is_served(
    house: House, client: httpx.AsyncClient
) -> None:
    (rest,) = (await statement(house))["rest"]
    values = {"date": "2026", "number": "1", "quantity": "1", "reference": "Patient/1"}
    wanted = [r for r in rest["resource"] if r["type"] in {"Patient", "Observation", "ChargeItem"}]
    for resource in wanted:
        for param in resource["searchParam"]:
            value = values.get(param["type"], "true")
            if param["type"] == "composite":
                kinds = params_of(resource["type"])
                value = "$".join(values.get(one, "true") for one in kinds[param["name"]])
            answer = await client.get(f"/{resource['type']}", params={param["name"]: value})
            assert answer.status_code == 200, (param, answer.text)


def params_of(type_: str) -> dict[str, list[str]]:
    """The composites of a type with the kinds of their components."""
    params = load_table().types[type_].params
    return {
        param.name: [params[name].kind for name, _ in param.components] for param in params.values()
    }


async def test_health_is_up_while_readiness_follows_the_database(house: House) -> None:
    async def is_away() -> bool:
        return False

    here, away = house.client(None), house.client(None, is_ready=is_away)
    root = "http://node.test"
    assert (await here.get(f"{root}/health")).json() == {"status": "up"}
    assert (await here.get(f"{root}/ready")).status_code == 200
    assert (await away.get(f"{root}/health")).status_code == 200
    assert (await away.get(f"{root}/ready")).status_code == 503
    refused = await here.post(f"{root}/health")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    asked = await here.options(f"{root}/ready")
    assert (asked.status_code, asked.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_the_numbers_name_interactions_and_no_records(house: House) -> None:
    client = house.client()
    await client.get("/Patient/some-id?name=x")
    text = (await client.get("http://node.test/metrics")).text
    assert 'quanmin_request_seconds_count{interaction="read",status="404"} 1.0' in text
    assert "some-id" not in text


async def test_the_numbers_are_for_this_machine_and_for_operators(house: House) -> None:
    url, far = "http://node.test/metrics", {"X-Forwarded-For": "203.0.113.7"}
    assert (await house.client(None).get(url)).status_code == 200
    assert (await house.client(None).get(url, headers=far)).status_code == 401
    assert (await house.client("hospital-a").get(url, headers=far)).status_code == 403
    assert (await house.client("center").get(url, headers=far)).status_code == 200


async def test_what_is_not_the_doors_goes_beyond_it(house: House) -> None:
    async def beyond(scope: Any, _: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    client = house.client(None, beyond=beyond)
    assert (await client.get("http://node.test/fhirs")).text == "/fhirs"
    assert (await client.get("http://node.test/")).status_code == 299
    alone = await house.client(None).get("http://node.test/other")
    assert alone.status_code == 404
