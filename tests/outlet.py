"""Exports in tests: a worker that does them, and a client's way from the request to the records."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
from workers import at_work

from quanmin.api.export import ExportLimits, Exports, export_kind
from quanmin.base.jobs import JobLimits, Kind, Worker
from quanmin.fhir.grammar import QueryLimits
from quanmin.trust import Actors, Guard

ASYNC = {"Prefer": "respond-async"}
HURRIED = JobLimits(
    lease_seconds=1.0, turn_seconds=0.2, poll_seconds=0.1, backoff_seconds=0.05, attempts_max=20
)


def exports_in(folder: Path, **limits: Any) -> Exports:
    """A place for exports below `folder`."""
    return Exports(folder=folder / "exports", limits=ExportLimits(**limits))


def kind_of(guard: Guard, actors: Actors, exports: Exports) -> Kind:
    zone = ZoneInfo("Asia/Shanghai")
    return export_kind(guard, actors, exports, zone=zone, query_limits=QueryLimits())


def working(
    pool: asyncpg.Pool[asyncpg.Record], guard: Guard, actors: Actors, exports: Exports
) -> AbstractAsyncContextManager[Worker]:
    """A worker of exports in this process."""
    return at_work(Worker(pool, [kind_of(guard, actors, exports)], HURRIED))


class Taken:
    """What an export gave: the manifest, and the lines of its files by list and type."""

    def __init__(self, manifest: dict[str, Any], lines: dict[str, list[bytes]]) -> None:
        self.manifest = manifest
        self.lines = lines

    def of(self, type_: str) -> list[dict[str, Any]]:
        """The records of a type."""
        urls = [one["url"] for one in self.manifest["output"] if one["type"] == type_]
        return [json.loads(line) for url in urls for line in self.lines[url]]

    def ids(self) -> list[str]:
        """`Type/id` of all records, in the order of the files."""
        found = [
            json.loads(line) for one in self.manifest["output"] for line in self.lines[one["url"]]
        ]
        return [f"{each['resourceType']}/{each['id']}" for each in found]

    def types(self) -> list[str]:
        return sorted({one["type"] for one in self.manifest["output"]})

    def listed(self, name: str) -> list[dict[str, Any]]:
        """What a list of the manifest other than `output` holds."""
        return [json.loads(line) for one in self.manifest[name] for line in self.lines[one["url"]]]


async def begin(client: httpx.AsyncClient, url: str, body: Any = None, **headers: str) -> str:
    """Kick an export off; the address to ask about it."""
    headers = ASYNC | headers
    if body is None:
        answer = await client.get(url, headers=headers)
    else:
        answer = await client.post(url, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["content-location"])


async def ended(client: httpx.AsyncClient, where: str) -> httpx.Response:
    """The answer of a job that has ended."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(where)
            if answer.status_code != 202:
                return answer
            await asyncio.sleep(0.02)


async def fetch(client: httpx.AsyncClient, where: str) -> Taken:
    """All files of an export that is done, each of which holds what its list says."""
    answer = await ended(client, where)
    assert answer.status_code == 200, answer.text
    manifest, lines = answer.json(), {}
    for one in (*manifest["output"], *manifest["deleted"], *manifest["error"]):
        file = await client.get(one["url"])
        assert file.status_code == 200, file.text
        lines[one["url"]] = file.content.splitlines()
        assert len(lines[one["url"]]) == one["count"]
        assert one["url"].startswith("http://node.test/"), "absolute"
        kinds = {json.loads(line)["resourceType"] for line in lines[one["url"]]}
        assert kinds <= {one["type"]}, "each file has one type"
    return Taken(manifest, lines)


async def take(client: httpx.AsyncClient, url: str, body: Any = None, **headers: str) -> Taken:
    """From the request to the records."""
    return await fetch(client, await begin(client, url, body, **headers))
