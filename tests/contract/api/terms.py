"""How tests ask about terminology at the door and read what it answers."""

from __future__ import annotations

import json
from typing import Any

import httpx


async def store(client: httpx.AsyncClient, *resources: dict[str, Any]) -> list[str]:
    ids = []
    for resource in resources:
        answer = await client.post(f"/{resource['resourceType']}", content=json.dumps(resource))
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    return ids


async def get(client: httpx.AsyncClient, path: str, status: int = 200, **params: Any) -> Any:
    named = {name.rstrip("_").replace("__", "-"): value for name, value in params.items()}
    answer = await client.get(f"/{path}", params=named)
    assert answer.status_code == status, answer.text
    return answer.json()


async def post(
    client: httpx.AsyncClient, path: str, *parameters: dict[str, Any], status: int = 200
) -> Any:
    body = json.dumps({"resourceType": "Parameters", "parameter": list(parameters)})
    answer = await client.post(f"/{path}", content=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def said(parameters: dict[str, Any], name: str) -> Any:
    """The value of the first parameter of a name; None without one."""
    for given in parameters["parameter"]:
        if given["name"] == name:
            return next(value for key, value in given.items() if key != "name")
    return None


def parts(given: list[dict[str, Any]]) -> dict[str, Any]:
    return {p["name"]: next(v for k, v in p.items() if k != "name") for p in given}


def codes(expanded: dict[str, Any]) -> list[str]:
    return [each["code"] for each in expanded["expansion"].get("contains", ())]


def refusal(answer: dict[str, Any]) -> tuple[str, str]:
    assert answer["resourceType"] == "OperationOutcome"
    (issue,) = answer["issue"]
    return issue["code"], issue["diagnostics"]
