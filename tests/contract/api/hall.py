"""A house whose door takes imports, and what tests of `$import` send to it."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import import_process
from workers import at_work

from quanmin.base.jobs import Worker, find
from quanmin.trust.imports import ImportLimits

if TYPE_CHECKING:
    from .conftest import House

NDJSON = {"Content-Type": "application/fhir+ndjson", "Prefer": "respond-async"}
WAITING = {"Prefer": "respond-async"}
FAST = import_process.LIMITS


def patient(number: int, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "gender": "female", **more}


def observation(number: int, of: int, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": f"Patient/p{of}"},
        **more,
    }


def ndjson(*resources: dict[str, Any] | str) -> bytes:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in resources]
    return "".join(f"{line}\n" for line in lines).encode()


class Hall:
    """A house whose door takes imports, and a worker that works them off."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.folder = folder

    def client(
        self, code: str = "center", *, has_room: bool = True, **limits: Any
    ) -> httpx.AsyncClient:
        arrivals = import_process.open_arrivals(
            self.folder, ImportLimits(**limits), has_room=has_room
        )
        return self.house.client(code, arrivals=arrivals)

    def working(self, **limits: Any) -> AbstractAsyncContextManager[Worker]:
        arrivals = import_process.open_arrivals(self.folder, ImportLimits(**limits))
        return at_work(import_process.open_worker(self.house.pool, self.house.guard, arrivals))

    def spooled(self) -> list[str]:
        folder = self.folder / "imports"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    async def goes_on(self, number: int) -> bool:
        return (await find(self.house.pool, number)).state in {"waiting", "running"}

    async def over(self, client: httpx.AsyncClient, address: str) -> httpx.Response:
        """What is told of an import that goes on no more."""
        number = int(address.rpartition("/")[2])
        async with asyncio.timeout(120):
            while await self.goes_on(number):  # noqa: ASYNC110 - a row
                await asyncio.sleep(0.05)
        return await client.get(address)

    async def done(self, client: httpx.AsyncClient, address: str) -> dict[str, Any]:
        """What came of an import that ended well."""
        answer = await self.over(client, address)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def count(self, type_: str) -> int:
        found = await self.house.client().get(f"/{type_}?_summary=count&_total=accurate")
        return int(found.json()["total"])


async def begun(client: httpx.AsyncClient, body: bytes | dict[str, Any], **headers: str) -> str:
    """The address of an import that was accepted."""
    if isinstance(body, dict):
        answer = await client.post("/$import", content=json.dumps(body), headers=WAITING | headers)
    else:
        answer = await client.post("/$import", content=body, headers=NDJSON | headers)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["content-location"])


def outcomes(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("application/fhir+ndjson")
    return [json.loads(line) for line in answer.content.splitlines()]


def diagnostics(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome", body
    return str(body["issue"][0]["diagnostics"])


def parameters(*inputs: dict[str, str], **more: str) -> dict[str, Any]:
    said: list[dict[str, Any]] = [
        {"name": "inputFormat", "valueCode": "application/fhir+ndjson"},
        {"name": "inputSource", "valueUri": "https://his.example"},
    ]
    for name, value in more.items():
        said = [each for each in said if each["name"] != name]
        said.append({"name": name, "valueCode": value})
    for given in inputs:
        kinds = {"type": "valueCode", "url": "valueUrl"}
        part = [{"name": name, kinds[name]: value} for name, value in given.items()]
        said.append({"name": "input", "part": part})
    return {"resourceType": "Parameters", "parameter": said}
